#!/usr/bin/env python3
"""A vLLM whose context nobody configured, as a loopback server plays it: it refuses an answer longer than all it has and tells
how much that is. It is asked once more for less; a client of its own dialect hears it as it is. The real one:
tests/clients/test_vllm.py."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import Serve, Standin, words  # noqa: E402
from talk import Raw, http_answer  # noqa: E402

ASK = {"model": "claude-x", "max_tokens": 32000, "messages": [{"role": "user", "content": "x"}]}
ANSWER = b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"A"},"finish_reason":"stop"}]}'


class Vllm(Raw):
    def __init__(self, context, always=False):
        self.context, self.always = context, always
        super().__init__(self.say)

    def say(self, head, body):
        wanted = json.loads(body).get("max_tokens", 0)
        if wanted <= self.context and not self.always:
            return http_answer(ANSWER)
        told = {"message": f"max_tokens={wanted} cannot be greater than max_model_len={self.context}. Please request fewer output tokens. "
                           f"(parameter=max_tokens, value={wanted})", "type": "BadRequestError", "param": "max_tokens", "code": 400}
        return http_answer(json.dumps({"error": told}).encode(), status=400)

    def wanted(self):
        return [json.loads(body).get("max_tokens") for _, body in self.seen]

    def target(self, **more):
        return dict({"kind": "vllm", "url": self.url, "model": "m"}, **more)


def asked_for_less():
    with Vllm(16384) as up, Serve({"mine": up.target()}, chain=["mine"]) as s:
        r = post_json(s.url + "/v1/messages", ASK)
        expect((r.status, r.json["content"][0]["text"], r.headers.get("x-hotspare-lossy")), (200, "A", "max_tokens"), r.text)
        first, second = up.wanted()
        expect_true(first == 32000 and 16000 < second < 16384, f"asked for {up.wanted()}")
        expect(post_json(s.url + "/v1/messages", dict(ASK, max_tokens=100)).headers.get("x-hotspare-lossy"), None, "what fits is left alone")


def only_once():
    with Vllm(16384, always=True) as up, Standin("spare", words=4) as spare, Serve({"mine": up.target(), "spare": spare.speaks("anthropic")}, chain=["mine", "spare/x"]) as s:
        r = post_json(s.url + "/v1/messages", ASK)
        expect((r.json["content"][0]["text"], len(up.seen)), (words(4), 2), "the next one answers after two refusals")


def known_beforehand():
    with Vllm(16384) as up, Serve({"mine": up.target(context=16384)}, chain=["mine"]) as s:
        expect((post_json(s.url + "/v1/messages", ASK).status, len(up.seen)), (200, 1), "one call")


def own_dialect():
    with Vllm(16384) as up, Serve({"mine": up.target()}, chain=["mine"]) as s:
        r = post_json(s.url + "/v1/chat/completions", ASK)
        expect((r.status, len(up.seen)), (400, 1), r.text)


for name, test in (("an_answer_longer_than_the_context_is_asked_for_again_shorter", asked_for_less), ("it_is_asked_again_only_once", only_once),
                   ("a_context_that_is_given_spares_the_refusal", known_beforehand), ("a_client_of_its_own_dialect_hears_the_refusal", own_dialect)):
    with claim(name):
        test()
finish()
