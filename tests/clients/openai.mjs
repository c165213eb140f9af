// The OpenAI TypeScript SDK as a client of hotspare serve. Run by test_typescript.py.
import OpenAI from "openai";
import { assert, claim, env, lastRequest, weather } from "./ts_check.mjs";

const client = new OpenAI({ baseURL: `${env.BASE_URL}/v1`, apiKey: "sk-any", maxRetries: 0, timeout: 30000 });
const ask = { model: "gpt-5.6", messages: [{ role: "system", content: "Be brief." }, { role: "user", content: "Count." }] };
const tool = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } }, required: ["city"] },
  },
};

function checkChoice(choice, text = env.WORDS) {
  assert.equal(choice.message.role, "assistant");
  assert.equal(choice.message.content, text);
  assert.equal(choice.finish_reason, "stop");
}

await claim("openai_typescript_whole", async () => {
  const { data, response } = await client.chat.completions.create(ask).withResponse();
  checkChoice(data.choices[0]);
  assert.ok(data.usage.completion_tokens > 0);
  assert.equal(response.headers.get("x-hotspare-served-by"), "spare");
});

await claim("openai_typescript_stream", async () => {
  let text = "";
  const reasons = [];
  for await (const chunk of await client.chat.completions.create({ ...ask, stream: true })) {
    assert.equal(chunk.object, "chat.completion.chunk");
    for (const choice of chunk.choices) {
      text += choice.delta.content ?? "";
      if (choice.finish_reason) reasons.push(choice.finish_reason);
    }
  }
  assert.equal(text, env.WORDS);
  assert.deepEqual(reasons, ["stop"]);
});

await claim("openai_typescript_stream_helper", async () => {
  checkChoice((await client.chat.completions.stream(ask).finalChatCompletion()).choices[0]);
});

await claim("openai_typescript_image", async () => {
  const image = { type: "image_url", image_url: { url: `data:image/png;base64,${env.PNG}` } };
  const body = { ...ask, messages: [{ role: "user", content: [{ type: "text", text: "What is it?" }, image] }] };
  checkChoice((await client.chat.completions.create(body)).choices[0], env.WORDS + env.SAW_ONE);
  const blocks = (await lastRequest(env.SPARE_URL)).messages.flatMap((m) => (Array.isArray(m.content) ? m.content : []));
  assert.deepEqual(blocks.filter((b) => b.type === "image").map((b) => b.source), [{ type: "base64", media_type: "image/png", data: env.PNG }]);
});

async function checkToolsSent() {
  const blocks = (await lastRequest(env.CALLER_URL)).messages.flatMap((m) => (Array.isArray(m.content) ? m.content : []));
  const uses = blocks.filter((b) => b.type === "tool_use");
  assert.deepEqual(uses.map((b) => b.input), [weather]);
  const results = blocks.filter((b) => b.type === "tool_result");
  assert.deepEqual(results.map((b) => b.tool_use_id), [uses[0].id]);
  assert.ok(JSON.stringify(results).includes("rain"));
}

for (const streamed of [false, true]) {
  await claim(`openai_typescript_tools_round_trip${streamed ? "_streamed" : ""}`, async () => {
    const turn = async (messages) => {
      const body = { model: "gpt-tools-1", tools: [tool], messages };
      return (await (streamed ? client.chat.completions.stream(body).finalChatCompletion() : client.chat.completions.create(body))).choices[0];
    };
    const question = { role: "user", content: "Weather?" };
    const first = await turn([question]);
    assert.equal(first.finish_reason, "tool_calls");
    const call = first.message.tool_calls[0];
    assert.equal(call.function.name, "get_weather");
    assert.deepEqual(JSON.parse(call.function.arguments), weather);
    checkChoice(await turn([question, first.message, { role: "tool", tool_call_id: call.id, content: "rain" }]));
    await checkToolsSent();
  });
}

function checkResponse(answer) {
  assert.equal(answer.status, "completed");
  assert.equal(answer.output_text, env.WORDS);
  assert.ok(answer.usage.output_tokens > 0);
}

const asked = { model: "gpt-5.6", instructions: "Be brief.", input: "Count." };

await claim("openai_typescript_responses_whole", async () => {
  const { data, response } = await client.responses.create(asked).withResponse();
  checkResponse(data);
  assert.equal(response.headers.get("x-hotspare-served-by"), "spare");
});

await claim("openai_typescript_responses_stream", async () => {
  let text = "";
  let last;
  for await (const event of await client.responses.create({ ...asked, stream: true })) {
    if (event.type === "response.output_text.delta") text += event.delta;
    last = event;
  }
  assert.equal(text, env.WORDS);
  assert.equal(last.type, "response.completed");
});

await claim("openai_typescript_responses_stream_helper", async () => {
  checkResponse(await client.responses.stream(asked).finalResponse());
});

for (const streamed of [false, true]) {
  await claim(`openai_typescript_responses_round_trip${streamed ? "_streamed" : ""}`, async () => {
    const turn = async (input) => {
      const body = { model: "gpt-tools-1", tools: [{ type: "function", strict: false, ...tool.function }], input };
      return streamed ? client.responses.stream(body).finalResponse() : client.responses.create(body);
    };
    const question = { role: "user", content: "Weather?" };
    const first = await turn([question]);
    const call = first.output.find((item) => item.type === "function_call");
    assert.equal(call.name, "get_weather");
    assert.deepEqual(JSON.parse(call.arguments), weather);
    const answer = await turn([question, ...first.output, { type: "function_call_output", call_id: call.call_id, output: "rain" }]);
    assert.equal(answer.output_text, env.WORDS);
    await checkToolsSent();
  });
}

await claim("openai_typescript_errors_are_typed", async () => {
  const bad = client.chat.completions.create({ ...ask, messages: [{ role: "nobody", content: "x" }] });
  await assert.rejects(bad, (e) => e instanceof OpenAI.BadRequestError && Boolean(e.message));
});
