#!/usr/bin/env python3
"""The real llama.cpp server as the stand-in of last resort: started by the first request that needs it, it answers behind
every door, goes on with sentences that the lead began, and is gone with the gateway."""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from clients import *  # noqa: E402,F403
from clients import HERE, INSTALLED  # noqa: E402

LLAMA = os.path.join(INSTALLED, "llama", "bin", "python")
SERVER = os.path.join(HERE, "llama_server.py")

if not os.path.exists(LLAMA):
    skip("the real llama.cpp server", "not installed: tests/clients/install.py could not get the packages of llama.txt")
    finish()

folder = tempfile.TemporaryDirectory(prefix="hotspare-llama-")
MODEL = os.path.join(folder.name, "tiny.gguf")
subprocess.run([LLAMA, SERVER, "--make", MODEL], check=True)
with open(os.path.join(folder.name, "llama-server"), "w") as f:  # what `kind: llama.cpp` looks for in PATH
    f.write(f'#!/bin/sh\nexec {LLAMA} {SERVER} "$@"\n')
os.chmod(f.name, 0o755)
PATH = folder.name + ":" + os.environ["PATH"]


def serve(lead, **more):
    mine = {"kind": "llama.cpp", "model": MODEL, "context": 2048, "start": "on-demand"}
    return Serve({"claude": lead, "mine": dict(mine, **more)}, ["claude", "mine"], more="state_dir: .\n", env={"PATH": PATH, "ANTHROPIC_API_KEY": "sk-secret"})


def dead(dialect="anthropic"):
    return {"kind": "standin", "url": refused_url(), "speaks": dialect}


def messages(s, stream, text="one two", **more):
    body = {"model": "claude-x", "max_tokens": 12, "stream": stream, "messages": [{"role": "user", "content": text}]}
    return post_json(s.url + "/v1/messages", dict(body, **more), {"anthropic-version": "2023-06-01"}, seconds=120)


def chat(s, stream, text="one two", **more):
    body = {"model": "gpt-x", "max_tokens": 12, "stream": stream, "messages": [{"role": "user", "content": text}]}
    return post_json(s.url + "/v1/chat/completions", dict(body, **more), seconds=120)


def responses(s, stream, text="one two", **more):
    return post_json(s.url + "/v1/responses", dict({"model": "gpt-x", "max_output_tokens": 12, "stream": stream, "input": text}, **more), seconds=120)


def messages_text(r):
    """Of a stream that ended well."""
    events = [(n, json.loads(d)) for n, d in sse_events(r.text)]
    expect(events[-1][0], "message_stop", f"last event of {r.text[-400:]}")
    return "".join(d["delta"].get("text", "") for n, d in events if n == "content_block_delta")


def chat_text(r):
    events = [d for _, d in sse_events(r.text)]
    expect(events[-1], "[DONE]", f"last event of {r.text[-400:]}")
    chunks = [json.loads(d) for d in events[:-1]]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c.get("choices"))


def responses_text(r):
    events = [(n, json.loads(d)) for n, d in sse_events(r.text)]
    expect_true(events[-1][0] in ("response.completed", "response.incomplete"), f"last event of {r.text[-400:]}")
    said = "".join(d["delta"] for n, d in events if n == "response.output_text.delta")
    again = "".join(c["text"] for o in events[-1][1]["response"]["output"] for c in o.get("content", []))
    expect(again, said, "the last event says it again")
    return said


def engine(s):
    return request("GET", s.admin + "/api/status").json["engines"][0]


def served_by(r):
    return r.headers.get("x-hotspare-served-by")


with claim("the first failing Claude request starts llama.cpp, and its stream is answered by it"):
    with serve(dead()) as s:
        expect(engine(s)["state"], "off", "before")
        r = messages(s, True)
        expect(r.status, 200, "status")
        expect_true(messages_text(r), "it says something")
        e = engine(s)
        expect((e["state"], e["starts"], e["failures"]), ("ready", 1, 0), "engine")
        with open(f"/proc/{e['pid']}/environ") as f:
            expect_true("secret" not in f.read(), "no key in its environment")

        with claim("the real server answers whole behind the Messages door"):
            r = messages(s, False)
            expect((r.status, r.json["type"], served_by(r)), (200, "message", "mine"), r.text)
            expect_true(r.json["content"][0]["text"] and r.json["usage"]["output_tokens"] > 0, r.text)
        with claim("the real server answers whole and streamed behind the chat door"):
            r = chat(s, False)
            expect((r.status, served_by(r)), (200, "mine"), r.text)
            expect_true(r.json["choices"][0]["message"]["content"], r.text)
            expect_true(chat_text(chat(s, True)), "streamed")
        with claim("the real server answers whole and streamed behind the Responses door"):
            r = responses(s, False)
            expect((r.status, r.json["object"], served_by(r)), (200, "response", "mine"), r.text)
            expect_true(r.json["output"][0]["content"][0]["text"] and r.json["usage"]["output_tokens"] > 0, r.text)
            expect_true(responses_text(responses(s, True)), "streamed")
        with claim("the real server answers whole and streamed behind the completions door"):
            ask = {"model": "gpt-x", "max_tokens": 12, "prompt": "one two"}
            r = post_json(s.url + "/v1/completions", ask, seconds=120)
            expect(r.status, 200, r.text)
            expect_true(r.json["choices"][0]["text"], r.text)
            r = post_json(s.url + "/v1/completions", dict(ask, stream=True), seconds=120)
            events = [d for _, d in sse_events(r.text)]
            expect(events[-1], "[DONE]", r.text)
            expect_true("".join(json.loads(d)["choices"][0]["text"] for d in events[:-1] if json.loads(d)["choices"]), r.text)
            r = post_json(s.url + "/v1/completions", dict(ask, prompt=[5, 6, 7]), seconds=120)
            expect((r.status, served_by(r), r.json["object"]), (200, "mine", "text_completion"), f"a prompt of tokens, which no chat could hold: {r.text}")
        with claim("a stop sequence ends the real server's answer"):
            r = messages(s, False, stop_sequences=["a", "e", "i", "o", "u", "n", "t"], max_tokens=200)
            expect(r.status, 200, r.text)

        pid = e["pid"]
        os.kill(s.p.pid, signal.SIGKILL)
        s.p.wait()
        end = time.monotonic() + 20
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
            time.sleep(0.02)
        result("after kill -9 of the gateway llama.cpp is gone", not os.path.exists(f"/proc/{pid}"))
        s.stop = lambda: None

for door, ask, text_of in (("Messages", messages, messages_text), ("chat", chat, chat_text), ("Responses", responses, responses_text)):
    for dialect in ("anthropic", "openai"):
        with claim(f"a sentence that a lead speaking {dialect} began is gone on with by llama.cpp ({door} door)"):
            with Standin("lead", words=12, fault="cut@6", rate=400) as lead, serve(lead.speaks(dialect)) as s:
                r = ask(s, True)
                text = text_of(r)
                given = words(3 if dialect == "anthropic" else 5)  # "cut@6" counts events, and Messages has more of them
                expect_true(text.startswith(given) and len(text) > len(given), text)
                expect(len(re.findall(r"\bw1\b", text)), 1, f"the beginning is there once: {text!r}")
                told = s.metrics()
                expect(told.get('hotspare_rescues_total{phase="mid_stream",result="ok"}'), 1, "rescues")
                s.wait_for(r'"splices":1.*"splice_style":"native"')  # it went on by itself, without being asked in words

with claim("a file that is no model is told with its name and the fix"):
    bad = os.path.join(folder.name, "bad.gguf")
    with open(bad, "w") as f:
        f.write("not a model")
    with serve(dead(), model=bad) as s:
        r = messages(s, False)
        expect_true(r.status >= 500, r.text)
        s.wait_for(r"reason=model_bad.*bad\.gguf.*file is whole")

finish()
