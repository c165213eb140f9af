#!/usr/bin/env python3
"""The real llama.cpp server as the stand-in of last resort: started by the first request that needs it, it answers behind
every door, goes on with sentences that the lead began to the word (its model counts: counting_model.py), and is gone with the
gateway."""
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading

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

with claim("a llama.cpp that crashes is started again, and the next request answered"):
    with serve(dead()) as s:
        expect(messages_text(messages(s, True)), ALL, "the first")
        os.kill(engine(s)["pid"], signal.SIGSEGV)
        s.wait_for(r"engine_failed.*reason=crashed")
        expect(messages_text(messages(s, True)), ALL, "the next")
        e = engine(s)
        expect((e["starts"], e["failures"]), (2, 1), "starts and failures")

with claim("a llama.cpp that hangs is killed and started again"):
    with serve(dead()) as s:
        expect(messages_text(messages(s, True)), ALL, "the first")
        pid = engine(s)["pid"]
        os.kill(pid, signal.SIGSTOP)
        s.wait_for(r"engine_failed.*reason=hung", 60)
        wait_until("gone", lambda: not is_alive(pid))
        expect(messages_text(messages(s, True)), ALL, "the next")

with claim("a missing file, a taken port, too little memory and a slow load of llama.cpp are told with the fix"):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for more, told in (({"model": os.path.join(folder.name, "none.gguf")}, r"reason=model_missing.*none\.gguf.*correct the target's model"),
                           ({"url": f"http://127.0.0.1:{port}"}, rf"reason=port_taken.*{port}.*another port"),
                           ({"memory": "512MiB", "context": 4000000}, r"reason=out_of_memory.*smaller context"),
                           ({"load": "100ms"}, r"reason=too_slow.*raise the target's load")):
            with serve(dead(), **more) as s:
                asks = threading.Thread(target=messages, args=(s, True), daemon=True)
                asks.start()  # it would wait until the engine is given up
                s.wait_for(told)

with claim("an idle llama.cpp is unloaded, and started again by the next request"):
    with serve(dead(), idle="1s") as s:
        expect(messages_text(messages(s, True)), ALL, "the first")
        wait_until("unloaded", lambda: engine(s)["state"] == "off")
        expect(messages_text(messages(s, True)), ALL, "the next")
        expect((engine(s)["starts"], engine(s)["failures"]), (2, 0), "starts and failures")

finish()
