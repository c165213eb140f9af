#!/usr/bin/env python3
"""The Anthropic Python SDK, unmodified, against a dead lead and a stand-in that speaks OpenAI chat."""
from clients import *

in_venv()
import anthropic  # noqa: E402
import outages  # noqa: E402

MODEL = "claude-sonnet-4-5"
TOOL = {"name": "get_weather", "description": "Weather of a city", "input_schema": {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}}
ASK = [{"role": "user", "content": "Count."}]


def check_message(message, text=words(WORDS)):
    expect(message.role, "assistant", "role")
    expect([b.type for b in message.content], ["text"], "blocks")
    expect(message.content[0].text, text, "text")
    expect(message.stop_reason, "end_turn", "stop_reason")
    expect_true(message.usage.output_tokens > 0, f"usage: {message.usage}")


def whole(client):
    raw = client.messages.with_raw_response.create(model=MODEL, max_tokens=200, system="Be brief.", messages=ASK)
    check_message(raw.parse())
    expect(raw.headers.get("x-hotspare-served-by"), "spare", "served by")


def stream_events(client):
    text, kinds = "", []
    for event in client.messages.create(model=MODEL, max_tokens=200, messages=ASK, stream=True):
        kinds.append(event.type)
        if event.type == "content_block_delta":
            expect(event.index, 0, "index")
            text += event.delta.text
    expect(text, words(WORDS), "text")
    solid = [k for k in kinds if k not in ("ping", "content_block_delta")]
    expect(solid, ["message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"], "events")


def stream_helper(client):
    with client.messages.stream(model=MODEL, max_tokens=200, messages=ASK) as stream:
        text = "".join(stream.text_stream)
        check_message(stream.get_final_message())
    expect(text, words(WORDS), "text stream")


def tools_round_trip(client, spare, streamed):
    def turn(messages):
        if not streamed:
            return client.messages.create(model=MODEL, max_tokens=200, tools=[TOOL], messages=messages)
        with client.messages.stream(model=MODEL, max_tokens=200, tools=[TOOL], messages=messages) as stream:
            return stream.get_final_message()

    first = turn([{"role": "user", "content": "Weather?"}])
    expect(first.stop_reason, "tool_use", "stop_reason")
    call = [b for b in first.content if b.type == "tool_use"][0]
    expect((call.name, call.input), ("get_weather", WEATHER), "the call")
    answer = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
    second = turn([{"role": "user", "content": "Weather?"}, {"role": "assistant", "content": [b.model_dump() for b in first.content]},
                   {"role": "user", "content": [answer]}])
    check_message(second)
    sent = spare.last()["messages"]
    calls = [c for m in sent if m["role"] == "assistant" for c in m.get("tool_calls") or []]
    expect([json.loads(c["function"]["arguments"]) for c in calls], [WEATHER], "arguments as the stand-in got them")
    results = [m for m in sent if m["role"] == "tool"]
    expect([m["tool_call_id"] for m in results], [calls[0]["id"]], "ids of the results")
    expect_true("rain" in json.dumps(results), f"the result is missing: {results}")


def image(client, spare):
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG_BASE64}}
    check_message(client.messages.create(model=MODEL, max_tokens=200, messages=[{"role": "user", "content": [picture, {"type": "text", "text": "What is it?"}]}]), words(WORDS) + SAW_ONE)
    parts = [p for m in spare.last()["messages"] if isinstance(m["content"], list) for p in m["content"]]
    expect([p["image_url"]["url"] for p in parts if p["type"] == "image_url"], [f"data:image/png;base64,{PNG_BASE64}"], "the picture")


def errors_are_typed(client):
    try:
        client.messages.create(model=MODEL, max_tokens=200, messages=ASK)
    except anthropic.BadRequestError as e:
        expect(e.body["type"], "error", "body type")
        expect(e.body["error"]["type"], "invalid_request_error", "error type")
    else:
        raise AssertionError("a 400 of the provider raised nothing")


def long_talk(client):
    """A conversation as the SDK's users keep it: answers go back as the objects they came in."""
    def ask(history, streamed, tools):
        wanted = dict(model="claude-opus-5-5", max_tokens=2000, system=outages.SYSTEM, tools=[outages.TOOL], messages=history,
                      tool_choice={"type": "auto" if tools else "none"})
        if streamed:
            with client.messages.stream(**wanted) as stream:
                message = stream.get_final_message()
        else:
            message = client.messages.create(**wanted)
        return message.content, [b.model_dump() for b in message.content], message.stop_reason
    return ask


for how in ("refused", "529", "org-disabled", "cut@6"):
    fate = how.replace("-", "_").replace("@", "_")
    with dead_lead(how, "anthropic") as lead, Standin("spare", words=WORDS) as spare, Standin("caller", tools={"get_weather": WEATHER}, words=WORDS) as caller:
        with Serve({"lead": lead, "spare": spare.speaks("openai"), "caller": caller.speaks("openai")},
                   routes=[("claude-tools-*", ["lead", "caller/gpt-spare"]), ("*", ["lead", "spare/gpt-spare"])]) as s:
            client = anthropic.Anthropic(base_url=s.url, api_key="sk-any", max_retries=0, timeout=30)
            with claim(f"anthropic_python_whole_with_lead_{fate}"):
                whole(client)
            with claim(f"anthropic_python_stream_with_lead_{fate}"):
                stream_events(client)
            with claim(f"anthropic_python_stream_helper_with_lead_{fate}"):
                stream_helper(client)
            with claim(f"anthropic_python_image_with_lead_{fate}"):
                image(client, spare)
            MODEL = "claude-tools-1"
            with claim(f"anthropic_python_tools_round_trip_with_lead_{fate}"):
                tools_round_trip(client, caller, streamed=False)
            with claim(f"anthropic_python_tools_round_trip_streamed_with_lead_{fate}"):
                tools_round_trip(client, caller, streamed=True)
            MODEL = "claude-sonnet-4-5"
with Standin("lead", fault="400") as lead, Standin("spare") as spare:
    with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("openai")}, chain=["lead", "spare/gpt-spare"]) as s:
        with claim("anthropic_python_errors_are_typed"):
            errors_are_typed(anthropic.Anthropic(base_url=s.url, api_key="sk-any", max_retries=0, timeout=30))
for speaks, refusals in (("openai", 0), ("anthropic", 3)):
    with claim(f"anthropic_python_thirty_turns_across_three_outages_with_a_spare_that_speaks_{speaks}"):
        with Standin("lead", **outages.lead_options()) as lead, Standin("spare", words=outages.WORDS, tools={outages.TOOL["name"]: outages.INPUT}, more=["--bind-thinking"]) as spare:
            with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks(speaks)}, chain=["lead", "spare/x"], more=outages.BREAKER) as s:
                outages.talk(s, lead, long_talk(anthropic.Anthropic(base_url=s.url, api_key="sk-any", max_retries=0, timeout=30)), refusals)
finish()
