// The Anthropic and OpenAI SDKs for Java as clients of hotspare serve. Run by test_java.py with the dialect to speak;
// what it needs to know is in the environment. It prints "ok CLAIM" or "not ok CLAIM WHY" lines.
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.InputStream;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;

final class Clients {
    static final ObjectMapper JSON = new ObjectMapper();
    static final Map<String, Object> PROPERTIES = Map.of("city", Map.of("type", "string"), "days", Map.of("type", "integer"));

    interface Work {
        void run() throws Exception;
    }

    static void claim(String name, Work work) {
        try {
            work.run();
            System.out.println("ok " + name);
        } catch (Exception | AssertionError e) {
            System.out.println("not ok " + name + " " + e.toString().replace("\n", "\\n"));
        }
    }

    static void expect(String what, Object got, Object wanted) {
        if (!Objects.equals(got, wanted)) {
            throw new AssertionError(what + ": wanted " + wanted + ", got " + got);
        }
    }

    static String env(String name) {
        return System.getenv(name);
    }

    static JsonNode weather() throws Exception {
        return JSON.readTree(env("WEATHER"));
    }

    // The conversation as the tool-calling stand-in was sent it, in its own dialect.
    static JsonNode sentMessages() throws Exception {
        try (InputStream body = URI.create(env("CALLER_URL") + "/_standin/last").toURL().openStream()) {
            return JSON.readTree(body).get("messages");
        }
    }

    // One call with the arguments of the weather, and its result under the same id.
    static void checkTools(List<JsonNode> inputs, List<String> ids, List<String> results, String said) throws Exception {
        expect("arguments as the stand-in got them", inputs, List.of(weather()));
        expect("ids of the results", results, ids);
        expect("the result is there", said.contains("rain"), true);
    }

    // As a stand-in that speaks OpenAI chat was sent them.
    static void checkChatTools() throws Exception {
        List<JsonNode> inputs = new ArrayList<>();
        List<String> ids = new ArrayList<>();
        List<String> results = new ArrayList<>();
        StringBuilder said = new StringBuilder();
        for (JsonNode message : sentMessages()) {
            for (JsonNode call : message.path("tool_calls")) {
                ids.add(call.get("id").asText());
                inputs.add(JSON.readTree(call.get("function").get("arguments").asText()));
            }
            if (message.get("role").asText().equals("tool")) {
                results.add(message.get("tool_call_id").asText());
                said.append(message.get("content"));
            }
        }
        checkTools(inputs, ids, results, said.toString());
    }

    // As a stand-in that speaks Anthropic Messages was sent them.
    static void checkMessagesTools() throws Exception {
        List<JsonNode> inputs = new ArrayList<>();
        List<String> ids = new ArrayList<>();
        List<String> results = new ArrayList<>();
        StringBuilder said = new StringBuilder();
        for (JsonNode message : sentMessages()) {
            for (JsonNode block : message.path("content")) {
                if (block.path("type").asText().equals("tool_use")) {
                    ids.add(block.get("id").asText());
                    inputs.add(block.get("input"));
                } else if (block.path("type").asText().equals("tool_result")) {
                    results.add(block.get("tool_use_id").asText());
                    said.append(block.get("content"));
                }
            }
        }
        checkTools(inputs, ids, results, said.toString());
    }

    public static void main(String[] args) {
        if (args[0].equals("anthropic")) {
            AnthropicClaims.run();
        } else {
            OpenaiClaims.run();
        }
        System.exit(0);  // the SDKs' connection pools have threads of their own
    }
}
