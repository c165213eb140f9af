#!/usr/bin/env python3
"""Ollama in its own format, as a loopback server plays it: the context is set, prompts are refused and not cut, streams are
lines, and what breaks is gone on with elsewhere. The real one: tests/clients/test_ollama.py."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import Serve, Standin, words  # noqa: E402
from talk import Raw, http_answer, messages_text as text_and_end  # noqa: E402

ASK = {"model": "claude-x", "max_tokens": 50, "messages": [{"role": "user", "content": "x"}]}
TOOLS = [{"name": "look", "input_schema": {"type": "object"}}]
TOO_LONG = b'{"error":"the input length exceeds the context length"}'


def line(done=None, **message):
    value = {"model": "qwen3", "created_at": "2026-01-01T00:00:00Z", "message": dict({"role": "assistant", "content": ""}, **message), "done": done is not None}
    if done:
        value.update(done_reason=done, prompt_eval_count=7, eval_count=3)
    return json.dumps(value).encode() + b"\n"


STREAM = line(thinking="Hm.") + line(content="one ") + line(content="two three") + line("stop")
CALL = line(content="", tool_calls=[{"function": {"name": "look", "arguments": {"q": "a"}}}]) + line("stop")
CHAT = b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"A"},"finish_reason":"stop"}]}'


class Ollama(Raw):
    """At /api/chat `stream` or `whole`, with `status`; at any other path a chat completion."""

    def __init__(self):
        self.stream, self.whole, self.status = STREAM, line("stop", content="one two three"), 200
        super().__init__(self.say)

    def say(self, head, body):
        if b" /api/chat " not in head:
            return http_answer(CHAT)
        if self.status != 200:
            return http_answer(self.whole, status=self.status)
        return http_answer(self.stream, "application/x-ndjson") if json.loads(body)["stream"] else http_answer(self.whole)

    def asked(self):
        head, body = self.seen[-1]
        return head.split(b" ")[1].decode(), json.loads(body)

    def target(self, **more):
        return dict({"kind": "ollama", "url": self.url + "/v1", "model": "qwen3"}, **more)


def messages_text(reply):
    text, ended = text_and_end(reply)
    expect_true(ended, f"the stream has no end: {reply.text}")
    return text


def stream(s, **more):
    return post_json(s.url + "/v1/messages", dict(ASK, stream=True, **more), {"anthropic-version": "2023-06-01"})


def native():
    with Ollama() as up, Serve({"o": up.target()}, chain=["o"]) as s:
        reply = post_json(s.url + "/v1/messages", ASK)
        expect((reply.status, reply.json["content"][0]["text"], reply.json["usage"]["output_tokens"]), (200, "one two three", 3), reply.text)
        expect(up.asked(), ("/api/chat", {"model": "qwen3", "messages": [{"role": "user", "content": "x"}], "options": {"num_predict": 50}, "stream": False,
                                          "truncate": False, "shift": False}), "what it was asked")
        reply = stream(s)
        expect(messages_text(reply), "one two three", "the stream's text")
        expect_true("thinking_delta" in reply.text and b"accept: application/x-ndjson" in up.seen[-1][0], "thinking, and what was accepted")
        up.stream = CALL
        reply = stream(s, tools=TOOLS)
        parts = [json.loads(d)["delta"].get("partial_json", "") for n, d in sse_events(reply.text) if n == "content_block_delta"]
        expect((json.loads("".join(parts)), up.asked()[1]["tools"][0]["function"]["name"]), ({"q": "a"}, "look"), "a tool call")
        post_json(s.url + "/v1/chat/completions", dict(ASK, odd=[1]))
        expect((up.asked()[0], up.asked()[1]["odd"]), ("/v1/chat/completions", [1]), "a chat passes as it came")


def missed():
    """What Ollama's chat door passes over or refuses is said in its own format: a limit under its newer name, no tool, an effort."""
    functions = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    chat = {"model": "gpt-x", "messages": [{"role": "user", "content": "x"}]}
    with Ollama() as up, Serve({"o": up.target()}, chain=["o"]) as s:
        for more, seen in (({"max_completion_tokens": 5}, {"num_predict": 5}), ({"reasoning_effort": "high"}, {}), ({"tools": functions, "tool_choice": "none"}, {}), ({"n": 1}, {})):
            reply = post_json(s.url + "/v1/chat/completions", dict(chat, **more))
            path, body = up.asked()
            expect((reply.status, path, body["options"]), (200, "/api/chat", seen), f"{more}: {reply.text}")
            expect(("tools" in body, "think" in body), (False, False), f"{more}")
        unread = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"q": True}}}}]
        post_json(s.url + "/v1/chat/completions", dict(chat, tools=functions + unread))
        path, body = up.asked()
        expect((path, body["tools"][1]["function"]["parameters"]), ("/api/chat", {"type": "object", "properties": {"q": {}}}), "a schema it would refuse")
        reply = post_json(s.url + "/v1/chat/completions", dict(chat, n=2))
        expect((reply.status, "Several choices" in reply.text), (400, True), reply.text)
        post_json(s.url + "/v1/chat/completions", dict(chat, max_completion_tokens=None, tools=functions))
        expect(up.asked()[0], "/v1/chat/completions", "null says nothing")


def context():
    """A context of its own is set in each request, also for a chat client, since changing it would load the model anew."""
    with Ollama() as up, Serve({"o": up.target(context=65536)}, chain=["o"]) as s:
        expect(messages_text(stream(s)), "one two three", "text")
        expect(up.asked()[1]["options"]["num_ctx"], 65536, "num_ctx")
        reply = post_json(s.url + "/v1/chat/completions", ASK)
        expect((reply.json["choices"][0]["message"]["content"], up.asked()[0], up.asked()[1]["options"]["num_ctx"]), ("one two three", "/api/chat", 65536), "a chat client")


def fails_over():
    failures = ((400, TOO_LONG, "context_exceeded"), (404, b'{"error":"model \'qwen3\' not found"}', "model_gone"),
                (500, b'{"error":"llama runner process has terminated"}', "transient"))
    with Ollama() as up, Standin("spare", words=4) as spare:
        for up.status, up.whole, cause in failures:
            with Serve({"o": up.target(), "spare": spare.speaks("anthropic")}, chain=["o", "spare/x"]) as s:
                reply = stream(s)
                expect((messages_text(reply), reply.headers.get("x-hotspare-switched")), (words(4), f"o>spare; {cause}"), f"{up.status} {up.whole}")
    with Ollama() as up, Standin("spare", words=4) as spare:
        with Serve({"o": up.target(), "spare": spare.speaks("anthropic")}, chain=["o", "spare/x"]) as s:
            for broken in (line(content="w1 ") + line(content="w2"), line(content="w1 ") + line(content="w2") + b'{"error":"the runner died"}\n', line(content="w1 w2") + b"rubbish\n"):
                up.stream = broken
                reply = stream(s)
                expect(messages_text(reply).split(), words(4).split(), f"after {broken}")
                expect(reply.text.count("event: message_start"), 1, "beginnings")


def drilled():
    """A fault that a drill commits counts the lines' content, and its errors come as lines."""
    with Ollama() as up, Standin("spare", words=4) as spare:
        up.stream = b"".join(line(content=w) for w in ("w1 ", "w2 ", "w3 ", "w4")) + line("stop")
        with Serve({"o": up.target(), "spare": spare.speaks("anthropic")}, chain=["o", "spare/x"], more="breaker: { failures: 100 }\n") as s:
            struck = 0
            for fault in ("cut@2", "error@2", "error-first", "529", "garbage@2"):
                order = {"drill": "test", "target": "o", "fault": fault, "percent": 100, "lease_ms": 60000}
                expect(post_json(s.admin + "/api/fault", order).status, 200, fault)
                reply = stream(s)
                expect(messages_text(reply).split(), words(4).split(), fault)
                struck += 1
                expect(spare.stats()["requests"], struck, f"requests that had to be answered elsewhere, after {fault}")
            s.wait_for("overloaded")


for name, test in (("ollama_is_spoken_to_in_its_own_format", native), ("what_its_chat_door_passes_over_is_said_in_its_own_format", missed), ("a_configured_context_is_set_in_each_request", context),
                   ("errors_and_broken_lines_are_answered_elsewhere", fails_over), ("a_drill_breaks_lines_as_it_breaks_events", drilled)):
    with claim(name):
        test()
finish()
