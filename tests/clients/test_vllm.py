#!/usr/bin/env python3
"""The real vLLM as the stand-in of last resort, with a model that counts (counting_model.py).

It is not installed here: with PyTorch it is 6 GB. HOTSPARE_VLLM names the bin folder of an environment that has one."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from engines import *  # noqa: E402,F403
from clients import HERE  # noqa: E402

VLLM = os.environ.get("HOTSPARE_VLLM")
if not VLLM:
    skip("the real vLLM", "HOTSPARE_VLLM does not name the bin folder of an environment that has it")
    finish()

folder = tempfile.TemporaryDirectory(prefix="hotspare-vllm-")
MODEL = os.path.join(folder.name, "counts")
subprocess.run([os.path.join(VLLM, "python"), os.path.join(HERE, "counting_model.py"), MODEL], check=True, capture_output=True)
with open(os.path.join(folder.name, "vllm"), "w") as f:  # what `kind: vllm` looks for in PATH
    f.write(f'#!/bin/sh\nexport VLLM_CPU_KVCACHE_SPACE=1 VLLM_NO_USAGE_STATS=1\nexec {VLLM}/vllm "$@" --enforce-eager\n')
os.chmod(f.name, 0o755)
ENGINE = {"PATH": folder.name + ":" + VLLM + ":" + os.environ["PATH"], "HF_HUB_OFFLINE": "1", "ANTHROPIC_API_KEY": "sk-secret"}


def serve(lead, more="state_dir: .\n", **settings):
    targets = {"claude": lead, "mine": dict({"kind": "vllm", "model": MODEL}, **settings)}
    return Serve(targets, ["claude", "mine"], more=more, env=ENGINE, deadlines={"first_token": "5m", "total": "10m"})


def counts(s):
    with claim("a count of tokens is vLLM's own"):
        r = post_json(s.url + "/v1/messages/count_tokens", {"model": "claude-x", "messages": [{"role": "user", "content": "hi"}]}, {"anthropic-version": "2023-06-01"})
        expect((r.status, r.json, r.headers.get("x-hotspare-lossy")), (200, {"input_tokens": 4}, None), r.text)


def passes(s):
    with claim("a prompt of tokens passes to vLLM, its prompt echoed"):
        r = completion(s, False, text=[5, 6], echo=True, max_tokens=1)
        expect((r.status, r.json["choices"][0]["text"][:2]), (200, "#$"), r.text)


def refusals(url):
    """Another gateway before the same server, told nothing of its context."""
    with Standin("spare", words=4) as spare, Serve({"mine": {"kind": "vllm", "url": url, "model": MODEL}, "spare": spare.speaks("anthropic")}, ["mine", "spare/x"]) as s:
        with claim("a prompt that does not fit is told by vLLM as such, and another target answers"):
            r = messages(s, True, text="x" * 1500)
            expect((messages_text(r), r.headers.get("x-hotspare-switched")), (words(4), "mine>spare; context_exceeded"), str(r.headers))
        for what, ask in (("an answer longer than all its context", {"max_tokens": 5000}), ("one longer than what the prompt leaves", {"text": "x" * 900, "max_tokens": 1000})):
            with claim(f"{what} is what vLLM gives room for"):
                r = messages(s, True, **ask)
                expect((messages_text(r), served_by(r)), (ALL, "mine"), str(r.headers))
    with Standin("spare", words=4) as spare, Serve({"mine": {"kind": "vllm", "url": url}, "spare": spare.speaks("anthropic")}, ["mine/nothere", "spare/x"]) as s:
        with claim("a model that vLLM has not is told as such, and another target answers"):
            r = messages(s, False)
            expect((message_said(r), r.headers.get("x-hotspare-switched")), (words(4), "mine>spare; model_gone"), r.text)


with claim("the first failing Claude request starts vLLM, and its stream is answered by it"):
    with serve(dead(), start="on-demand", context=1024) as s:
        expect(messages_text(messages(s, True)), ALL, "what it says")
        e = engine(s)
        expect((e["state"], e["starts"], e["failures"]), ("ready", 1, 0), "engine")
        with open(f"/proc/{e['pid']}/environ") as f:
            expect_true("secret" not in f.read(), "no key in its environment")
        url = f"http://127.0.0.1:{e['port']}"
        doors(s)
        limits(s)
        counts(s)
        passes(s)
        refusals(url)
        goes_on("vLLM", lambda lead: serve(lead, more="", url=url))
        leaves_nothing(s, "after kill -9 of the gateway vLLM is gone, and all its processes")
finish()
