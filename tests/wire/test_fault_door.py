#!/usr/bin/env python3
"""The admin door through which a drill commits faults inside a gateway: what it tells an attempt is what a failing
provider tells it, whoever looks sees it, nonsense is refused, and it ends by itself, at once, and with a reload."""
import concurrent.futures
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import Serve, Standin, refused_url  # noqa: E402

WORDS = 30
FAULTS = (
    "reset", "silent", "headers-only", "pings-only", "400", "401", "402", "403", "404", "408", "409", "413", "429", "429,retry-after=30",
    "500", "502", "503", "504", "529", "529,retry-after=1", "org-disabled", "credit", "spend-limit", "html", "html-503", "error-first",
    "error-after-start", "error@5", "cut@9", "cut-bytes@1000", "rst@0", "rst@9", "stall@9", "garbage@0", "garbage@9", "slow-first=1s")
SILENT = ("silent", "headers-only", "pings-only", "stall@9", "slow-first=1s")  # a deadline each; no word of a dialect in them
KINDS = [(door, stream) for door in ("messages", "chat") for stream in (False, True)]
FAST = {"first_token": "500ms", "stall": "500ms", "total": "3s", "connect": "1s"}


def order(s, **more):
    value = {"drill": "test", "target": "lead", "fault": "529", "percent": 100, "lease_ms": 60000, **more}
    return post_json(s.admin + "/api/fault", value)


def look(s):
    return request("GET", s.admin + "/api/fault").json


def ask(s, model, door="messages", stream=False, headers=None):
    path = "/v1/messages" if door == "messages" else "/v1/chat/completions"
    return post_json(s.url + path, {"model": model, "max_tokens": 500, "stream": stream, "messages": [{"role": "user", "content": "Count."}]}, headers)


def lines_of(s, count, seconds=10):
    """The access log, request id -> line, once it has so many."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with open(os.path.join(s.folder, "access.log"), encoding="utf-8") as f:
            text = f.read()
        if text.count("\n") >= count:
            return {line["id"]: line for line in map(json.loads, text.splitlines())}
        time.sleep(0.02)
    raise AssertionError(f"no {count} lines in the access log:\n{text[-3000:]}")


def what_happened(fault, line):
    """(what is the same, who did it). A real reset may overtake what was sent before it: how much came is luck."""
    first = line["attempts"][0]
    seen = () if fault.startswith("rst") else (first["status"], line["splices"])
    return (first["result"], line["outcome"], line["status"], len(line["attempts"]), *seen), first.get("injected")


def routes_of(names, faults):
    """Each case has a breaker of its own: what one fault does to a circuit is not the next one's matter."""
    return [(f"{name}-{i}-{k}", [f"{name}/{i}-{k}", f"spare/{i}-{k}"]) for name in names for i in range(len(faults)) for k in range(len(KINDS))]


def commit_all(s, real, faults):
    """Each fault, committed by a provider and injected: (fault, kind, request id, request id)."""
    asked = []
    with concurrent.futures.ThreadPoolExecutor(2 * len(KINDS)) as pool:
        for i, fault in enumerate(faults):
            expect(real.faults(fault).status, 200, fault)
            expect(order(s, fault=fault).status, 200, fault)
            replies = [(kind, pool.submit(ask, s, f"real-{i}-{k}", *kind), pool.submit(ask, s, f"lead-{i}-{k}", *kind)) for k, kind in enumerate(KINDS)]
            asked += [(fault, kind, *(reply.result().headers["x-hotspare-request-id"] for reply in pair)) for kind, *pair in replies]
    return asked


def same_as_real(dialect, faults):
    with Standin("real", words=WORDS, rate=400) as real, Standin("lead", words=WORDS, rate=400) as lead, Standin("spare", words=WORDS) as spare:
        with Serve({"real": real.speaks(dialect), "lead": lead.speaks(dialect), "spare": spare.speaks("anthropic")},
                   routes=routes_of(("real", "lead"), faults), deadlines=FAST, more="access_log: access.log\n") as s:
            asked = commit_all(s, real, faults)
            lines = lines_of(s, 2 * len(asked))
            for fault, kind, one, two in asked:
                wanted, got = what_happened(fault, lines[one]), what_happened(fault, lines[two])
                expect(got[0], wanted[0], f"{fault}, {dialect}, {kind}: (result, outcome, told, attempts, status, splices)")
                expect((wanted[1], got[1]), (None, fault), f"{fault}, {kind}: only the attempt that met the drill is marked")


# ---- the door ----

def house(lead, spare, more=""):
    return Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("anthropic")}, chain=["lead", "spare"], deadlines=FAST, more="access_log: access.log\n" + more)


def state_of_lead(s):
    return request("GET", s.admin + "/api/status").json["targets"][0]["state"]


def wait_until(what, seconds=15):
    end = time.monotonic() + seconds
    while not what():
        expect_true(time.monotonic() < end, "it did not happen in time")
        time.sleep(0.02)


def served_by(reply):
    expect(reply.status, 200, f"status: {reply.text[:200]}")
    return reply.headers["x-hotspare-served-by"]


NONSENSE = (
    {"percent": 0}, {"percent": 101}, {"percent": "5"}, {"percent": 5.5}, {"lease_ms": 10}, {"lease_ms": 60001}, {"lease_ms": -1}, {"lease_ms": 10**15},
    {"fault": "no-such-fault"}, {"fault": "529:30%"}, {"fault": "529,for=3s"}, {"fault": "529,times=1"}, {"fault": ""}, {"fault": "x" * 64}, {"drill": ""},
    {"drill": 'a"b'}, {"drill": "a b"}, {"target": "le\nad"}, {"only_mine": 1}, {"circuit": "no"}, {"more": 1}, {"lease_ms": None})


def refuses_nonsense():
    with Standin("lead") as lead, Standin("spare") as spare, house(lead, spare) as s:
        for wrong in NONSENSE:
            reply = order(s, **wrong)
            expect((reply.status, bool(reply.json["error"])), (400, True), f"{wrong}: {reply.text}")
        expect(order(s, target="nobody").status, 404, "a target that is not configured")
        for body in (b"", b"[]", b"{", b"x" * 5000, b'{"drill":' * 3000):
            expect(request("POST", s.admin + "/api/fault", body).status, 400, body[:20])
        for method, path in (("PUT", "/api/fault"), ("POST", "/api/fault/x")):
            expect(request(method, s.admin + path, b"{}").status, 404, f"{method} {path}")
        for method in ("POST", "DELETE"):
            expect(request(method, s.admin + "/api/fault", b"{}", {"origin": "http://evil.example"}).status, 403, f"{method} from a web page")
        expect(request("POST", s.url + "/api/fault", b"{}").status, 404, "the door of the API has none")
        expect(look(s)["active"], False, "nothing was begun")
        expect(served_by(ask(s, "m")), "lead", "and nothing is committed")


def shows_and_ends():
    with Standin("lead") as lead, Standin("spare") as spare, house(lead, spare) as s:
        expect(order(s, lease_ms=60000).json["active"], True, "it begins")
        reply = ask(s, "m")
        expect((served_by(reply), reply.headers["x-hotspare-switched"]), ("spare", "lead>spare; overloaded"), "committed")
        expect(order(s, drill="another").status, 409, "one drill at a time")
        fault = request("GET", s.admin + "/api/status").json["fault"]
        expect({**fault, "left_ms": 0}, {"drill": "test", "target": "lead", "fault": "529", "percent": 100, "only_mine": False, "circuit": True, "draining": False, "left_ms": 0, "met": 1}, "status")
        m = s.metrics()
        expect((m["hotspare_drill_active"], m["hotspare_drill_faults_total"], m['hotspare_drill_info{target="lead",fault="529"}']), (1, 1, 100), "metrics")
        line = next(iter(lines_of(s, 1).values()))
        expect([a.get("injected") for a in line["attempts"]], ["529", None], "access log")
        counts = order(s).json["counts"]
        expect({k: counts[k] for k in ("met", "hidden", "lost", "open", "attempts", "elsewhere")}, {"met": 1, "hidden": 1, "lost": 0, "open": 0, "attempts": 2, "elsewhere": 1}, "counts go on over a renewal")
        ended = request("DELETE", s.admin + "/api/fault").json
        expect((ended["active"], ended["counts"]["met"]), (False, 1), "ended, and its counts are still told")
        expect((request("GET", s.admin + "/api/status").json["fault"], s.metrics()["hotspare_drill_active"]), (None, 0), "nobody says that it is on")
        expect(served_by(ask(s, "m")), "lead", "at once")
        expect(order(s, lease_ms=500).status, 200, "another one")
        wait_until(lambda: not look(s)["active"])
        expect(served_by(ask(s, "m")), "lead", "an order that is not renewed ends by itself")
        expect(order(s).status, 200, "a third")
        s.p.send_signal(signal.SIGHUP)
        wait_until(lambda: not look(s)["active"])
        expect(served_by(ask(s, "m")), "lead", "a reload ends it")


def circuit_is_undone():
    """One 400 of a disabled account opens the circuit for half an hour: not when a drill said it."""
    with Standin("lead") as lead, Standin("spare") as spare, house(lead, spare) as s:
        for end in (lambda: request("DELETE", s.admin + "/api/fault"), lambda: wait_until(lambda: not look(s)["active"])):
            expect(order(s, fault="org-disabled", lease_ms=700).status, 200, "order")
            expect(served_by(ask(s, "m")), "spare", "committed")
            expect(state_of_lead(s), "open", "the circuit opens, as in life")
            end()
            wait_until(lambda: state_of_lead(s) == "closed")
            expect(served_by(ask(s, "m")), "lead", "and closes with the drill")
        expect(order(s, fault="org-disabled", circuit=False).status, 200, "order")
        expect((served_by(ask(s, "m")), state_of_lead(s)), ("spare", "closed"), "circuit: false moves nobody else")


def nobody_waits_longer_than_the_drill():
    """With the default deadlines a silent target is waited for 20 s, for a whole answer 300: not when a drill was the silence."""
    with Standin("lead") as lead, Standin("spare") as spare:
        with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("anthropic")}, chain=["lead", "spare"]) as s:
            for fault in ("silent", "headers-only", "pings-only", "stall@3", "slow-first=100s"):
                expect(order(s, fault=fault, circuit=False).status, 200, fault)
                with concurrent.futures.ThreadPoolExecutor(2) as pool:
                    replies = [pool.submit(ask, s, "m", "messages", stream) for stream in (False, True)]
                    wait_until(lambda: look(s)["counts"]["met"] == 2)
                    begin = time.monotonic()
                    expect(request("DELETE", s.admin + "/api/fault").json["counts"]["open"], 2, f"{fault}: both wait")
                    for reply in replies:
                        expect(reply.result().status, 200, fault)
                        expect_true("w12" in reply.result().text, f"{fault}: a whole answer")
                expect({k: look(s)["counts"][k] for k in ("lost", "hidden", "released", "open")}, {"lost": 0, "hidden": 0, "released": 2, "open": 0}, fault)
                expect(post_json(s.admin + "/api/fault", {"drill": "d", "target": "lead", "fault": fault, "percent": 100, "lease_ms": 60000, "draining": True}).status, 200, "a draining order")
                expect((served_by(ask(s, "m")), look(s)["counts"]["met"]), ("lead", 0), f"{fault}: meets nobody new")
                request("DELETE", s.admin + "/api/fault")
                expect_true(time.monotonic() - begin < 15, f"{fault}: they waited on")


def only_some():
    with Standin("lead") as lead, Standin("spare") as spare, house(lead, spare, "return: { ramp: 0s, sticky: false }\n") as s:
        expect(order(s, percent=30, circuit=False).status, 200, "order")
        talk = lambda n: served_by(ask(s, "m", headers={"x-claude-code-session-id": str(n)}))
        first, again = [talk(n) for n in range(200)], [talk(n) for n in range(200)]
        expect(first, again, "a conversation is met always or never")
        expect_true(30 < first.count("spare") < 90, f"30 % of 200 conversations: {first.count('spare')}")
        expect(order(s, only_mine=True, circuit=False).status, 200, "order")
        mark = {"x-hotspare-drill": "test"}
        expect([served_by(ask(s, "m", headers=h)) for h in ({}, mark, {"x-hotspare-drill": "other"})], ["lead", "spare", "lead"], "only the drill's own")


CASES = (
    (refuses_nonsense, "nonsense_is_refused_and_commits_nothing"),
    (shows_and_ends, "status_metrics_and_log_tell_of_it_and_delete_lease_and_reload_end_it"),
    (circuit_is_undone, "a_circuit_that_it_opened_closes_with_it_and_need_not_open"),
    (nobody_waits_longer_than_the_drill, "when_a_drill_ends_nobody_waits_for_its_silence_any_longer"),
    (only_some, "a_share_of_the_conversations_or_only_the_drills_own"),
    (lambda: same_as_real("anthropic", FAULTS), "each_fault_injected_is_judged_as_when_an_anthropic_provider_commits_it"),
    (lambda: same_as_real("openai", [f for f in FAULTS if f not in SILENT]), "and_as_when_an_openai_provider_commits_it"),
)

for story, text in CASES:
    with claim(text):
        story()
finish()
