#!/usr/bin/env python3
"""Engines that the gateway starts: started when a request needs one while its client is kept alive, and every way in
which that goes wrong, each with a message that names the fix. A small engine of the test's own has the faults; the
real llama.cpp server is in tests/clients/test_llama.py."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403

FAKE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake_engine.py")
QUESTION = {"model": "claude-x", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}


def fake(*more, start="on-demand", **settings):
    command = [sys.executable, FAKE, "--port", "{port}"] + [str(m) for m in more]
    return {"kind": "command", "command": command, "start": start, "model": "fake", **settings}


def dead():
    return {"kind": "standin", "url": refused_url(), "speaks": "anthropic"}


def ask(s, stream=False, **more):
    return post_json(s.url + "/v1/messages", dict(QUESTION, stream=stream, **more), {"anthropic-version": "2023-06-01"}, seconds=60)


def engine(s, name="mine"):
    engines = request("GET", s.admin + "/api/status").json["engines"]
    return next(e for e in engines if e["target"] == name)


def until(what, check, seconds=40):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = check()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


def text_of(reply):
    return "".join(b.get("text", "") for b in reply.json["content"])


def in_background(call, *arguments, **more):
    """Runs beside the stories below; calling what comes back gives its value."""
    box = {}

    def run():
        try:
            box["value"] = call(*arguments, **more)
        except Exception as e:  # told by whoever asks for the value
            box["error"] = e
    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def value():
        thread.join(120)
        if "error" in box:
            raise box["error"]
        return box["value"]
    return value


beside = contextlib.ExitStack()  # two slow stories: pings come every 10 s, and a hang is told by three missed health checks
slow = beside.enter_context(Serve({"claude": dead(), "mine": fake("--load", 12)}, ["claude", "mine"], deadlines={"first_token": "60s"}, label="slow"))
slow_answer = in_background(ask, slow, stream=True)
hung = beside.enter_context(Serve({"claude": dead(), "mine": fake("--hang", "hang")}, ["claude", "mine"], label="hung"))
ask(hung)
open(os.path.join(hung.folder, "hang"), "w").close()

with claim("an engine is started by the first request that needs it, and answers it and the next"):
    with Serve({"claude": dead(), "mine": fake("--load", 2)}, ["claude", "mine"]) as s:
        expect(engine(s)["state"], "off", "before anybody asked")
        r = ask(s, stream=True)
        expect(r.status, 200, "status")
        events = sse_events(r.text)
        said = "".join(json.loads(d)["delta"].get("text", "") for n, d in events if n == "content_block_delta")
        expect(said, "fake engine answers", "text")
        expect(events[-1][0], "message_stop", "last event")
        e = engine(s)
        expect((e["state"], e["starts"], e["failures"]), ("ready", 1, 0), "engine")
        expect(text_of(ask(s)), "fake engine answers", "whole")
        expect(engine(s)["starts"], 1, "starts")
        m = s.metrics()
        expect(m['hotspare_engine_state{target="mine",state="ready"}'], 1, "metric")
        expect(m['hotspare_engine_starts_total{target="mine"}'], 1, "metric")
        s.wait_for("engine_ready")

with claim("embeddings start an engine and wait for it; a count of tokens does not, and is estimated"):
    with Serve({"claude": dead(), "mine": fake("--load", 2)}, ["claude", "mine"]) as s:
        counted = post_json(s.url + "/v1/messages/count_tokens", {k: v for k, v in QUESTION.items() if k != "max_tokens"}, {"anthropic-version": "2023-06-01"})
        expect((counted.status, engine(s)["state"]), (200, "off"), "a count")
        r = post_json(s.url + "/v1/embeddings", {"model": "e", "input": "Hello"}, seconds=60)
        expect((r.status, r.json["data"][0]["embedding"], r.headers["x-hotspare-served-by"]), (200, [0.5, 0.25], "mine"), r.text)
        expect((engine(s)["state"], engine(s)["starts"]), ("ready", 1), "engine")

with claim("embeddings go past an engine that loads longer than the deadline, and hear which it is when nobody is left"):
    with Standin("spare", words=5) as spare, Serve({"mine": fake("--load", 60), "spare": spare.speaks("openai")}, routes=[("both", ["mine/e", "spare/e"]), ("*", ["mine/e"])],
                                                   deadlines={"connect": "300ms", "first_token": "300ms", "stall": "300ms", "total": "2s"}) as s:
        r = post_json(s.url + "/v1/embeddings", {"model": "both", "input": "Hello"}, seconds=60)
        expect(r.headers["x-hotspare-attempts"], "2", f"the next one was asked: {r.status} {r.text}")
        r = post_json(s.url + "/v1/embeddings", {"model": "one", "input": "Hello"}, seconds=60)
        expect_true(r.status == 503 and "mine" in r.text and "loading" in r.text, f"{r.status} {r.text}")
        mine = next(t for t in request("GET", s.admin + "/api/status").json["targets"] if t["target"] == "mine")
        expect((mine["state"], mine["last_cause"]), ("closed", None), "its breaker hears nothing")

with claim("an engine gets no key, its own process group, and a log; all it started is gone with the gateway"):
    with Serve({"claude": dead(), "mine": fake("--seen", "seen.json")}, ["claude", "mine"], more="state_dir: .\n",
               env={"ANTHROPIC_API_KEY": "sk-secret-1", "OPENAI_API_KEY": "sk-secret-2", "HF_TOKEN": "hf-secret-3", "CUDA_VISIBLE_DEVICES": "0"}) as s:
        expect(ask(s).status, 200, "status")
        with open(os.path.join(s.folder, "seen.json")) as f:
            seen = json.load(f)
        expect_true("secret" not in json.dumps(seen), "no key in environment or arguments")
        expect(seen["env"]["CUDA_VISIBLE_DEVICES"], "0", "what engines need is passed")
        expect(seen["group"], seen["pids"][0], "its own group")
        expect(engine(s)["pid"], seen["pids"][0], "pid in the status")
        expect_true(os.path.exists(os.path.join(s.folder, "engine-mine.log")), "its log")
        pids = seen["pids"]
    for pid in pids:
        expect_true(not is_alive(pid), f"process {pid} is gone")

with claim("after kill -9 of the gateway no process of an engine is left, not even one that left its group"):
    with Serve({"claude": dead(), "mine": fake("--seen", "seen.json")}, ["claude", "mine"]) as s:
        expect(ask(s).status, 200, "status")
        with open(os.path.join(s.folder, "seen.json")) as f:
            pids = json.load(f)["pids"]
        expect_true(all(is_alive(p) for p in pids), "they run")
        os.kill(s.p.pid, signal.SIGKILL)
        s.p.wait()
        until("no orphan", lambda: not any(is_alive(p) for p in pids))
        s.stop = lambda: None

with claim("an engine that loads longer than the deadline is left loading, and the next target answers; its breaker hears nothing"):
    with Standin("spare", words=5) as spare, \
            Serve({"claude": dead(), "mine": fake("--load", 3), "spare": spare.speaks("openai")}, ["claude", "mine", "spare/m"],
                  deadlines={"first_token": "300ms"}) as s:
        expect(text_of(ask(s)), words(5), "who answered")
        expect(engine(s)["state"], "loading", "goes on loading")
        mine = next(t for t in request("GET", s.admin + "/api/status").json["targets"] if t["target"] == "mine")
        expect((mine["state"], mine["opened_total"], mine["last_cause"]), ("closed", 0, None), "its breaker")
        until("ready", lambda: engine(s)["state"] == "ready")
        other = [{"role": "user", "content": "Another conversation"}]  # the first one stays where it is well
        expect(text_of(ask(s, messages=other)), "fake engine answers", "when it is ready")

with claim("an engine that crashes is restarted after a wait, and a client that waits gets its answer"):
    with Serve({"claude": dead(), "mine": fake("--crash-once", "crashed")}, ["claude", "mine"]) as s:
        expect(text_of(ask(s)), "fake engine answers", "text")
        e = engine(s)
        expect((e["starts"], e["failures"]), (2, 1), "starts and failures")
        s.wait_for(r"engine_failed.*reason=crashed.*again_in=\"?1 s|engine_failed.*reason=crashed")

with claim("a missing model file is told at once with the file and the fix, and the next target answers"):
    with Standin("spare", words=5) as spare, \
            Serve({"claude": dead(), "mine": {"kind": "llama.cpp", "model": "/nonexistent/m.gguf", "start": "on-demand"},
                   "spare": spare.speaks("openai")}, ["claude", "mine", "spare/m"]) as s:
        expect(text_of(ask(s)), words(5), "who answered")
        e = engine(s)
        expect((e["state"], e["reason"]), ("gave_up", "model_missing"), "engine")
        expect_true("correct the target's model:" in e["fix"], "fix")
        s.wait_for(r"engine_given_up.*/nonexistent/m\.gguf.*fix=.*model:")

with claim("a port that another program has is told with the port and the fix"):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with Standin("spare", words=5) as spare, \
                Serve({"claude": dead(), "mine": fake(url=f"http://127.0.0.1:{port}"), "spare": spare.speaks("openai")}, ["claude", "mine", "spare/m"],
                      deadlines={"first_token": "300ms"}) as s:
            expect(text_of(ask(s)), words(5), "who answered")
            e = engine(s)
            expect((e["state"], e["reason"], e["port"]), ("waiting", "port_taken", port), "engine")
            s.wait_for(rf"engine_failed.*port {port}.*another port in url:")

with claim("an engine that runs out of the memory it may have says so, and names the fix"):
    with Standin("spare", words=5) as spare, \
            Serve({"claude": dead(), "mine": fake("--oom", memory="256MiB"), "spare": spare.speaks("openai")}, ["claude", "mine", "spare/m"],
                  deadlines={"first_token": "2s"}) as s:
        expect(text_of(ask(s)), words(5), "who answered")
        s.wait_for(r"engine_failed.*reason=out_of_memory.*smaller context:")

with claim("a program that is not there is given up at once, and a flag it does not know, too"):
    with Standin("spare", words=5) as spare, \
            Serve({"claude": dead(), "one": {"kind": "command", "command": ["no-such-program"], "start": "always"},
                   "two": fake("--no-such-flag", start="always"), "spare": spare.speaks("openai")}, ["claude", "one", "two", "spare/m"]) as s:
        until("given up", lambda: engine(s, "one")["state"] == engine(s, "two")["state"] == "gave_up")
        expect((engine(s, "one")["reason"], engine(s, "two")["reason"]), ("no_program", "bad_flag"), "reasons")
        expect(text_of(ask(s)), words(5), "who answered")

with claim("an engine slower than its load: is ended, and the log says what to raise"):
    with Serve({"claude": dead(), "slow": fake("--load", 600, start="always", load="1s")}, ["claude", "slow"]) as s:
        until("too slow", lambda: engine(s, "slow")["reason"] == "too_slow" and engine(s, "slow")["failures"])
        s.wait_for(r"engine_failed.*reason=too_slow.*raise the target's load:")

with claim("an idle engine is unloaded, and started again by the next request"):
    with Serve({"claude": dead(), "mine": fake(idle="1s")}, ["claude", "mine"]) as s:
        expect(ask(s).status, 200, "status")
        until("unloaded", lambda: engine(s)["state"] == "off")
        expect((engine(s)["reason"], engine(s)["pid"]), ("idle", 0), "why")
        expect(ask(s).status, 200, "status")
        expect((engine(s)["starts"], engine(s)["failures"]), (2, 0), "starts")

with claim("warm-on-trouble starts an engine when the lead begins to fail, before anybody needs it"):
    with Standin("lead", fault="529") as lead, Standin("spare", words=5) as spare, \
            Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("openai"), "mine": fake(start="warm-on-trouble")},
                  ["lead", "spare/m", "mine"]) as s:
        expect(engine(s)["state"], "off", "while all is well")
        expect(text_of(ask(s)), words(5), "who answered")
        until("ready", lambda: engine(s)["state"] == "ready")

with claim("a reload changes an engine's command, ends one that is no longer wanted, and neither counts as a failure"):
    with Serve({"claude": dead(), "mine": fake("--seen", "seen.json", start="always")}, ["claude", "mine"]) as s:
        pid = until("ready", lambda: engine(s)["state"] == "ready" and engine(s)["pid"])
        with open(s.config) as f:
            text = f.read()
        with open(s.config, "w") as f:
            f.write(text.replace("--seen", "--load\", \"0.1\", \"--seen"))
        s.p.send_signal(signal.SIGHUP)
        second = until("another process", lambda: engine(s)["state"] == "ready" and engine(s)["pid"] not in (0, pid) and engine(s)["pid"])
        expect_true(not is_alive(pid), "the first one is gone")
        expect((engine(s)["starts"], engine(s)["failures"]), (2, 0), "starts and failures")
        with open(s.config, "w") as f:
            f.write(yaml({"claude": dead()}, [("*", ["claude"])], {}))
        s.p.send_signal(signal.SIGHUP)
        until("gone", lambda: not is_alive(second))
        expect(request("GET", s.admin + "/api/status").json["engines"], [], "engines")
        expect_true("engine_failed" not in s.said(), s.said())

with claim("nothing is started from a file that others may write"):
    folder = tempfile.mkdtemp(prefix="hotspare-test-")
    path = os.path.join(folder, "hotspare.yaml")
    with open(path, "w") as f:
        f.write(yaml({"mine": fake()}, [("*", ["mine"])], {}))
    os.chmod(path, 0o666)
    p = subprocess.run([BIN, "serve", "--config", path], env=clean_env(HOME=folder), capture_output=True, text=True, timeout=30)
    shutil.rmtree(folder)
    expect(p.returncode, 78, "exit code")
    expect_true("others may write this file" in p.stderr and "chmod go-w" in p.stderr, p.stderr)

with claim("a streaming client is kept alive with pings while an engine loads, and gets the engine's answer"):
    events = sse_events(slow_answer().text)
    expect_true("ping" in [n for n, _ in events][:2], f"a ping before the answer: {events[:3]}")
    said = "".join(json.loads(d)["delta"].get("text", "") for n, d in events if n == "content_block_delta")
    expect((said, events[-1][0]), ("fake engine answers", "message_stop"), "answer")

with claim("an engine that hangs is killed and started again"):
    until("told as hung", lambda: engine(hung)["failures"] == 1, 90)
    hung.wait_for(r"engine_failed.*reason=hung.*fix=")
    os.unlink(os.path.join(hung.folder, "hang"))
    until("ready again", lambda: engine(hung)["state"] == "ready")
    expect(text_of(ask(hung)), "fake engine answers", "text")

with claim("both end well"):
    beside.close()

finish()
