// The Anthropic TypeScript SDK as a client of hotspare serve. Run by test_typescript.py.
import Anthropic from "@anthropic-ai/sdk";
import { assert, claim, env, lastRequest, weather } from "./ts_check.mjs";

const client = new Anthropic({ baseURL: env.BASE_URL, apiKey: "sk-any", maxRetries: 0, timeout: 30000 });
const ask = { model: "claude-sonnet-4-5", max_tokens: 200, messages: [{ role: "user", content: "Count." }] };
const tool = {
  name: "get_weather",
  description: "Weather of a city",
  input_schema: { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } }, required: ["city"] },
};

function checkMessage(message, text = env.WORDS) {
  assert.equal(message.role, "assistant");
  assert.deepEqual(message.content.map((b) => b.type), ["text"]);
  assert.equal(message.content[0].text, text);
  assert.equal(message.stop_reason, "end_turn");
  assert.ok(message.usage.output_tokens > 0);
}

await claim("anthropic_typescript_whole", async () => {
  const { data, response } = await client.messages.create({ ...ask, system: "Be brief." }).withResponse();
  checkMessage(data);
  assert.equal(response.headers.get("x-hotspare-served-by"), "spare");
});

await claim("anthropic_typescript_stream", async () => {
  let text = "";
  const kinds = [];
  for await (const event of await client.messages.create({ ...ask, stream: true })) {
    if (event.type === "content_block_delta") text += event.delta.text;
    else if (event.type !== "ping") kinds.push(event.type);
  }
  assert.equal(text, env.WORDS);
  assert.deepEqual(kinds, ["message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"]);
});

await claim("anthropic_typescript_stream_helper", async () => {
  let text = "";
  const stream = client.messages.stream(ask).on("text", (delta) => (text += delta));
  checkMessage(await stream.finalMessage());
  assert.equal(text, env.WORDS);
});

await claim("anthropic_typescript_image", async () => {
  const image = { type: "image", source: { type: "base64", media_type: "image/png", data: env.PNG } };
  checkMessage(await client.messages.create({ ...ask, messages: [{ role: "user", content: [image, { type: "text", text: "What is it?" }] }] }), env.WORDS + env.SAW_ONE);
  const parts = (await lastRequest(env.SPARE_URL)).messages.flatMap((m) => (Array.isArray(m.content) ? m.content : []));
  assert.deepEqual(parts.filter((p) => p.type === "image_url").map((p) => p.image_url.url), [`data:image/png;base64,${env.PNG}`]);
});

for (const streamed of [false, true]) {
  await claim(`anthropic_typescript_tools_round_trip${streamed ? "_streamed" : ""}`, async () => {
    const turn = (messages) => {
      const body = { ...ask, model: "claude-tools-1", tools: [tool], messages };
      return streamed ? client.messages.stream(body).finalMessage() : client.messages.create(body);
    };
    const question = { role: "user", content: "Weather?" };
    const first = await turn([question]);
    assert.equal(first.stop_reason, "tool_use");
    const call = first.content.find((b) => b.type === "tool_use");
    assert.equal(call.name, "get_weather");
    assert.deepEqual(call.input, weather);
    const answer = { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: [{ type: "text", text: "rain" }] }] };
    checkMessage(await turn([question, { role: "assistant", content: first.content }, answer]));
    const sent = (await lastRequest(env.CALLER_URL)).messages;
    const calls = sent.flatMap((m) => m.tool_calls ?? []);
    assert.deepEqual(calls.map((c) => JSON.parse(c.function.arguments)), [weather]);
    const results = sent.filter((m) => m.role === "tool");
    assert.deepEqual(results.map((m) => m.tool_call_id), [calls[0].id]);
    assert.ok(JSON.stringify(results).includes("rain"));
  });
}

await claim("anthropic_typescript_errors_are_typed", async () => {
  const bad = client.messages.create({ ...ask, model: "claude-wrong-1" });
  await assert.rejects(bad, (e) => e instanceof Anthropic.BadRequestError && e.error?.error?.type === "invalid_request_error");
});
