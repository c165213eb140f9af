package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/anthropics/anthropic-sdk-go/v2"
	"github.com/anthropics/anthropic-sdk-go/v2/option"
)

func anthropicParams(model, question string) anthropic.MessageNewParams {
	return anthropic.MessageNewParams{Model: model, MaxTokens: 200, System: []anthropic.TextBlockParam{{Text: "Be brief."}},
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(question))}}
}

func checkMessage(m *anthropic.Message) error {
	if len(m.Content) != 1 {
		return fmt.Errorf("%d blocks", len(m.Content))
	}
	return first(expect("type", m.Content[0].Type, "text"), expect("text", m.Content[0].Text, os.Getenv("WORDS")),
		expect("stop reason", string(m.StopReason), "end_turn"), expect("usage", m.Usage.OutputTokens > 0, true))
}

func anthropicTurn(client *anthropic.Client, params anthropic.MessageNewParams, streamed bool) (*anthropic.Message, error) {
	if !streamed {
		return client.Messages.New(context.Background(), params)
	}
	stream := client.Messages.NewStreaming(context.Background(), params)
	message := &anthropic.Message{}
	for stream.Next() {
		if err := message.Accumulate(stream.Current()); err != nil {
			return nil, err
		}
	}
	return message, stream.Err()
}

func anthropicTools(client *anthropic.Client, streamed bool) error {
	params := anthropicParams("claude-tools-1", "Weather?")
	params.Tools = []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{Name: "get_weather", Description: anthropic.String("Weather of a city"),
		InputSchema: anthropic.ToolInputSchemaParam{Properties: schema, Required: []string{"city"}}}}}
	answer, err := anthropicTurn(client, params, streamed)
	if err != nil {
		return err
	}
	call := answer.Content[len(answer.Content)-1]
	if err := first(expect("stop reason", string(answer.StopReason), "tool_use"), expect("name", call.Name, "get_weather"),
		expect("input", call.Input, weather())); err != nil {
		return err
	}
	params.Messages = append(params.Messages, answer.ToParam(), anthropic.NewUserMessage(anthropic.NewToolResultBlock(call.ID, "rain", false)))
	if answer, err = anthropicTurn(client, params, streamed); err != nil {
		return err
	}
	return first(checkMessage(answer), chatToolsAsSent())
}

// chatToolsAsSent reads what the stand-in that speaks OpenAI chat was sent.
func chatToolsAsSent() error {
	messages, err := sentMessages()
	var inputs, ids, results []any
	said := ""
	for _, m := range messages {
		for _, call := range list(m["tool_calls"]) {
			ids = append(ids, call["id"])
			inputs = append(inputs, parsed(call["function"].(map[string]any)["arguments"].(string)))
		}
		if m["role"] == "tool" {
			results = append(results, m["tool_call_id"])
			said += fmt.Sprint(m["content"])
		}
	}
	return first(err, checkTools(inputs, ids, results, said))
}

func anthropicClaims() {
	client := anthropic.NewClient(option.WithBaseURL(os.Getenv("BASE_URL")), option.WithAPIKey("sk-any"), option.WithMaxRetries(0),
		option.WithRequestTimeout(30*time.Second))
	claim("anthropic_go_whole", func() error {
		var raw *http.Response
		answer, err := client.Messages.New(context.Background(), anthropicParams("claude-sonnet-4-5", "Count."), option.WithResponseInto(&raw))
		if err != nil {
			return err
		}
		return first(checkMessage(answer), expect("served by", raw.Header.Get("x-hotspare-served-by"), "spare"))
	})
	claim("anthropic_go_stream", func() error {
		answer, err := anthropicTurn(&client, anthropicParams("claude-sonnet-4-5", "Count."), true)
		if err != nil {
			return err
		}
		return checkMessage(answer)
	})
	claim("anthropic_go_tools_round_trip", func() error { return anthropicTools(&client, false) })
	claim("anthropic_go_tools_round_trip_streamed", func() error { return anthropicTools(&client, true) })
	claim("anthropic_go_errors_are_typed", func() error {
		_, err := client.Messages.New(context.Background(), anthropicParams("claude-wrong-1", "Count."))
		var typed *anthropic.Error
		if !errors.As(err, &typed) {
			return fmt.Errorf("no error of the SDK's own: %v", err)
		}
		return first(expect("status", typed.StatusCode, 400), expect("type", string(typed.Type()), "invalid_request_error"))
	})
}
