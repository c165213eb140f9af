#!/usr/bin/env python3
"""Every fault of the stand-in before the first word, at both doors, towards both formats, whole and streamed:
the caller gets a complete answer from the next target, and the header says why."""
import concurrent.futures
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import Serve, Standin  # noqa: E402

WORDS = 9
BROKEN = ("unreachable", "broken_stream", "transient")  # a reset may be seen at any of these moments
FAULTS = {
    "refused": ("unreachable",), "reset": BROKEN, "silent": ("stalled",), "headers-only": ("stalled",), "pings-only": ("stalled",),
    "401": ("key_bad",), "402": ("account_gone", "quota_gone"), "403": ("account_gone",), "404": ("model_gone",), "408": ("transient",),
    "429": ("rate_limited",), "429,retry-after=30": ("rate_limited",), "500": ("transient",), "502": ("transient",), "503": ("transient",),
    "503,retry-after=60": ("transient", "overloaded"), "504": ("transient",), "529": ("overloaded",), "org-disabled": ("account_gone",), "credit": ("quota_gone",),
    "spend-limit": ("quota_gone",), "html": ("broken_stream",), "html-503": ("transient",), "error-first": ("overloaded",),
    "error-after-start": ("overloaded",), "cut@1": BROKEN, "cut-bytes@40": BROKEN, "rst@1": BROKEN, "stall@1": ("stalled",), "garbage@0": BROKEN,
    "empty": BROKEN, "error-200": ("overloaded", "broken_stream"), "gzip": BROKEN, "cut-line@1": BROKEN,
}
STREAM_ONLY = ("pings-only", "error-first", "error-after-start", "cut@1", "rst@1", "stall@1", "garbage@0", "cut-line@1")
CASES = [(door, spare, stream) for door in ("messages", "chat") for spare in ("anthropic", "openai") for stream in (False, True)]


def ask(url, door, model, stream, text="Count."):
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}
    if door == "messages":
        return post_json(url + "/v1/messages", body | {"max_tokens": 100})
    return post_json(url + "/v1/chat/completions", body)


def messages_stream_text(events):
    """The text of a Messages stream; its grammar is checked on the way."""
    kinds = [name for name, _ in events if name != "ping"]
    expect((kinds[0], kinds[-1], kinds.count("message_start"), kinds.count("message_stop"), kinds.count("message_delta")),
           ("message_start", "message_stop", 1, 1, 1), "frame")
    expect("error" in kinds, False, "an error event")
    parts = [json.loads(data) for name, data in events if name == "content_block_delta"]
    return "".join(p["delta"]["text"] for p in parts)


def chat_stream_text(events):
    expect(events[-1][1], "[DONE]", "last event")
    chunks = [json.loads(data) for _, data in events[:-1]]
    expect([c["finish_reason"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"]], ["stop"], "finish reasons")
    return "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])


def text_of(reply, door, stream):
    if stream:
        events = sse_events(reply.text)
        return messages_stream_text(events) if door == "messages" else chat_stream_text(events)
    if door == "messages":
        return "".join(b["text"] for b in reply.json["content"])
    return reply.json["choices"][0]["message"]["content"]


def check(s, fault, causes, door, spare, stream):
    where = f"{fault}, {door} door, {spare} target, {'streamed' if stream else 'whole'}"
    reply = ask(s.url, door, f"to-{spare}", stream, where)  # a conversation of its own: one that a failure has moved is not sent to the lead again
    expect(reply.status, 200, f"{where}: status ({reply.text[:300]})")
    expect(text_of(reply, door, stream), words(WORDS), f"{where}: text")
    if stream or fault not in STREAM_ONLY:
        expect(reply.headers.get("x-hotspare-served-by"), spare, f"{where}: served by")
        switched = reply.headers.get("x-hotspare-switched", "")
        expect_true(switched.startswith(f"lead>{spare}; ") and switched.split("; ")[1] in causes, f"{where}: x-hotspare-switched is {switched!r}, wanted one of {causes}")


def story(fault, causes):
    with Standin("lead", words=WORDS, fault=fault) as lead, Standin("anthropic", words=WORDS) as a, Standin("openai", words=WORDS) as o:
        with Serve({"lead": lead.speaks("anthropic"), "anthropic": a.speaks("anthropic"), "openai": o.speaks("openai")},
                   routes=[("to-anthropic", ["lead", "anthropic"]), ("to-openai", ["lead", "openai/gpt-x"])],
                   deadlines={"first_token": "1s", "stall": "2s", "total": "8s"}, more="breaker: { failures: 1000 }\n") as s:
            with concurrent.futures.ThreadPoolExecutor(len(CASES)) as pool:
                for done in [pool.submit(check, s, fault, causes, *case) for case in CASES]:
                    done.result()


def callers_fault():
    """A 400 that really is the caller's goes back as it came, and nobody else is bothered."""
    with Standin("lead", fault="400") as lead, Standin("spare") as spare:
        with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("openai")}, chain=["lead", "spare/gpt-x"]) as s:
            reply = ask(s.url, "messages", "m", False)
            direct = ask(lead.url, "messages", "m", False)
            expect((reply.status, reply.json["error"]["message"]), (400, direct.json["error"]["message"]), "the error")
            expect(spare.stats()["requests"], 0, "requests the spare saw")


def nobody_left():
    """Everybody down: an honest error in the caller's dialect, streamed or not, and soon."""
    with Standin("one", fault="529") as one, Standin("two", fault="503") as two:
        with Serve({"one": one.speaks("anthropic"), "two": two.speaks("openai")}, chain=["one", "two/gpt-x"], deadlines={"first_token": "4s", "stall": "4s", "total": "10s"}) as s:
            for stream in (False, True):
                reply = ask(s.url, "messages", "m", stream)
                expect_true(reply.status >= 500, f"status {reply.status}: {reply.text}")
                expect(reply.json["type"], "error", "Messages envelope")
                reply = ask(s.url, "chat", "m", stream)
                expect_true(reply.status >= 500 and reply.json["error"]["message"], f"{reply.status}: {reply.text}")


def cut_in_the_middle():
    """Behind the first word a cut that nobody can mend is an error event, never a clean end."""
    with Standin("lead", words=90, fault="cut@10") as lead, Standin("spare", fault="reset") as spare:
        with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("openai")}, chain=["lead", "spare/gpt-x"]) as s:
            for model_door in ("messages", "chat"):
                events = sse_events(ask(s.url, model_door, "m", True).text)
                told = "".join(data for _, data in events)
                expect_true('"error"' in told, f"no error was told: {events[-3:]}")
                expect_true("message_stop" not in [name for name, _ in events] and "[DONE]" not in [data for _, data in events], f"a clean end was faked: {events[-2:]}")


def an_error_behind_a_held_call():
    """The lead tells an error behind a tool call that is held back, the spare's circuit has opened meanwhile, and the spare,
    asked all the same, fails in its call too: the client must still be told."""
    call = {"words": words(24)}
    with Standin("lead", tools={"count": call}, rate=10, fault="error@5") as lead, Standin("spare", tools={"count": call}, rate=50, fault="error@5") as spare:
        with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("openai")}, routes=[("m", ["lead", "spare/gpt-x"]), ("spare-only", ["spare/gpt-x"])],
                   more="breaker: { failures: 1 }\n") as s, concurrent.futures.ThreadPoolExecutor(1) as pool:
            tools = [{"name": "count", "input_schema": {"type": "object"}}]
            body = {"model": "m", "max_tokens": 100, "stream": True, "tools": tools, "messages": [{"role": "user", "content": "Count."}]}
            streamed = pool.submit(post_json, s.url + "/v1/messages", body)
            while lead.stats()["requests"] == 0:
                pass
            expect_true(ask(s.url, "messages", "spare-only", False).status >= 500, "the spare fails, and its circuit opens")
            text = streamed.result().text
            expect_true('"type":"error"' in text and "message_stop" not in text, f"neither told nor honest: {text}")


def big_body():
    """A body far above every buffer is given whole to the next target."""
    text = "0123456789abcdef" * (1 << 19)  # 8 MiB
    with Standin("lead", fault="529") as lead, Standin("spare", words=WORDS) as spare:
        with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("openai")}, chain=["lead", "spare/gpt-x"]) as s:
            reply = post_json(s.url + "/v1/messages", {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": text}]})
            expect((reply.status, text_of(reply, "messages", False)), (200, words(WORDS)), "answer")
            sent = spare.last()["messages"][-1]["content"]
            expect((sent if isinstance(sent, str) else sent[0]["text"]) == text, True, "the text arrived whole")


for fault, causes in FAULTS.items():
    with claim("next_target_answers_when_the_lead_is_" + re.sub(r"\W+", "_", fault)):
        story(fault, causes)
with claim("the_callers_own_mistake_goes_back_untried_elsewhere"):
    callers_fault()
with claim("nobody_left_is_an_honest_error_in_the_callers_dialect"):
    nobody_left()
with claim("a_cut_that_nobody_can_mend_is_an_error_event_and_no_clean_end"):
    cut_in_the_middle()
with claim("an_error_behind_a_held_tool_call_is_told_when_nobody_is_left"):
    an_error_behind_a_held_call()
with claim("an_8_mib_body_reaches_the_next_target_whole"):
    big_body()
finish()
