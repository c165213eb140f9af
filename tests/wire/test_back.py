#!/usr/bin/env python3
"""The way back to a lead that binds its thinking to what stands before it: no 400 reaches the client, the lead's own thinking stays."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import *  # noqa: E402,F403
from outages import *  # noqa: E402,F403
from talk import *  # noqa: E402,F403


def blocks_of(reply):
    """(content blocks, stop reason) of a Messages answer, whole or streamed."""
    expect(reply.status, 200, f"status: {reply.text[:600]}")
    if reply.headers["content-type"].startswith("application/json"):
        return reply.json["content"], reply.json["stop_reason"]
    blocks, stop, kinds = [], None, []
    for name, data in sse_events(reply.text):
        e = json.loads(data)
        kinds.append(name)
        if name == "content_block_start":
            expect(e["index"], len(blocks), "index")
            blocks.append(dict(e["content_block"]))
        elif name == "content_block_delta":
            delta = e["delta"]
            key = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature", "input_json_delta": "json"}[delta["type"]]
            blocks[-1][key] = blocks[-1].get(key, "") + delta["partial_json" if key == "json" else key]
        elif name == "message_delta":
            stop = e["delta"]["stop_reason"]
    expect((kinds[0], kinds[-1], kinds.count("error")), ("message_start", "message_stop", 0), reply.text[-600:])
    for block in blocks:
        if "json" in block:
            block["input"] = json.loads(block.pop("json"))
    return blocks, stop


def raw_client(url):
    def ask(history, streamed, tools):
        reply = post_json(url + "/v1/messages", {
            "model": "claude-opus-5-5", "max_tokens": 2000, "stream": streamed, "system": SYSTEM, "tools": [TOOL], "messages": history,
            "tool_choice": {"type": "auto" if tools else "none"}})
        blocks, stop = blocks_of(reply)
        return blocks, blocks, stop
    return ask


THINKS = ["--thinking", "4"]
SPARES = {  # name: what it speaks, its options, refusals by the lead: one for each signature it meets for the first time
    "that_speaks_chat": ("openai", [], 0),
    "that_speaks_chat_and_thinks": ("openai", THINKS, 0),
    "that_speaks_messages": ("anthropic", [], 0),
    "that_speaks_messages_and_signs": ("anthropic", THINKS, 1),  # always the same one
    "that_binds_its_thinking_too": ("anthropic", THINKS + ["--bind-thinking"], 3),
}
for name, (speaks, more, refusals) in SPARES.items():
    with claim(f"thirty_turns_across_three_outages_with_a_spare_{name}"):
        with Standin("lead", **lead_options()) as lead, Standin("spare", words=WORDS, tools={TOOL["name"]: INPUT}, more=more) as spare:
            with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks(speaks)}, chain=["lead", "spare/x"], more=BREAKER) as s:
                talk(s, lead, raw_client(s.url), refusals)
                expect_true(spare.stats()["requests"] >= 12, "the spare answered while the lead was gone")
finish()
