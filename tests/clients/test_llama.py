#!/usr/bin/env python3
"""The real llama.cpp server as the stand-in of last resort: started by the first request that needs it, it answers behind
every door, goes on with sentences that the lead began to the word (its model counts: counting_model.py), and is gone with the
gateway."""
import os
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from engines import *  # noqa: E402,F403
from clients import HERE, INSTALLED  # noqa: E402

LLAMA = os.path.join(INSTALLED, "llama", "bin", "python")
SERVER = os.path.join(HERE, "llama_server.py")

if not os.path.exists(LLAMA):
    skip("the real llama.cpp server", "not installed: tests/clients/install.py could not get the packages of llama.txt")
    finish()

folder = tempfile.TemporaryDirectory(prefix="hotspare-llama-")
MODEL = os.path.join(folder.name, "tiny.gguf")
subprocess.run([LLAMA, os.path.join(HERE, "counting_model.py"), MODEL], check=True)
with open(os.path.join(folder.name, "llama-server"), "w") as f:  # what `kind: llama.cpp` looks for in PATH
    f.write(f'#!/bin/sh\nexec {LLAMA} {SERVER} "$@"\n')
os.chmod(f.name, 0o755)
PATH = folder.name + ":" + os.environ["PATH"]


def serve(lead, **more):
    mine = {"kind": "llama.cpp", "model": MODEL, "context": 2048, "start": "on-demand"}
    return Serve({"claude": lead, "mine": dict(mine, **more)}, ["claude", "mine"], more="state_dir: .\n", env={"PATH": PATH, "ANTHROPIC_API_KEY": "sk-secret"})


with claim("the first failing Claude request starts llama.cpp, and its stream is answered by it"):
    with serve(dead()) as s:
        expect(engine(s)["state"], "off", "before")
        r = messages(s, True)
        expect(r.status, 200, "status")
        expect(messages_text(r), ALL, "what it says")
        e = engine(s)
        expect((e["state"], e["starts"], e["failures"]), ("ready", 1, 0), "engine")
        with open(f"/proc/{e['pid']}/environ") as f:
            expect_true("secret" not in f.read(), "no key in its environment")

        doors(s)
        with claim("a prompt of tokens, which no chat could hold, passes to llama.cpp"):
            r = completion(s, False, text=[5, 6, 7])
            expect((r.status, served_by(r), r.json["object"]), (200, "mine", "text_completion"), r.text)
        limits(s)

        pid = e["pid"]
        os.kill(s.p.pid, signal.SIGKILL)
        s.p.wait()
        s.stop = lambda: None
        with claim("after kill -9 of the gateway llama.cpp is gone"):
            wait_until("gone", lambda: not is_alive(pid))

goes_on("llama.cpp", serve)

with claim("a file that is no model is told with its name and the fix"):
    bad = os.path.join(folder.name, "bad.gguf")
    with open(bad, "w") as f:
        f.write("not a model")
    with serve(dead(), model=bad) as s:
        r = messages(s, False)
        expect_true(r.status >= 500, r.text)
        s.wait_for(r"reason=model_bad.*bad\.gguf.*file is whole")

finish()
