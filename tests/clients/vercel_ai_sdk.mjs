// The Vercel AI SDK as a client of hotspare serve. Run by test_vercel_ai_sdk.py with the dialect to speak.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { assert, claim, env, lastRequest, weather } from "./ts_check.mjs";

const at = { baseURL: `${env.BASE_URL}/v1`, apiKey: "sk-any" };
const providers = {
  anthropic: () => ({ anthropic: createAnthropic(at) }),
  // What the OpenAI provider gives without .chat speaks the Responses API.
  openai: () => ({ openai: createOpenAI(at).chat, openai_compatible: createOpenAICompatible({ ...at, name: "hotspare", includeUsage: true }) }),
};
const dialect = process.argv[2];
const prefix = dialect === "anthropic" ? "claude" : "gpt";
const settings = { maxRetries: 0, maxOutputTokens: 200, instructions: "Be brief." };

// The SDK runs the tool itself; what it was given is kept here.
function weatherTool(given) {
  return tool({
    description: "Weather of a city",
    inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string" }, days: { type: "integer" } }, required: ["city"] }),
    execute: async (input) => {
      given.push(input);
      return "rain";
    },
  });
}

// The conversation as the stand-in was sent it: the calls' arguments and ids, and the results.
async function toolsAsSent() {
  const messages = (await lastRequest(env.CALLER_URL)).messages;
  if (dialect === "anthropic") {
    const calls = messages.flatMap((m) => m.tool_calls ?? []);
    return { inputs: calls.map((c) => JSON.parse(c.function.arguments)), ids: calls.map((c) => c.id),
      results: messages.filter((m) => m.role === "tool").map((m) => ({ id: m.tool_call_id, text: JSON.stringify(m.content) })) };
  }
  const blocks = messages.flatMap((m) => (Array.isArray(m.content) ? m.content : []));
  const uses = blocks.filter((b) => b.type === "tool_use");
  return { inputs: uses.map((b) => b.input), ids: uses.map((b) => b.id),
    results: blocks.filter((b) => b.type === "tool_result").map((b) => ({ id: b.tool_use_id, text: JSON.stringify(b.content) })) };
}

async function roundTrip(model, streamed) {
  const given = [];
  const wanted = { ...settings, model, prompt: "Weather?", tools: { get_weather: weatherTool(given) }, stopWhen: stepCountIs(4) };
  const done = streamed ? streamText(wanted) : await generateText(wanted);
  const steps = await done.steps;
  assert.deepEqual(steps.map((s) => s.finishReason), ["tool-calls", "stop"]);
  assert.deepEqual(given, [weather]);
  assert.equal(await done.text, env.WORDS);
  const sent = await toolsAsSent();
  assert.deepEqual(sent.inputs, [weather]);
  assert.deepEqual(sent.results.map((r) => r.id), sent.ids);
  assert.ok(sent.results[0].text.includes("rain"));
}

for (const [name, model] of Object.entries(providers[dialect]())) {
  await claim(`vercel_ai_sdk_${name}_whole`, async () => {
    const answer = await generateText({ ...settings, model: model(`${prefix}-1`), prompt: "Count." });
    assert.equal(answer.text, env.WORDS);
    assert.equal(answer.finishReason, "stop");
    assert.ok(answer.usage.outputTokens > 0);
    assert.equal(answer.response.headers["x-hotspare-served-by"], "spare");
  });

  await claim(`vercel_ai_sdk_${name}_stream`, async () => {
    const answer = streamText({ ...settings, model: model(`${prefix}-1`), prompt: "Count." });
    let text = "";
    for await (const part of answer.fullStream) {
      if (part.type === "error") throw part.error;
      if (part.type === "text-delta") text += part.text;
    }
    assert.equal(text, env.WORDS);
    assert.equal(await answer.finishReason, "stop");
    assert.ok((await answer.usage).outputTokens > 0);
  });

  for (const streamed of [false, true]) {
    await claim(`vercel_ai_sdk_${name}_tools_round_trip${streamed ? "_streamed" : ""}`, () => roundTrip(model(`${prefix}-tools-1`), streamed));
  }
}

if (dialect === "anthropic") {
  await claim("vercel_ai_sdk_anthropic_errors_are_typed", async () => {
    const bad = generateText({ ...settings, model: providers.anthropic().anthropic("claude-wrong-1"), prompt: "Count." });
    await assert.rejects(bad, (e) => APICallError.isInstance(e) && e.statusCode === 400 && e.data?.error?.type === "invalid_request_error");
  });
}
