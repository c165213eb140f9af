#!/usr/bin/env python3
"""The OpenAI Python SDK, unmodified, against a dead lead and a stand-in that speaks Anthropic Messages."""
from clients import *

in_venv()
import openai  # noqa: E402

MODEL = "gpt-5.6"
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}}}
ASK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Count."}]


def check_choice(choice, text=words(WORDS)):
    expect(choice.message.role, "assistant", "role")
    expect(choice.message.content, text, "text")
    expect(choice.finish_reason, "stop", "finish_reason")


def whole(client):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, max_tokens=200, messages=ASK)
    answer = raw.parse()
    check_choice(answer.choices[0])
    expect_true(answer.usage.completion_tokens > 0, f"usage: {answer.usage}")
    expect(raw.headers.get("x-hotspare-served-by"), "spare", "served by")


def stream_events(client):
    text, reasons, usage = "", [], None
    for chunk in client.chat.completions.create(model=MODEL, messages=ASK, stream=True, stream_options={"include_usage": True}):
        expect(chunk.object, "chat.completion.chunk", "object")
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasons += [choice.finish_reason] if choice.finish_reason else []
    expect(text, words(WORDS), "text")
    expect(reasons, ["stop"], "finish reasons")
    expect_true(usage is not None and usage.completion_tokens > 0, f"usage: {usage}")


def stream_helper(client):
    with client.chat.completions.stream(model=MODEL, messages=ASK) as stream:
        for _ in stream:
            pass
        check_choice(stream.get_final_completion().choices[0])


def tools_round_trip(client, spare, streamed):
    def turn(messages):
        if not streamed:
            return client.chat.completions.create(model=MODEL, tools=[TOOL], messages=messages).choices[0]
        with client.chat.completions.stream(model=MODEL, tools=[TOOL], messages=messages) as stream:
            return stream.get_final_completion().choices[0]

    first = turn([{"role": "user", "content": "Weather?"}])
    expect(first.finish_reason, "tool_calls", "finish_reason")
    call = first.message.tool_calls[0]
    expect((call.function.name, json.loads(call.function.arguments)), ("get_weather", WEATHER), "the call")
    mine = {"role": "assistant", "content": first.message.content, "tool_calls": [
        {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": call.function.arguments}}]}
    check_choice(turn([{"role": "user", "content": "Weather?"}, mine, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]))
    check_tools_sent(spare)


def check_tools_sent(spare):
    blocks = [b for m in spare.last()["messages"] if isinstance(m["content"], list) for b in m["content"]]
    uses = [b for b in blocks if b["type"] == "tool_use"]
    expect([u["input"] for u in uses], [WEATHER], "input as the stand-in got it")
    results = [b for b in blocks if b["type"] == "tool_result"]
    expect([r["tool_use_id"] for r in results], [uses[0]["id"]], "ids of the results")
    expect_true("rain" in json.dumps(results), f"the result is missing: {results}")


def image(client, spare):
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG_BASE64}"}}
    check_choice(client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}]).choices[0], words(WORDS) + SAW_ONE)
    blocks = [b for m in spare.last()["messages"] if isinstance(m["content"], list) for b in m["content"]]
    expect([b["source"] for b in blocks if b["type"] == "image"], [{"type": "base64", "media_type": "image/png", "data": PNG_BASE64}], "the picture")


def text_completion(client):
    answer = client.completions.create(model=MODEL, prompt="Count.", max_tokens=200)
    expect(answer.choices[0].text.strip(), words(WORDS), "text")
    expect(answer.choices[0].finish_reason, "stop", "finish_reason")


def text_completion_stream(client):
    parts = [c.text for chunk in client.completions.create(model=MODEL, prompt="Count.", max_tokens=200, stream=True) for c in chunk.choices]
    expect("".join(parts).strip(), words(WORDS), "text")


FLAT_TOOL = {"type": "function", **TOOL["function"], "strict": False}


def check_response(answer):
    expect((answer.object, answer.status), ("response", "completed"), "status")
    expect(answer.output_text, words(WORDS), "text")
    expect_true(answer.usage.output_tokens > 0 and answer.usage.total_tokens > answer.usage.output_tokens, f"usage: {answer.usage}")


def responses_whole(client):
    raw = client.responses.with_raw_response.create(model=MODEL, instructions="Be brief.", input="Count.", max_output_tokens=200)
    check_response(raw.parse())
    expect(raw.headers.get("x-hotspare-served-by"), "spare", "served by")


def responses_stream(client):
    text, numbers, last = "", [], None
    for event in client.responses.create(model=MODEL, instructions="Be brief.", input="Count.", stream=True):
        numbers.append(event.sequence_number)
        text += event.delta if event.type == "response.output_text.delta" else ""
        last = event
    expect((text, last.type), (words(WORDS), "response.completed"), "pieces and end")
    expect(numbers, list(range(len(numbers))), "sequence numbers")
    check_response(last.response)


def responses_stream_helper(client):
    with client.responses.stream(model=MODEL, input="Count.") as stream:
        for _ in stream:
            pass
        check_response(stream.get_final_response())


def responses_round_trip(client, spare, streamed):
    def turn(items):
        asked = {"model": MODEL, "tools": [FLAT_TOOL], "input": items, "store": False}
        if not streamed:
            return client.responses.create(**asked)
        with client.responses.stream(**asked) as stream:
            return stream.get_final_response()

    question = {"role": "user", "content": "Weather?"}
    first = turn([question])
    call = next(i for i in first.output if i.type == "function_call")
    expect((call.name, json.loads(call.arguments)), ("get_weather", WEATHER), "the call")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    expect(turn([question, *(i.model_dump(exclude_none=True) for i in first.output), result]).output_text, words(WORDS), "answer")
    check_tools_sent(spare)


def errors_are_typed(client):
    try:
        client.chat.completions.create(model=MODEL, messages=[{"role": "nobody", "content": "x"}])
    except openai.BadRequestError as e:
        expect_true(e.body and e.body.get("message"), f"the error has no message: {e.body}")
    else:
        raise AssertionError("an unknown role was let through")


for how in ("refused", "529", "org-disabled", "cut@6"):
    fate = how.replace("-", "_").replace("@", "_")
    with dead_lead(how, "anthropic") as lead, Standin("spare", words=WORDS) as spare, Standin("caller", tools={"get_weather": WEATHER}, words=WORDS) as caller:
        with Serve({"lead": lead, "spare": spare.speaks("anthropic"), "caller": caller.speaks("anthropic")},
                   routes=[("gpt-tools-*", ["lead/claude-lead", "caller/claude-spare"]), ("*", ["lead/claude-lead", "spare/claude-spare"])]) as s:
            client = openai.OpenAI(base_url=s.url + "/v1", api_key="sk-any", max_retries=0, timeout=30)
            with claim(f"openai_python_whole_with_lead_{fate}"):
                whole(client)
            with claim(f"openai_python_stream_with_lead_{fate}"):
                stream_events(client)
            with claim(f"openai_python_stream_helper_with_lead_{fate}"):
                stream_helper(client)
            with claim(f"openai_python_image_with_lead_{fate}"):
                image(client, spare)
            with claim(f"openai_python_text_completion_with_lead_{fate}"):
                text_completion(client)
            with claim(f"openai_python_text_completion_stream_with_lead_{fate}"):
                text_completion_stream(client)
            with claim(f"openai_python_responses_whole_with_lead_{fate}"):
                responses_whole(client)
            with claim(f"openai_python_responses_stream_with_lead_{fate}"):
                responses_stream(client)
            with claim(f"openai_python_responses_stream_helper_with_lead_{fate}"):
                responses_stream_helper(client)
            MODEL = "gpt-tools-1"
            with claim(f"openai_python_responses_round_trip_with_lead_{fate}"):
                responses_round_trip(client, caller, streamed=False)
            with claim(f"openai_python_responses_round_trip_streamed_with_lead_{fate}"):
                responses_round_trip(client, caller, streamed=True)
            with claim(f"openai_python_tools_round_trip_with_lead_{fate}"):
                tools_round_trip(client, caller, streamed=False)
            with claim(f"openai_python_tools_round_trip_streamed_with_lead_{fate}"):
                tools_round_trip(client, caller, streamed=True)
            MODEL = "gpt-5.6"
            with claim(f"openai_python_errors_are_typed_with_lead_{fate}"):
                errors_are_typed(client)
finish()
