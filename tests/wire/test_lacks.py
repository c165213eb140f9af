#!/usr/bin/env python3
"""What a stand-in is told to lack it lacks, at both doors, and it lacks nothing else: every feature is asked for, with
every gap, and exactly the planted one is found. Then what the gateway makes of some of them."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *  # noqa: E402,F403
from harness import BIN, Serve, Standin, words  # noqa: E402
from talk import chat, chat_text, messages, messages_text  # noqa: E402

WORDS = 20
TOOLS = {"get_weather": {"city": "Oslo"}, "get_time": {"zone": "CET"}}
SCHEMA = {"type": "object"}
PIXEL = "iVBORw0KGgo="
PAPER = "JVBERi0xLjQ="


class Messages:
    path = "/v1/messages"
    make, text = staticmethod(messages), staticmethod(messages_text)
    tools = [{"name": n, "input_schema": SCHEMA} for n in TOOLS]
    forced = {"type": "any"}
    stop = {"stop_sequences": ["w7"]}
    schema = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    paper = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PAPER}}

    @staticmethod
    def calls(reply):
        return sum(b["type"] == "tool_use" for b in reply.json["content"])


class Chat:
    path = "/v1/chat/completions"
    make, text = staticmethod(chat), staticmethod(chat_text)
    tools = [{"type": "function", "function": {"name": n, "parameters": SCHEMA}} for n in TOOLS]
    forced = "required"
    stop = {"stop": ["w7"]}
    schema = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}}
    thinking = {"reasoning_effort": "low"}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXEL}}
    paper = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64," + PAPER}}

    @staticmethod
    def calls(reply):
        return len(reply.json["choices"][0]["message"].get("tool_calls") or [])


def is_json(text):
    try:
        return isinstance(json.loads(text), dict)
    except (TypeError, ValueError):
        return False


def lacking(url, door):
    """The names of all that is missing at this door."""
    def ask(**more):
        return post_json(url + door.path, door.make(**more))

    def fine(**more):
        return ask(**more).status == 200

    def says(**more):
        reply = ask(**more)
        return door.text(reply)[0] if reply.status == 200 else None

    def parts(block):
        body = door.make()
        body["messages"][0]["content"] = [block, {"type": "text", "text": "look"}]
        return post_json(url + door.path, body).status == 200

    def goes_on():
        body = door.make()
        body["messages"].append({"role": "assistant", "content": "w1 w2 w3"})
        reply = post_json(url + door.path, body)
        return reply.status == 200 and door.text(reply)[0].split()[0] == "w4"

    options = {"stream_options": {"include_usage": True}} if door is Chat else {}
    streamed = ask(stream=True)
    is_stream = streamed.headers["content-type"].startswith("text/event-stream")
    gaps = {"stream": not is_stream, "stream-end": is_stream and not door.text(streamed)[1]}
    tools = ask(tools=door.tools)
    calls = door.calls(tools) if tools.status == 200 else -1
    gaps.update({"tools": calls < 0, "tool-calls": calls == 0, "parallel-tools": calls == 1})
    gaps["forced-tool"] = calls > 0 and not fine(tools=door.tools, tool_choice=door.forced)
    gaps.update({"images": not parts(door.image), "pdf": not parts(door.paper)})
    gaps["json-schema"] = not is_json(says(**door.schema))
    gaps["stop"] = says(**door.stop) != words(6)
    gaps["max-tokens"] = says(max_tokens=5) != words(5)
    gaps["thinking"] = not fine(**door.thinking)
    gaps["prefill"] = not goes_on()
    if options:
        usage = ask(stream=True, **options)
        gaps["stream-options"] = usage.status == 400
        gaps["stream-usage"] = is_stream and usage.status == 200 and '"prompt_tokens"' not in usage.text
    return sorted(name for name, missing in gaps.items() if missing)


ALL = ("stream", "stream-end", "stream-options", "stream-usage", "tools", "tool-calls", "forced-tool", "parallel-tools", "images", "pdf",
       "json-schema", "stop", "max-tokens", "thinking", "prefill")
CHAT_ONLY = ("stream-options", "stream-usage")

with claim("help_names_every_gap"):
    text = subprocess.run([BIN, "standin", "--help"], capture_output=True, text=True, check=True).stdout
    told = text.split("what it can lack")[1].splitlines()[1:]
    expect(tuple(line.split()[0] for line in told if line.strip()), ALL, "gaps")

with claim("an_unknown_gap_is_a_usage_error"):
    for bad in ("colour", "", "tools,colour", "tools,"):
        run = subprocess.run([BIN, "standin", "--lacks", bad], capture_output=True, text=True)
        expect((run.returncode, "--lacks" in run.stderr), (64, True), repr(bad))

with Standin("whole", words=WORDS, tools=TOOLS) as s, claim("without_the_option_nothing_is_missing"):
    for door in (Messages, Chat):
        expect(lacking(s.url, door), [], door.path)

for gap in ALL:
    with Standin("gap", words=WORDS, tools=TOOLS, more=["--lacks", gap]) as s, claim("exactly_this_is_missing: " + gap):
        for door in (Messages, Chat):
            expect(lacking(s.url, door), [gap] if door is Chat or gap not in CHAT_ONLY else [], door.path)

with Standin("gaps", words=WORDS, tools=TOOLS, more=["--lacks", "images,stop", "--lacks", "pdf"]) as s, claim("several_gaps_add_up"):
    for door in (Messages, Chat):
        expect(lacking(s.url, door), ["images", "pdf", "stop"], door.path)

with Standin("lead", words=WORDS) as lead, Standin("spare", words=WORDS, more=["--lacks", "prefill"]) as spare:
    with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("anthropic")}, chain=["lead", "spare/x"]) as g, \
            claim("a_spare_without_prefill_is_asked_in_words"):
        lead.faults("cut@12")
        text, done = messages_text(post_json(g.url + "/v1/messages", messages(stream=True)))
        expect((text, done), (words(WORDS), True), "answer")

finish()
