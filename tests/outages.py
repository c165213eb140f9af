"""One long conversation across three outages of a lead that binds its thinking, whoever the client is.

    talk(s, lead, ask, refusals)

`ask(history, streamed, tools)` sends the next turn and returns (content as it goes back into the history,
its blocks as plain dicts, stop_reason). Standard library and tests/harness.py only."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import expect, expect_true, words  # noqa: E402

TURNS, WORDS, THINKING = 30, 24, 6
BREAKER = "breaker: { failures: 1, open: 100ms, max_open: 100ms }\n"
INPUT = {"city": "Łódź", "days": 3}
TOOL = {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}}
SYSTEM = "Be brief."
# Turn -> faults of the lead from then on. The second outage begins in its thinking, the third in its words behind it.
OUTAGES = {6: "529", 10: "", 14: "cut@5,times=1 503", 18: "", 22: "cut@16,times=1 reset", 26: ""}


def lead_options():
    return dict(words=WORDS, tools={TOOL["name"]: INPUT}, more=["--bind-thinking", "--thinking", str(THINKING)])


def calls(number):
    """Turns with a tool call; their requests are two."""
    return number % 4 in (1, 2) and number not in OUTAGES


def wait_until_asked_again(s):
    """Until the lead's circuit would let a request try."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        states = {k: v for k, v in s.metrics().items() if 'target="lead"' in k and 'state="open"' in k}
        expect_true(states, "the lead's circuit is told")
        if not any(states.values()):
            return
        time.sleep(0.02)  # a look every so often; nothing depends on its length
    raise AssertionError("the lead's circuit stayed open")


def signatures(messages):
    return [b["signature"] for m in messages if isinstance(m["content"], list) for b in m["content"] if b["type"] == "thinking"]


def check(blocks, stop, tools):
    """The answer or the call, whole. Its thinking, and the rest."""
    thoughts = [b for b in blocks if b["type"] == "thinking"]
    rest = [b for b in blocks if b["type"] != "thinking"]
    if tools:
        expect(([(b["type"], b["input"]) for b in rest], stop), ([("tool_use", INPUT)], "tool_use"), "the call")
    else:
        expect(([b["type"] for b in rest], "".join(b["text"] for b in rest), stop), (["text"], words(WORDS), "end_turn"), "the answer")
    return thoughts, rest


def talk(s, lead, ask, refusals):
    """Thirty turns. refusals: how often the lead refuses thinking in all; each is mended unseen. Where it refuses none, all it ever
    thought must still be in the history it is sent; else what it thought since it was back. Returns the history."""
    history, up, kept = [], True, []
    for number in range(TURNS):
        if number in OUTAGES:
            expect(lead.faults(OUTAGES[number]).status, 200, "faults")
            up = OUTAGES[number] == ""
            if up:
                wait_until_asked_again(s)
                kept = kept if refusals == 0 else []
        streamed, tools = number % 2 == 0, calls(number)
        content = f"Turn {number}."
        for step in (True, False) if tools else (False,):
            history.append({"role": "user", "content": content})
            back, blocks, stop = ask(history, streamed, step)
            history.append({"role": "assistant", "content": back})
            thoughts, rest = check(blocks, stop, step)
            if up:
                expect(len(thoughts), 1, f"turn {number}: the lead thinks")
                sent = lead.last()["messages"]
                expect([m["role"] for m in sent], ["user", "assistant"] * (len(sent) // 2) + ["user"], "turns as the lead sees them")
                expect(signatures(sent), kept, f"turn {number}: thinking in the history the lead is sent")
            kept = kept + [b["signature"] for b in thoughts if not b["signature"].startswith("hotspare1.")]
            if step:
                content = [{"type": "tool_result", "tool_use_id": rest[0]["id"], "content": "rain"}]
    told = s.metrics().get('hotspare_attempts_total{target="lead",result="thinking_refused"}', 0)
    expect(told, refusals, "refusals of thinking by the lead, none of which the client saw")
    expect(len(history), 2 * (TURNS + sum(map(calls, range(TURNS)))), "turns in the history")
    return history
