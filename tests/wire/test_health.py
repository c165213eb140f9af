#!/usr/bin/env python3
"""Engines that others start: one that was away or loading is tried again as soon as its health endpoint is content, long before
its breaker's time is over; one that is healthy and fails all the same waits."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import Serve, Standin  # noqa: E402
from talk import Raw, http_answer  # noqa: E402

ASK = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
CHAT = b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"A"},"finish_reason":"stop"}]}'
OPEN = "workers: 1\nbreaker: { failures: 1, open: 10m, max_open: 10m }\nreturn: { ramp: 0s, sticky: false }\n"
PATHS = {"vllm": b"/health", "llama.cpp": b"/health", "ollama": b"/api/version"}


class Engine(Raw):
    """health and chat: statuses; each path that is asked for is noted."""

    def __init__(self):
        self.health, self.chat, self.paths = 200, 200, []
        super().__init__(self.say)

    def say(self, head, body):
        path = head.split(b" ")[1]
        self.paths.append(path)
        if path in PATHS.values():
            return http_answer(b"{}", status=self.health)
        return http_answer(CHAT, status=self.chat)

    def checks(self):
        return sum(p in PATHS.values() for p in self.paths)


def served_by(s):
    reply = post_json(s.url + "/v1/chat/completions", ASK)
    expect(reply.status, 200, reply.text)
    return reply.headers.get("x-hotspare-served-by")


def until(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        expect_true(time.monotonic() < end, "it did not come to that")
        time.sleep(0.05)


def comes_back(kind):
    with Engine() as up, Standin("spare", words=3) as spare:
        targets = {"mine": {"kind": kind, "url": up.url + "/v1", "model": "m"}, "spare": spare.speaks("openai")}
        with Serve(targets, chain=["mine", "spare/x"], more=OPEN) as s:
            expect((served_by(s), up.checks()), ("mine", 0), "who answers at first; nobody is asked for its health")
            up.health = up.chat = 503
            expect(served_by(s), "spare", "who answers while it loads")
            until(lambda: up.checks() >= 2)
            expect(served_by(s), "spare", "who answers while its health says no")
            up.health = up.chat = 200
            until(lambda: served_by(s) == "mine")
            s.wait_for("engine_is_back")
            expect({p for p in up.paths if p in PATHS.values()}, {PATHS[kind]}, "where its health was asked for")


def healthy_and_failing():
    with Engine() as up, Standin("spare", words=3) as spare:
        targets = {"mine": {"kind": "vllm", "url": up.url + "/v1", "model": "m"}, "spare": spare.speaks("openai")}
        with Serve(targets, chain=["mine", "spare/x"], more=OPEN) as s:
            up.chat = 500
            expect(served_by(s), "spare", "who answers")
            asked = len(up.paths)
            until(lambda: up.checks() >= 3)
            expect(served_by(s), "spare", "who answers")
            expect(len(up.paths) - asked, up.checks(), "requests beside the checks")
            expect_true("engine_is_back" not in s.said(), "it was taken for back")


for kind in PATHS:
    with claim(f"an_engine_of_kind_{kind.replace('.', '_')}_is_tried_when_its_health_endpoint_is_content_again"):
        comes_back(kind)
with claim("an_engine_that_is_healthy_and_fails_waits_its_time"):
    healthy_and_failing()
finish()
