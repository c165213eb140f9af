// What the OpenAI SDK for Java is to find at the gateway.
import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.JsonValue;
import com.openai.core.http.HttpResponseFor;
import com.openai.core.http.StreamResponse;
import com.openai.errors.BadRequestException;
import com.openai.helpers.ChatCompletionAccumulator;
import com.openai.helpers.ResponseAccumulator;
import com.openai.models.FunctionDefinition;
import com.openai.models.FunctionParameters;
import com.openai.models.chat.completions.ChatCompletion;
import com.openai.models.chat.completions.ChatCompletionChunk;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import com.openai.models.chat.completions.ChatCompletionFunctionTool;
import com.openai.models.chat.completions.ChatCompletionMessageFunctionToolCall;
import com.openai.models.chat.completions.ChatCompletionStreamOptions;
import com.openai.models.chat.completions.ChatCompletionToolMessageParam;
import com.openai.models.responses.EasyInputMessage;
import com.openai.models.responses.FunctionTool;
import com.openai.models.responses.Response;
import com.openai.models.responses.ResponseCreateParams;
import com.openai.models.responses.ResponseFunctionToolCall;
import com.openai.models.responses.ResponseInputItem;
import com.openai.models.responses.ResponseStatus;
import com.openai.models.responses.ResponseStreamEvent;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

final class OpenaiClaims {
    static final OpenAIClient CLIENT = OpenAIOkHttpClient.builder()
        .baseUrl(Clients.env("BASE_URL") + "/v1").apiKey("sk-any").maxRetries(0).timeout(Duration.ofSeconds(30)).build();

    static ChatCompletionCreateParams.Builder ask(String model, String question) {
        return ChatCompletionCreateParams.builder().model(model).addSystemMessage("Be brief.").addUserMessage(question);
    }

    static void check(ChatCompletion answer) {
        Clients.expect("choices", answer.choices().size(), 1);
        Clients.expect("text", answer.choices().get(0).message().content().orElse(""), Clients.env("WORDS"));
        Clients.expect("finish reason", answer.choices().get(0).finishReason(), ChatCompletion.Choice.FinishReason.STOP);
        Clients.expect("usage", answer.usage().orElseThrow().completionTokens() > 0, true);
    }

    static ChatCompletion turn(ChatCompletionCreateParams params, boolean streamed) {
        if (!streamed) {
            return CLIENT.chat().completions().create(params);
        }
        ChatCompletionCreateParams wanted = params.toBuilder().streamOptions(ChatCompletionStreamOptions.builder().includeUsage(true).build()).build();
        ChatCompletionAccumulator sum = ChatCompletionAccumulator.create();
        try (StreamResponse<ChatCompletionChunk> chunks = CLIENT.chat().completions().createStreaming(wanted)) {
            chunks.stream().forEach(sum::accumulate);
        }
        return sum.chatCompletion();
    }

    static ChatCompletionFunctionTool tool() {
        FunctionParameters schema = FunctionParameters.builder().putAdditionalProperty("type", JsonValue.from("object"))
            .putAdditionalProperty("properties", JsonValue.from(Clients.PROPERTIES)).putAdditionalProperty("required", JsonValue.from(List.of("city"))).build();
        return ChatCompletionFunctionTool.builder()
            .function(FunctionDefinition.builder().name("get_weather").description("Weather of a city").parameters(schema).build()).build();
    }

    static void toolsRoundTrip(boolean streamed) throws Exception {
        ChatCompletionCreateParams.Builder params = ask("gpt-tools-1", "Weather?").addTool(tool());
        ChatCompletion.Choice first = turn(params.build(), streamed).choices().get(0);
        Clients.expect("finish reason", first.finishReason(), ChatCompletion.Choice.FinishReason.TOOL_CALLS);
        ChatCompletionMessageFunctionToolCall call = first.message().toolCalls().orElseThrow().get(0).asFunction();
        Clients.expect("name", call.function().name(), "get_weather");
        Clients.expect("arguments", Clients.JSON.readTree(call.function().arguments()), Clients.weather());
        check(turn(params.addMessage(first.message()).addMessage(ChatCompletionToolMessageParam.builder().toolCallId(call.id()).content("rain").build()).build(), streamed));
        Clients.checkMessagesTools();
    }

    static Response respond(ResponseCreateParams params, boolean streamed) {
        if (!streamed) {
            return CLIENT.responses().create(params);
        }
        ResponseAccumulator sum = ResponseAccumulator.create();
        try (StreamResponse<ResponseStreamEvent> events = CLIENT.responses().createStreaming(params)) {
            events.stream().forEach(sum::accumulate);
        }
        return sum.response();
    }

    static void checkResponse(Response answer) {
        StringBuilder text = new StringBuilder();
        answer.output().stream().flatMap(item -> item.message().stream()).flatMap(message -> message.content().stream())
            .flatMap(part -> part.outputText().stream()).forEach(part -> text.append(part.text()));
        Clients.expect("text", text.toString(), Clients.env("WORDS"));
        Clients.expect("status", answer.status().orElseThrow(), ResponseStatus.COMPLETED);
        Clients.expect("usage", answer.usage().orElseThrow().outputTokens() > 0, true);
    }

    static void responsesRoundTrip(boolean streamed) throws Exception {
        FunctionTool.Parameters schema = FunctionTool.Parameters.builder().putAdditionalProperty("type", JsonValue.from("object"))
            .putAdditionalProperty("properties", JsonValue.from(Clients.PROPERTIES)).putAdditionalProperty("required", JsonValue.from(List.of("city"))).build();
        FunctionTool tool = FunctionTool.builder().name("get_weather").description("Weather of a city").parameters(schema).strict(false).build();
        List<ResponseInputItem> items = new ArrayList<>();
        items.add(ResponseInputItem.ofEasyInputMessage(EasyInputMessage.builder().role(EasyInputMessage.Role.USER).content("Weather?").build()));
        Response first = respond(ResponseCreateParams.builder().model("gpt-tools-1").addTool(tool).inputOfResponse(items).build(), streamed);
        ResponseFunctionToolCall call = first.output().stream().flatMap(item -> item.functionCall().stream()).findFirst().orElseThrow();
        Clients.expect("name", call.name(), "get_weather");
        Clients.expect("arguments", Clients.JSON.readTree(call.arguments()), Clients.weather());
        items.add(ResponseInputItem.ofFunctionCall(call));
        items.add(ResponseInputItem.ofFunctionCallOutput(ResponseInputItem.FunctionCallOutput.builder().callId(call.callId()).output("rain").build()));
        checkResponse(respond(ResponseCreateParams.builder().model("gpt-tools-1").addTool(tool).inputOfResponse(items).build(), streamed));
        Clients.checkMessagesTools();
    }

    static void run() {
        for (boolean streamed : List.of(false, true)) {
            String how = streamed ? "_streamed" : "_whole";
            Clients.claim("openai_java_responses" + how, () ->
                checkResponse(respond(ResponseCreateParams.builder().model("gpt-5.6").instructions("Be brief.").input("Count.").build(), streamed)));
            Clients.claim("openai_java_responses_round_trip" + how, () -> responsesRoundTrip(streamed));
        }
        Clients.claim("openai_java_whole", () -> {
            try (HttpResponseFor<ChatCompletion> raw = CLIENT.chat().completions().withRawResponse().create(ask("gpt-5.6", "Count.").build())) {
                check(raw.parse());
                Clients.expect("served by", raw.headers().values("x-hotspare-served-by"), List.of("spare"));
            }
        });
        Clients.claim("openai_java_stream", () -> check(turn(ask("gpt-5.6", "Count.").build(), true)));
        Clients.claim("openai_java_tools_round_trip", () -> toolsRoundTrip(false));
        Clients.claim("openai_java_tools_round_trip_streamed", () -> toolsRoundTrip(true));
        Clients.claim("openai_java_errors_are_typed", () -> {
            try {
                turn(ChatCompletionCreateParams.builder().model("gpt-5.6").messages(List.of()).build(), false);
            } catch (BadRequestException e) {
                Clients.expect("a message", e.getMessage().isEmpty(), false);
                return;
            }
            throw new AssertionError("a chat without messages was let through");
        });
    }
}
