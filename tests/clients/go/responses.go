package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
)

func responsesParams(model, question string) responses.ResponseNewParams {
	return responses.ResponseNewParams{Model: model, Instructions: openai.String("Be brief."),
		Input: responses.ResponseNewParamsInputUnion{OfInputItemList: responses.ResponseInputParam{
			responses.ResponseInputItemParamOfMessage(question, responses.EasyInputMessageRoleUser)}}}
}

func checkResponse(r *responses.Response) error {
	return first(expect("status", string(r.Status), "completed"), expect("text", r.OutputText(), os.Getenv("WORDS")),
		expect("items", len(r.Output), 1), expect("usage", r.Usage.OutputTokens > 0, true))
}

// responsesTurn: a stream's words, put together, must be those of the answer that its last event holds.
func responsesTurn(client *openai.Client, params responses.ResponseNewParams, streamed bool) (*responses.Response, error) {
	if !streamed {
		return client.Responses.New(context.Background(), params)
	}
	stream := client.Responses.NewStreaming(context.Background(), params)
	words := ""
	var answer *responses.Response
	for stream.Next() {
		event := stream.Current()
		switch event.Type {
		case "response.output_text.delta":
			words += event.Delta
		case "response.completed":
			answer = &event.Response
		}
	}
	if stream.Err() != nil {
		return nil, stream.Err()
	}
	if answer == nil {
		return nil, errors.New("the stream has no response.completed")
	}
	return answer, expect("the words of the stream", words, answer.OutputText())
}

func responsesTools(client *openai.Client, streamed bool) error {
	params := responsesParams("gpt-tools-1", "Weather?")
	params.Tools = []responses.ToolUnionParam{{OfFunction: &responses.FunctionToolParam{Name: "get_weather",
		Description: openai.String("Weather of a city"), Strict: openai.Bool(false),
		Parameters: map[string]any{"type": "object", "properties": schema, "required": []string{"city"}}}}}
	answer, err := responsesTurn(client, params, streamed)
	if err != nil {
		return err
	}
	if len(answer.Output) == 0 {
		return errors.New("no items")
	}
	call := answer.Output[len(answer.Output)-1].AsFunctionCall()
	if err := first(expect("name", call.Name, "get_weather"), expect("arguments", parsed(call.Arguments), weather())); err != nil {
		return err
	}
	result := responses.ResponseInputItemParamOfFunctionCallOutput("rain")
	result.OfFunctionCallOutput.CallID = openai.String(call.CallID)
	params.Input.OfInputItemList = append(params.Input.OfInputItemList,
		responses.ResponseInputItemParamOfFunctionCall(call.Arguments, call.CallID, call.Name), result)
	if answer, err = responsesTurn(client, params, streamed); err != nil {
		return err
	}
	return first(checkResponse(answer), messagesToolsAsSent())
}

func responsesClaims(client *openai.Client) {
	claim("openai_go_responses_whole", func() error {
		var raw *http.Response
		answer, err := client.Responses.New(context.Background(), responsesParams("gpt-5.6", "Count."), option.WithResponseInto(&raw))
		if err != nil {
			return err
		}
		return first(checkResponse(answer), expect("served by", raw.Header.Get("x-hotspare-served-by"), "spare"))
	})
	claim("openai_go_responses_stream", func() error {
		answer, err := responsesTurn(client, responsesParams("gpt-5.6", "Count."), true)
		if err != nil {
			return err
		}
		return checkResponse(answer)
	})
	claim("openai_go_responses_tools_round_trip", func() error { return responsesTools(client, false) })
	claim("openai_go_responses_tools_round_trip_streamed", func() error { return responsesTools(client, true) })
	claim("openai_go_responses_errors_are_typed", func() error {
		params := responsesParams("gpt-5.6", "Count.")
		params.PreviousResponseID = openai.String("resp_1")
		_, err := client.Responses.New(context.Background(), params)
		var typed *openai.Error
		if !errors.As(err, &typed) {
			return fmt.Errorf("no error of the SDK's own: %v", err)
		}
		return first(expect("status", typed.StatusCode, 400), expect("param", typed.Param, "previous_response_id"))
	})
}
