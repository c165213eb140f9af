#!/usr/bin/env python3
"""`hotspare probe` at the Responses format, at Ollama's own, and at servers with a Messages door beside their Chat door: gaps planted in each
format are found there and nothing else, and whether Messages are passed on or translated follows from which door is worse.
"""
import os
import sys
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *  # noqa: E402,F403
from harness import Serve, Standin, refused_url, words  # noqa: E402
from clouds import Upstream  # noqa: E402
from probing import Config, TOOLS, WORDS, findings  # noqa: E402
from talk import messages, messages_text  # noqa: E402

JSON = {"Content-Type": "application/json"}


def lacking(*gaps):
    return Standin("it", words=WORDS, tools=TOOLS, more=["--lacks", ",".join(gaps)] if gaps else [])


# ---- Responses ----

for gaps in ([], ["images"], ["forced-tool", "stop"], ["max-tokens"], ["stream"]):
    with lacking(*gaps) as s, claim(f"at_responses_exactly_this_is_found: {', '.join(gaps) or 'nothing'}"):
        target = {"kind": "openai-compatible", "url": s.url + "/v1", "api": "responses"}
        with Config({"r": target}, ["r/x"]) as config:
            code, found, said = config.probe("--all", "--yes")
            expect(found["r"]["doors"][0]["format"], "openai-responses", "the format")
            # this format has no stop sequences to be asked for
            expect((code, findings(found["r"])), (1 if gaps else 0, [g for g in gaps if g != "stop"]), f"{said} {found}")


# ---- a server with several doors ----

def from_ollama(m):
    blocks = [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": i}} for i in m.get("images", [])]
    blocks += [{"type": "tool_use", "id": "toolu_" + c["function"]["name"], "name": c["function"]["name"], "input": c["function"]["arguments"]} for c in m.get("tool_calls", [])]
    if m["role"] == "tool":
        return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_" + m.get("tool_name", "x"), "content": m["content"]}]}
    return {"role": m["role"], "content": blocks + ([{"type": "text", "text": m["content"]}] if m.get("content") else [])}


class Server(Upstream):
    """A door's path leads to a stand-in of its own, so that each door has its own gaps; /api/chat is Ollama's format before one."""

    def __init__(self, **doors):
        super().__init__()
        self.doors = doors

    def ask(self, standin, path, body):
        r = urllib.request.Request(standin.url + path, body, JSON)
        try:
            with urllib.request.urlopen(r, timeout=60) as reply:
                return reply.status, {"Content-Type": reply.headers["content-type"]}, reply.read()
        except urllib.error.HTTPError as e:
            with e:
                return e.code, dict(JSON), e.read()

    def answer(self, r):
        path = r["target"]
        door = self.doors.get({"/v1/chat/completions": "chat", "/v1/messages": "messages", "/api/chat": "own"}.get(path))
        if not door:
            return 404, dict(JSON), b'{"error":{"message":"no such path","type":"invalid_request_error"}}'
        return self.own(door, json.loads(r["body"])) if path == "/api/chat" else self.ask(door, path, r["body"])

    def own(self, standin, sent):
        if not isinstance(sent.get("messages"), list):
            return 400, dict(JSON), b'{"error":"messages: a list is expected"}'
        options = sent.get("options", {})
        body = {"model": "x", "max_tokens": options.get("num_predict", 300), "messages": [from_ollama(m) for m in sent["messages"] if m["role"] != "system"]}
        if options.get("stop"):
            body["stop_sequences"] = options["stop"]
        if sent.get("tools"):
            body["tools"] = [{"name": t["function"]["name"], "input_schema": {"type": "object"}} for t in sent["tools"]]
        if sent.get("format"):
            body["output_config"] = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
        status, kind, answer = self.ask(standin, "/v1/messages", json.dumps(body).encode())
        if status != 200:
            return status, dict(JSON), json.dumps({"error": json.loads(answer)["error"]["message"]}).encode()
        told = json.loads(answer)
        calls = [{"function": {"name": b["name"], "arguments": b["input"]}} for b in told["content"] if b["type"] == "tool_use"]
        text = "".join(b["text"] for b in told["content"] if b["type"] == "text")
        whole = {"model": "x", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})},
                 "done": True, "done_reason": "length" if told["stop_reason"] == "max_tokens" else "stop",
                 "prompt_eval_count": told["usage"]["input_tokens"], "eval_count": told["usage"]["output_tokens"]}
        return 200, {"Content-Type": "application/x-ndjson"} if sent.get("stream", True) else dict(JSON), json.dumps(whole).encode() + b"\n"

    def target(self, kind):
        return {"kind": kind, "url": self.url + ("/v1" if kind == "ollama" else "")}


for gaps in ([], ["images"], ["tools"], ["json-schema", "stop"]):
    with lacking(*gaps) as s, Server(own=s) as up, claim(f"at_ollamas_own_format_exactly_this_is_found: {', '.join(gaps) or 'nothing'}"):
        with Config({"o": up.target("ollama")}, ["o/qwen3"]) as config:
            code, found, said = config.probe("--all")
            expect((found["o"]["doors"][0]["format"], found["o"]["doors"][1]["spoken"]), ("ollama-chat", False), "the formats")
            expect((code, sorted(findings(found["o"]))), (1 if gaps else 0, gaps), f"{said} {found}")
            expect(found["o"]["facts"]["messages"], False, "it has no Messages door")


def asked_in(up, kind, config):
    """Where a Messages client's request arrives."""
    with Serve({"v": up.target(kind)}, chain=["v/x"], more=config.more()) as g:
        reply = post_json(g.url + "/v1/messages", messages(stream=True))
        expect(messages_text(reply), (words(WORDS), True), f"the answer {reply.text}")
        return up.last()["target"]


for kind, path in (("vllm", "/v1/chat/completions"), ("llama.cpp", "/v1/chat/completions"), ("ollama", "/api/chat")):
    own = "own" if kind == "ollama" else "chat"
    with lacking() as able, lacking("forced-tool") as lame:
        with Server(messages=lame, **{own: able}) as up, Config({"v": up.target(kind)}, ["v/x"]) as config:
            with claim(f"{kind}_whose_messages_door_is_worse_is_translated_for"):
                code, found, said = config.probe("--all")
                expect((code, findings(found["v"]), findings(found["v"], 1)), (0, [], ["forced-tool"]), f"{said} {found}")
                expect((found["v"]["facts"]["messages"], asked_in(up, kind, config)), (False, path), "the door")
        with Server(messages=able, **{own: able}) as up, Config({"v": up.target(kind)}, ["v/x"]) as config:
            with claim(f"{kind}_whose_messages_door_is_as_good_is_asked_there"):
                code, found, said = config.probe("--all")
                expect((code, findings(found["v"]), findings(found["v"], 1)), (0, [], []), f"{said} {found}")
                expect((found["v"]["facts"]["messages"], asked_in(up, kind, config)), (True, "/v1/messages"), "the door")

# ---- engines that the gateway starts ----

FAKE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake_engine.py")
engine = {"kind": "command", "command": [sys.executable, FAKE, "--port", "{port}"], "start": "on-demand", "model": "fake"}

with Config({"e": engine}, ["e"]) as config, claim("an_engine_at_a_port_that_only_the_gateway_knows_is_told_with_what_to_do"):
    code, found, said = config.probe("e")
    expect((code, found["e"]["state"]), (69, "not probed"), f"{said} {found}")
    expect_true("give the target a url" in found["e"]["reason"] and "start the gateway" in found["e"]["reason"], found["e"]["reason"])

engine["url"] = refused_url()
with Config({"e": engine}, ["e"]) as config, claim("an_engine_is_asked_while_the_gateway_has_it_up"):
    code, found, said = config.probe("e")
    expect((code, found["e"]["state"]), (69, "no answer"), f"{said} {found}")
    expect_true("run hotspare serve" in found["e"]["reason"], found["e"]["reason"])
    with Serve({"e": engine}, chain=["e"], more=config.more()) as g:
        expect(post_json(g.url + "/v1/messages", messages()).status, 200, "the request that starts it")
        code, found, said = config.probe("e")
        expect((found["e"]["state"], found["e"]["stored"], found["e"]["reason"]), ("probed", True, ""), f"{said} {found}")

finish()
