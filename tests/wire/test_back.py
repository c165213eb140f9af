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


def refusal(ask, history):
    """The words of the 400, or None where the history was taken."""
    try:
        ask(history, False, False)
    except AssertionError as e:
        return str(e)
    return None


with claim("the_lead_of_these_tests_refuses_what_claude_refuses"):
    with Standin("lead", **lead_options()) as lead:
        ask = raw_client(lead.url)
        history = []
        for n in range(3):
            history.append({"role": "user", "content": f"Turn {n}."})
            history.append({"role": "assistant", "content": ask(history, False, False)[0]})
        history.append({"role": "user", "content": "Turn 3."})

        def changed(at, **more):
            return [dict(m, **more) if i == at else m for i, m in enumerate(history)]

        def without(*turns):
            return [dict(m, content=[b for b in m["content"] if b["type"] != "thinking"]) if i in turns else m for i, m in enumerate(history)]
        thought = history[1]["content"][0]
        for name, told, wanted in (
                ("as it was", history, None),
                ("the same in other words", changed(2, content=[{"text": "Turn 1.", "cache_control": {"type": "ephemeral"}, "citations": None, "type": "text"}]), None),
                ("without its oldest thinking", without(1), None), ("without any", without(1, 3, 5), None),
                ("without one from the middle", without(3), "messages.5.content.0: Invalid `signature` in `thinking` block. The block is bound"),
                ("an older text edited", changed(2, content="Turn 1!"), "messages.3.content.0: Invalid `signature` in `thinking` block. The block is bound"),
                ("its thinking edited", changed(1, content=[dict(thought, thinking="t1 t9")] + history[1]["content"][1:]), "The block is bound"),
                ("thinking of another", changed(1, content=[dict(thought, signature="EqMDCkYIBxgC")] + history[1]["content"][1:]), "messages.1.content.0: Invalid `signature` in `thinking` block\""),
                ("redacted thinking", changed(1, content=[{"type": "redacted_thinking", "data": "abc"}] + history[1]["content"][1:]), "Invalid `data` in `redacted_thinking` block")):
            said = refusal(ask, told)
            expect_true(said is None if wanted is None else said and wanted in said, f"{name}: {said}")

for streamed in (False, True):
    with claim(f"a_call_without_thinking_is_answered_with_thinking_off_{'streamed' if streamed else 'whole'}"):
        with Standin("lead", **lead_options()) as lead, Standin("spare") as spare:
            with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("openai")}, chain=["lead", "spare/x"]) as s:
                body = {"model": "claude-sonnet-4-5", "max_tokens": 4000, "stream": streamed, "tools": [TOOL], "thinking": {"type": "enabled", "budget_tokens": 2000},
                        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
                        "messages": [{"role": "user", "content": "Weather?"},
                                     {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": INPUT}]},
                                     {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}]}]}
                expect(post_json(lead.url + "/v1/messages", body).status, 400, "the lead itself")
                reply = post_json(s.url + "/v1/messages", body, {"anthropic-beta": "context-management-2025-06-27"})
                blocks, stop = blocks_of(reply)
                expect(([b["type"] for b in blocks], blocks[0]["text"], stop), (["text"], words(WORDS), "end_turn"), "the answer")
                expect((reply.headers["x-hotspare-served-by"], reply.headers["x-hotspare-lossy"]), ("lead", "thinking,context_management"), "what the client is told")
                sent = lead.last()
                expect((sent.get("thinking"), "context_management" in sent), ({"type": "disabled"}, False), "what the lead is asked")
                expect_true("anthropic-beta" in lead.stats()["last_request"]["headers"], "the client's beta header goes with the repeat")

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
