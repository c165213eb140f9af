package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"
)

func openaiParams(model, question string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: model,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.SystemMessage("Be brief."), openai.UserMessage(question)}}
}

func checkCompletion(c *openai.ChatCompletion) error {
	if len(c.Choices) != 1 {
		return fmt.Errorf("%d choices", len(c.Choices))
	}
	choice := c.Choices[0]
	return first(expect("role", string(choice.Message.Role), "assistant"), expect("text", choice.Message.Content, os.Getenv("WORDS")),
		expect("finish reason", string(choice.FinishReason), "stop"), expect("usage", c.Usage.CompletionTokens > 0, true))
}

func openaiTurn(client *openai.Client, params openai.ChatCompletionNewParams, streamed bool) (*openai.ChatCompletion, error) {
	if !streamed {
		return client.Chat.Completions.New(context.Background(), params)
	}
	params.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
	stream := client.Chat.Completions.NewStreaming(context.Background(), params)
	sum := openai.ChatCompletionAccumulator{}
	for stream.Next() {
		if !sum.AddChunk(stream.Current()) {
			return nil, errors.New("a chunk does not fit the ones before: " + stream.Current().RawJSON())
		}
	}
	return &sum.ChatCompletion, stream.Err()
}

func openaiTools(client *openai.Client, streamed bool) error {
	params := openaiParams("gpt-tools-1", "Weather?")
	params.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "get_weather",
		Description: openai.String("Weather of a city"),
		Parameters:  shared.FunctionParameters{"type": "object", "properties": schema, "required": []string{"city"}}})}
	answer, err := openaiTurn(client, params, streamed)
	if err != nil {
		return err
	}
	choice := answer.Choices[0]
	if len(choice.Message.ToolCalls) != 1 {
		return fmt.Errorf("%d calls", len(choice.Message.ToolCalls))
	}
	call := choice.Message.ToolCalls[0]
	if err := first(expect("finish reason", string(choice.FinishReason), "tool_calls"), expect("name", call.Function.Name, "get_weather"),
		expect("arguments", parsed(call.Function.Arguments), weather())); err != nil {
		return err
	}
	params.Messages = append(params.Messages, choice.Message.ToParam(), openai.ToolMessage("rain", call.ID))
	if answer, err = openaiTurn(client, params, streamed); err != nil {
		return err
	}
	return first(checkCompletion(answer), messagesToolsAsSent())
}

// messagesToolsAsSent reads what the stand-in that speaks Anthropic Messages was sent.
func messagesToolsAsSent() error {
	messages, err := sentMessages()
	var inputs, ids, results []any
	said := ""
	for _, m := range messages {
		for _, block := range list(m["content"]) {
			switch block["type"] {
			case "tool_use":
				ids, inputs = append(ids, block["id"]), append(inputs, block["input"])
			case "tool_result":
				results = append(results, block["tool_use_id"])
				said += fmt.Sprint(block["content"])
			}
		}
	}
	return first(err, checkTools(inputs, ids, results, said))
}

func openaiClaims() {
	client := openai.NewClient(option.WithBaseURL(os.Getenv("BASE_URL")+"/v1"), option.WithAPIKey("sk-any"), option.WithMaxRetries(0),
		option.WithRequestTimeout(30*time.Second))
	claim("openai_go_whole", func() error {
		var raw *http.Response
		answer, err := client.Chat.Completions.New(context.Background(), openaiParams("gpt-5.6", "Count."), option.WithResponseInto(&raw))
		if err != nil {
			return err
		}
		return first(checkCompletion(answer), expect("served by", raw.Header.Get("x-hotspare-served-by"), "spare"))
	})
	claim("openai_go_stream", func() error {
		answer, err := openaiTurn(&client, openaiParams("gpt-5.6", "Count."), true)
		if err != nil {
			return err
		}
		return checkCompletion(answer)
	})
	claim("openai_go_tools_round_trip", func() error { return openaiTools(&client, false) })
	claim("openai_go_tools_round_trip_streamed", func() error { return openaiTools(&client, true) })
	claim("openai_go_errors_are_typed", func() error {
		params := openaiParams("gpt-5.6", "Count.")
		params.Messages = nil
		_, err := client.Chat.Completions.New(context.Background(), params)
		var typed *openai.Error
		if !errors.As(err, &typed) {
			return fmt.Errorf("no error of the SDK's own: %v", err)
		}
		return first(expect("status", typed.StatusCode, 400), expect("a message", typed.Message != "", true))
	})
	responsesClaims(&client)
}
