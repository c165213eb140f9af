// What the Anthropic SDK for Java is to find at the gateway.
import com.anthropic.client.AnthropicClient;
import com.anthropic.client.okhttp.AnthropicOkHttpClient;
import com.anthropic.core.JsonValue;
import com.anthropic.core.http.HttpResponseFor;
import com.anthropic.core.http.StreamResponse;
import com.anthropic.errors.BadRequestException;
import com.anthropic.helpers.MessageAccumulator;
import com.anthropic.models.messages.ContentBlockParam;
import com.anthropic.models.messages.Message;
import com.anthropic.models.messages.MessageCreateParams;
import com.anthropic.models.messages.RawMessageStreamEvent;
import com.anthropic.models.messages.StopReason;
import com.anthropic.models.messages.Tool;
import com.anthropic.models.messages.ToolResultBlockParam;
import com.anthropic.models.messages.ToolUseBlock;
import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.List;

final class AnthropicClaims {
    static final AnthropicClient CLIENT = AnthropicOkHttpClient.builder()
        .baseUrl(Clients.env("BASE_URL")).apiKey("sk-any").maxRetries(0).timeout(Duration.ofSeconds(30)).build();

    static MessageCreateParams.Builder ask(String model, String question) {
        return MessageCreateParams.builder().model(model).maxTokens(200L).system("Be brief.").addUserMessage(question);
    }

    static void check(Message message) {
        Clients.expect("blocks", message.content().size(), 1);
        Clients.expect("text", message.content().get(0).asText().text(), Clients.env("WORDS"));
        Clients.expect("stop reason", message.stopReason().orElseThrow(), StopReason.END_TURN);
        Clients.expect("usage", message.usage().outputTokens() > 0, true);
    }

    static Message turn(MessageCreateParams params, boolean streamed) {
        if (!streamed) {
            return CLIENT.messages().create(params);
        }
        MessageAccumulator sum = MessageAccumulator.create();
        try (StreamResponse<RawMessageStreamEvent> events = CLIENT.messages().createStreaming(params)) {
            events.stream().forEach(sum::accumulate);
        }
        return sum.message();
    }

    static Tool tool() {
        return Tool.builder().name("get_weather").description("Weather of a city").inputSchema(Tool.InputSchema.builder()
            .putAdditionalProperty("properties", JsonValue.from(Clients.PROPERTIES)).required(List.of("city")).build()).build();
    }

    static void toolsRoundTrip(boolean streamed) throws Exception {
        MessageCreateParams.Builder params = ask("claude-tools-1", "Weather?").addTool(tool());
        Message first = turn(params.build(), streamed);
        Clients.expect("stop reason", first.stopReason().orElseThrow(), StopReason.TOOL_USE);
        ToolUseBlock call = first.content().get(first.content().size() - 1).asToolUse();
        Clients.expect("name", call.name(), "get_weather");
        Clients.expect("input", call._input().convert(JsonNode.class), Clients.weather());
        ToolResultBlockParam answer = ToolResultBlockParam.builder().toolUseId(call.id()).content("rain").build();
        check(turn(params.addMessage(first).addUserMessageOfContentBlockParams(List.of(ContentBlockParam.ofToolResult(answer))).build(), streamed));
        Clients.checkChatTools();
    }

    static void run() {
        Clients.claim("anthropic_java_whole", () -> {
            try (HttpResponseFor<Message> raw = CLIENT.messages().withRawResponse().create(ask("claude-sonnet-4-5", "Count.").build())) {
                check(raw.parse());
                Clients.expect("served by", raw.headers().values("x-hotspare-served-by"), List.of("spare"));
            }
        });
        Clients.claim("anthropic_java_stream", () -> check(turn(ask("claude-sonnet-4-5", "Count.").build(), true)));
        Clients.claim("anthropic_java_tools_round_trip", () -> toolsRoundTrip(false));
        Clients.claim("anthropic_java_tools_round_trip_streamed", () -> toolsRoundTrip(true));
        Clients.claim("anthropic_java_errors_are_typed", () -> {
            try {
                turn(ask("claude-wrong-1", "Count.").build(), false);
            } catch (BadRequestException e) {
                Clients.expect("type", e.errorType().orElseThrow().toString(), "invalid_request_error");
                return;
            }
            throw new AssertionError("a 400 of the provider threw nothing");
        });
    }
}
