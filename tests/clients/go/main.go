// The Anthropic and OpenAI SDKs for Go as clients of hotspare serve. Run by test_go.py with the dialect to speak;
// what it needs to know is in the environment. It prints "ok CLAIM" or "not ok CLAIM WHY" lines.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strings"
)

var schema = map[string]any{"city": map[string]any{"type": "string"}, "days": map[string]any{"type": "integer"}}

func claim(name string, work func() error) {
	if err := work(); err != nil {
		fmt.Printf("not ok %s %s\n", name, strings.ReplaceAll(err.Error(), "\n", "\\n"))
		return
	}
	fmt.Printf("ok %s\n", name)
}

// expect compares as JSON does: numbers of any type, maps without order.
func expect(what string, got, wanted any) error {
	if !reflect.DeepEqual(plain(got), plain(wanted)) {
		return fmt.Errorf("%s: wanted %v, got %v", what, wanted, got)
	}
	return nil
}

func plain(value any) (out any) {
	text, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		panic(err)
	}
	return out
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func parsed(text string) (out any) {
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return "not JSON: " + text
	}
	return out
}

func weather() any { return parsed(os.Getenv("WEATHER")) }

// sentMessages is the conversation as the tool-calling stand-in was sent it, in its own dialect.
func sentMessages() ([]map[string]any, error) {
	r, err := http.Get(os.Getenv("CALLER_URL") + "/_standin/last")
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	var body struct {
		Messages []map[string]any `json:"messages"`
	}
	return body.Messages, json.NewDecoder(r.Body).Decode(&body)
}

func list(value any) []map[string]any {
	var out []map[string]any
	items, _ := value.([]any)
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// checkTools: one call with the arguments of the weather, and its result under the same id.
func checkTools(inputs, ids, results []any, said string) error {
	return first(expect("arguments as the stand-in got them", inputs, []any{weather()}), expect("ids of the results", results, ids),
		expect("the result is there", strings.Contains(said, "rain"), true))
}

func main() {
	switch os.Args[1] {
	case "anthropic":
		anthropicClaims()
	case "openai":
		openaiClaims()
	}
}
