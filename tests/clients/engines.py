"""What the tests of real engines share. Their model counts (counting_model.py), so each answer is known to the word.

Stories take a gateway whose chain ends at the engine `mine`: doors(s), limits(s), tools(s); goes_on(serve) starts its own.
"""
import os
import signal
import time

from clients import *  # noqa: F401,F403
from clients import Standin, claim, expect, expect_true, json, post_json, refused_url, request, sse_events, words

ALL = words(40)  # all that the model says
TOOLS = [{"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}}}]
LOOK = [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": TOOLS[0]["input_schema"]}}]


def dead(dialect="anthropic"):
    return {"kind": "standin", "url": refused_url(), "speaks": dialect}


def messages(s, stream, text="hi", **more):
    body = {"model": "claude-x", "max_tokens": 200, "stream": stream, "messages": [{"role": "user", "content": text}]}
    return post_json(s.url + "/v1/messages", dict(body, **more), {"anthropic-version": "2023-06-01"}, seconds=120)


def chat(s, stream, text="hi", **more):
    body = {"model": "gpt-x", "stream": stream, "messages": [{"role": "user", "content": text}]}
    return post_json(s.url + "/v1/chat/completions", dict(body, **more), seconds=120)


def responses(s, stream, text="hi", **more):
    return post_json(s.url + "/v1/responses", dict({"model": "gpt-x", "stream": stream, "input": text}, **more), seconds=120)


def completion(s, stream, text="hi", **more):
    return post_json(s.url + "/v1/completions", dict({"model": "gpt-x", "max_tokens": 200, "stream": stream, "prompt": text}, **more), seconds=120)


def chunks(r):
    events = [d for _, d in sse_events(r.text)]
    expect(events[-1], "[DONE]", f"last event of {r.text[-400:]}")
    return [c for d in events[:-1] for c in json.loads(d)["choices"]]


def messages_text(r):
    events = [(n, json.loads(d)) for n, d in sse_events(r.text)]
    expect(events[-1][0], "message_stop", f"last event of {r.text[-400:]}")
    return "".join(d["delta"].get("text", "") for n, d in events if n == "content_block_delta")


def chat_text(r):
    return "".join(c["delta"].get("content") or "" for c in chunks(r))


def responses_text(r):
    events = [(n, json.loads(d)) for n, d in sse_events(r.text)]
    expect(events[-1][0], "response.completed", f"last event of {r.text[-400:]}")
    return "".join(d["delta"] for n, d in events if n == "response.output_text.delta")


def completion_text(r):
    return "".join(c["text"] for c in chunks(r))


def message_said(r):
    return "".join(b.get("text", "") for b in r.json["content"])


DOORS = (("Messages", messages, messages_text, message_said),
         ("chat", chat, chat_text, lambda r: r.json["choices"][0]["message"]["content"]),
         ("Responses", responses, responses_text, lambda r: "".join(c["text"] for o in r.json["output"] for c in o.get("content", []))),
         ("completions", completion, completion_text, lambda r: r.json["choices"][0]["text"]))


def engine(s):
    return request("GET", s.admin + "/api/status").json["engines"][0]


def served_by(r):
    return r.headers.get("x-hotspare-served-by")


def descendants(pid):
    found = [pid]
    for p in found:
        for task in os.listdir(f"/proc/{p}/task"):
            with open(f"/proc/{p}/task/{task}/children") as f:
                found += [int(c) for c in f.read().split()]
    return found


def wait_until(what, check, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if check():
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


# ---- stories ----

def leaves_nothing(s, what):
    """kill -9 of the gateway; an engine of several processes."""
    with claim(what):
        every = descendants(engine(s)["pid"])
        expect_true(len(every) >= 2, f"processes: {every}")
        os.kill(s.p.pid, signal.SIGKILL)
        s.p.wait()
        s.stop = lambda: None
        wait_until("all gone", lambda: not any(is_alive(p) for p in every))


def doors(s, completed="hi<assistant>"):
    """completed: a text completion's prompt; an engine that does not make a chat of it must see where the answer begins."""
    for door, ask, text_of, said in DOORS:
        with claim(f"the real engine answers whole and streamed behind the {door} door"):
            text = completed if ask is completion else "hi"
            r = ask(s, False, text)
            expect((r.status, served_by(r), said(r)), (200, "mine", ALL), r.text)
            expect(text_of(ask(s, True, text)), ALL, "streamed")


def limits(s):
    with claim("the number of tokens, a stop sequence, and usage, as the engine counts them"):
        r = messages(s, False, max_tokens=5)
        expect((message_said(r), r.json["stop_reason"], r.json["usage"]["output_tokens"]), (words(5), "max_tokens", 5), r.text)
        r = messages(s, False, stop_sequences=["w4"])
        expect(message_said(r).strip(), words(3), r.text)
        expect(messages_text(messages(s, True, stop_sequences=["w4"])).strip(), words(3), "streamed")
        r = chat(s, False, max_completion_tokens=5)
        expect((r.json["choices"][0]["message"]["content"], r.json["choices"][0]["finish_reason"]), (words(5), "length"), r.text)


def tools(s):
    with claim("a tool is called by the real engine, whole and streamed, and its result is answered (Messages and chat door)"):
        r = messages(s, False, tools=TOOLS)
        call = r.json["content"][-1]
        expect((r.json["stop_reason"], call["type"], call["name"], call["input"]), ("tool_use", "tool_use", "look", {"q": "a"}), r.text)
        r = messages(s, True, tools=TOOLS)
        parts = [json.loads(d)["delta"].get("partial_json", "") for n, d in sse_events(r.text) if n == "content_block_delta"]
        expect(json.loads("".join(parts)), {"q": "a"}, r.text)
        expect_true('"stop_reason":"tool_use"' in r.text, r.text)
        talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [call]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "found"}]}]
        expect(message_said(messages(s, False, tools=TOOLS, messages=talk)), ALL, "after the result")
        r = chat(s, False, tools=LOOK)
        choice = r.json["choices"][0]
        expect((choice["finish_reason"], json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"])), ("tool_calls", {"q": "a"}), r.text)
        expect(chat(s, False, tools=LOOK, tool_choice="none").json["choices"][0]["finish_reason"], "stop", "no tool may be called")
        calls = [t["function"] for c in chunks(chat(s, True, tools=LOOK)) for t in c["delta"].get("tool_calls", [])]
        expect((calls[0]["name"], json.loads("".join(f.get("arguments", "") for f in calls))), ("look", {"q": "a"}), "streamed")


def goes_on(name, serve):
    for door, ask, text_of, _ in DOORS[:3]:
        for dialect in ("anthropic", "openai"):
            with claim(f"a sentence that a lead speaking {dialect} began is gone on with by {name}, to the word ({door} door)"):
                with Standin("lead", words=12, fault="cut@6", rate=400) as lead, serve(lead.speaks(dialect)) as s:
                    expect(text_of(ask(s, True)), ALL, "the whole")
                    expect(s.metrics().get('hotspare_rescues_total{phase="mid_stream",result="ok"}'), 1, "rescues")
                    s.wait_for(r'"splices":1.*"splice_style":"native"')
