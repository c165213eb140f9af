#!/usr/bin/env python3
"""Bad configuration: all errors at once with file:line:column and a fix, exit 78; a bad reload changes nothing."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import BIN, Serve, Standin  # noqa: E402

GOOD = """listen: 127.0.0.1:0
admin: 127.0.0.1:0
targets:
  one: { kind: standin, url: "http://127.0.0.1:9", speaks: anthropic }
models:
  - match: "*"
    chain: [ one ]
"""
# what is wrong -> (text, line of the error, words that the message must have)
BAD = {
    "unknown_key": (GOOD + "deadlinse: { connect: 3s }\n", 8, ["deadlinse", "deadlines"]),
    "unknown_key_inside": (GOOD.replace("speaks: anthropic", "speeks: anthropic"), 4, ["speeks", "speaks"]),
    "wrong_type": (GOOD + "deadlines: { connect: soon }\n", 8, ["connect"]),
    "unknown_kind": (GOOD.replace("kind: standin", "kind: standing"), 4, ["standing", "standin"]),
    "missing_secret": (GOOD.replace("speaks: anthropic", "speaks: anthropic, key: env:NOT_SET_ANYWHERE"), 4, ["NOT_SET_ANYWHERE"]),
    "duplicate_name": (GOOD.replace("models:", '  one: { kind: standin, url: "http://127.0.0.1:8", speaks: openai }\nmodels:'), 5, ["one"]),
    "unknown_target_in_a_chain": (GOOD.replace("chain: [ one ]", "chain: [ one, tow ]"), 7, ["tow"]),
    "tab": (GOOD.replace("  one:", "\tone:"), 4, ["tab"]),
    "alias": (GOOD.replace("  one: {", "  one: &a {"), 4, []),
    "public_listen_without_keys": (GOOD.replace("listen: 127.0.0.1:0", "listen: 0.0.0.0:0"), 1, ["keys"]),
    "broken_yaml": (GOOD + "breaker: [ 1,\n", None, []),
}


def check_file(folder, text, argv):
    path = os.path.join(folder, "hotspare.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    p = subprocess.run([BIN] + [a.replace("FILE", path) for a in argv], env=clean_env(HOME=folder), capture_output=True, text=True, timeout=30)
    return path, p.returncode, p.stdout + p.stderr


def bad(name, text, line, said):
    with tempfile.TemporaryDirectory() as folder:
        for argv in (["config", "check", "FILE"], ["serve", "--config", "FILE"]):
            path, code, out = check_file(folder, text, argv)
            expect(code, 78, f"exit code of {argv[0]} ({out})")
            places = re.findall(re.escape(path) + r":(\d+):(\d+): ", out)
            expect_true(places, f"no file:line:column in:\n{out}")
            expect_true(line is None or str(line) in [p[0] for p in places], f"wanted an error in line {line}:\n{out}")
            for word in said:
                expect_true(word in out, f"{word!r} is not in:\n{out}")
            expect_true("fix" in out or "did you mean" in out, f"no fix is offered:\n{out}")


def all_at_once():
    text = GOOD.replace("kind: standin", "kind: nothing").replace("chain: [ one ]", "chain: [ two ]") + "deadlinse: 1\nbreaker: { failures: many }\n"
    with tempfile.TemporaryDirectory() as folder:
        path, code, out = check_file(folder, text, ["config", "check", "FILE"])
        expect(code, 78, "exit code")
        lines = {int(n) for n in re.findall(re.escape(path) + r":(\d+):\d+: error", out)}
        expect_true({4, 7, 8, 9} <= lines, f"errors in lines {sorted(lines)}, wanted 4, 7, 8 and 9:\n{out}")


def ask(url):
    return post_json(url + "/v1/messages", {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "x"}]})


def rewrite(s, text):
    with open(s.config, "w", encoding="utf-8") as f:
        f.write(text)
    s.p.send_signal(signal.SIGHUP)


def bad_reload_changes_nothing():
    with Standin("one", words=5) as one, Standin("two", words=7) as two:
        with Serve({"one": one.speaks("anthropic")}, chain=["one"]) as s:
            with open(s.config, encoding="utf-8") as f:
                good = f.read()
            expect(ask(s.url).headers["x-hotspare-served-by"], "one", "before")
            for name, (text, _, _) in BAD.items():
                before = len(s.said())
                rewrite(s, text)
                end = time.monotonic() + 10
                while len(s.said()) == before and time.monotonic() < end:
                    time.sleep(0.01)
                expect_true(len(s.said()) > before, f"{name}: the refused reload was not mentioned")
                expect(ask(s.url).headers["x-hotspare-served-by"], "one", f"after the bad reload {name}")
            rewrite(s, good.replace(one.url, two.url))
            end = time.monotonic() + 10
            while ask(s.url).json["content"][0]["text"] != words(7):
                expect_true(time.monotonic() < end, "the good reload was not taken")
                time.sleep(0.05)


def reload_keeps_streams():
    """A stream that runs while the configuration changes ends as it began."""
    with Standin("one", words=30, rate=20) as one, Standin("two", words=7) as two:
        with Serve({"one": one.speaks("anthropic")}, chain=["one"]) as s:
            with open(s.config, encoding="utf-8") as f:
                good = f.read()
            answer = []
            t = threading.Thread(target=lambda: answer.append(post_json(s.url + "/v1/messages", {"model": "m", "max_tokens": 50, "stream": True, "messages": [{"role": "user", "content": "x"}]})))
            t.start()
            while one.stats()["requests"] == 0:
                time.sleep(0.01)
            rewrite(s, good.replace(one.url, two.url))
            end = time.monotonic() + 10
            while ask(s.url).json["content"][0]["text"] != words(7):
                expect_true(time.monotonic() < end, "the reload was not taken")
            t.join()
            events = sse_events(answer[0].text)
            text = "".join(json.loads(d)["delta"]["text"] for n, d in events if n == "content_block_delta")
            expect((text, events[-1][0]), (words(30), "message_stop"), "the stream")


for name, (text, line, said) in BAD.items():
    with claim(f"bad_configuration_{name}_is_told_with_place_and_fix"):
        bad(name, text, line, said)
with claim("all_errors_are_told_at_once"):
    all_at_once()
with claim("a_bad_reload_changes_nothing_and_a_good_one_is_taken"):
    bad_reload_changes_nothing()
with claim("a_reload_leaves_running_streams_alone"):
    reload_keeps_streams()
finish()
