#!/usr/bin/env python3
"""`hotspare drill` against a gateway that serves: verdicts, the bounds (share, cap, time, abort rule), and that the fault is gone
whatever ends the drill."""
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import BIN, SANITIZER, Serve, Standin, clean_env  # noqa: E402

FAST = {"first_token": "1s", "stall": "1s"}


def house(more="", words=60):
    """Stand-ins in the place of one's own chain."""
    class House:
        def __enter__(self):
            self.stack = contextlib.ExitStack()
            self.lead = self.stack.enter_context(Standin("lead", words=words, rate=400))
            self.spare = self.stack.enter_context(Standin("spare", words=words, rate=400))
            self.s = self.stack.enter_context(Serve({"lead": self.lead.speaks("anthropic"), "spare": self.spare.speaks("openai")},
                                                    chain=["lead", "spare/gpt"], deadlines=FAST, more=more))
            return self

        def __exit__(self, *trace):
            return self.stack.__exit__(*trace)

        def fault(self):
            return request("GET", self.s.admin + "/api/fault").json

        def asked(self, **headers):
            return post_json(self.s.url + "/v1/messages", {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "Count."}]}, headers)
    return House()


def start(h, *arguments, yes=True, addresses=True, env=None):
    own = ["--gateway", h.s.url, "--admin", h.s.admin] if addresses else []
    return subprocess.Popen([BIN, "drill", *arguments, *own, "--model", "claude-x", *(["--yes"] if yes else [])], env=clean_env(**(env or {})),
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(p, seconds=120):
    out, err = p.communicate(timeout=seconds)
    expect_true(not SANITIZER.search(err), err)
    return p.returncode, out, err


def drill(h, *arguments, **more):
    code, out, err = end(start(h, *arguments, "--json", **more))
    expect_true(out.startswith("{"), f"{code} {out[:300]} {err}")
    report = json.loads(out)
    expect(report["schema"], "hotspare.drill-own/1", "schema")
    return code, report


def wait_for_fault(h, active=True, seconds=30):
    until = time.monotonic() + seconds
    while h.fault()["active"] != active:
        expect_true(time.monotonic() < until, f"the fault's active is never {active}")
        time.sleep(0.02)


def all_met():
    with house() as h, tempfile.TemporaryDirectory() as folder:
        junit, page = os.path.join(folder, "d.xml"), os.path.join(folder, "d.html")
        code, r = drill(h, "run", "H4,T4,S5.cut,P2.both-529,T1.no-such-name", "--percent", "100", "--rate", "8", "--seconds", "2", "--junit", junit, "--html", page)
        by_name = {f["id"]: f for f in r["faults"]}
        expect(code, 0, f"exit code: {r}")
        expect({k: v["verdict"] for k, v in by_name.items()},
               {"H4.org-disabled": "pass", "T4.silent": "pass", "S5.cut": "pass", "P2.both-529": "not_run", "T1.no-such-name": "not_run"}, "verdicts")
        for name in ("H4.org-disabled", "T4.silent", "S5.cut"):
            f = by_name[name]
            c = f["conversations"]
            expect((c["lost"], c["open"], c["released"], f["restored"], f["own_callers"]["lost_or_wrong"]), (0, 0, 0, True, 0), f"{name}: all meet it to its end")
            expect_true(f["conversations"]["met"] > 0 and f["own_callers"]["good"] == f["own_callers"]["asked"] >= 12, f"{name}: {f}")
        expect(by_name["H4.org-disabled"]["conversations"]["met"], 1, "one disabled account opens the circuit, and only that one meets it")
        expect_true(by_name["S5.cut"]["conversations"]["continued"] > 0, f"streams go on in the middle: {by_name['S5.cut']}")
        expect_true("below HTTP" in by_name["T1.no-such-name"]["why"] and "your users" in by_name["P2.both-529"]["why"], "why they are not run")
        expect_true(r["spending"]["input_tokens"] > 0 and r["spending"]["output_tokens"] > 0 and r["spending"]["answers_without_usage"] == 0, r["spending"])
        expect_true("numbered words" in r["not_measurable"], "what cannot be measured is said")
        suites = xml.etree.ElementTree.parse(junit).getroot()
        expect((suites.attrib["tests"], suites.attrib["failures"], suites.attrib["skipped"]), ("5", "0", "2"), "JUnit")
        with open(page, encoding="utf-8") as f:
            expect_true("S5.cut" in f.read(), "the page")
        expect((h.fault()["active"], h.asked().headers["x-hotspare-served-by"]), (False, "lead"), "all is as before")


def a_share():
    """30 % of all conversations: the drill's own and, beside it, its users'. The circuit moves nobody else. The names of the drill's
    conversations are drawn anew in each run, so the bounds are more than four standard deviations away."""
    with house(words=8) as h:
        stop, by = threading.Event(), []

        def user():
            while not stop.wait(0.02):
                by.append(h.asked(**{"x-claude-code-session-id": f"s{len(by)}"}).headers["x-hotspare-served-by"])
        t = threading.Thread(target=user)
        t.start()
        code, r = drill(h, "run", "H5.401", "--percent", "30", "--rate", "40", "--seconds", "3")
        stop.set()
        t.join()
        f = r["faults"][0]
        expect((code, f["verdict"], r["circuit"]), (0, "pass", False), f"{f}")
        met, own = f["conversations"]["met"], f["own_callers"]["asked"]
        expect_true(own >= 110 and own * 0.12 < met < (own + len(by)) * 0.5, f"met {met} of {own} and {len(by)} users'")
        expect_true(by.count("spare") > 0 and by.count("lead") > 0, f"users on the spare: {by.count('spare')} of {len(by)}")
        expect(f["conversations"]["hidden"], met, "nobody noticed")


def callers_own_error():
    with house() as h:
        code, r = drill(h, "run", "H6", "--only-mine", "--rate", "8", "--seconds", "1")
        expect((code, [f["verdict"] for f in r["faults"]]), (0, ["pass", "pass"]), r)
        expect(r["faults"][0]["conversations"]["told"], r["faults"][0]["conversations"]["met"], "told, each of them")


def ctrl_c():
    with house() as h:
        p = start(h, "run", "H1", "--percent", "100", "--seconds", "60", "--json")
        wait_for_fault(h)
        p.send_signal(signal.SIGINT)
        code, out, err = end(p, 30)
        r = json.loads(out)
        expect((h.fault()["active"], h.asked().headers["x-hotspare-served-by"]), (False, "lead"), "gone when the drill has ended, not a lease later")
        expect((code, r["stopped"], [f["verdict"] for f in r["faults"]]), (130, True, ["not_run", "not_run"]), r)
        expect_true("taken back" in err, err)


def killed():
    with house() as h:
        p = start(h, "run", "H4", "--percent", "100", "--seconds", "60")
        wait_for_fault(h)
        p.kill()
        p.communicate()
        expect(h.fault()["active"], True, "nobody took it back")
        wait_for_fault(h, False)
        until = time.monotonic() + 10
        while h.asked().headers.get("x-hotspare-served-by") != "lead":
            expect_true(time.monotonic() < until, "the lead does not answer again")


def cap():
    with house() as h:
        code, r = drill(h, "run", "H1.529,H4", "--percent", "100", "--rate", "20", "--seconds", "30", "--spend-cap", "3000")
        expect((code, r["ended_early"]), (1, "the spend cap is reached"), r)
        expect_true(0 < r["spending"]["counted"] <= 3000, r["spending"])
        expect(r["faults"][1]["why"], "not reached: the spend cap is reached", "the next one")
        expect(h.fault()["active"], False, "and taken back")
        code, r = drill(h, "run", "H1.529", "--only-mine", "--rate", "20", "--seconds", "30", "--spend-cap", "0.03usd", "--price", "3,15")
        expect((code, r["ended_early"], r["spending"]["unit"]), (1, "the spend cap is reached", "USD"), r)
        expect_true(0 < r["spending"]["counted"] <= 0.03, r["spending"])


def abort_rule():
    """The spare is down too: the first conversation that is lost ends the drill."""
    with house() as h:
        h.spare.faults("500")
        code, r = drill(h, "run", "H7.500,H1.529", "--only-mine", "--rate", "5", "--seconds", "60")
        f = r["faults"][0]
        expect((code, f["verdict"], f["aborted"], r["ended_early"]), (1, "fail", True, "the abort rule fired"), r)
        expect_true(f["own_callers"]["lost_or_wrong"] >= 1 and f["own_callers"]["asked"] < 20, f"at once: {f}")
        expect((r["faults"][1]["verdict"], h.fault()["active"]), ("not_run", False), "nothing more, and taken back")
        code, r = drill(h, "run", "H7.500", "--only-mine", "--rate", "20", "--seconds", "60", "--abort-on", "interruption=50")
        expect_true(code == 1 and r["faults"][0]["aborted"] and r["faults"][0]["own_callers"]["asked"] >= 10, r)


def not_well():
    with house() as h:
        h.lead.faults("529")
        code, r = drill(h, "run", "H4", "--percent", "100")
        expect((code, r["faults"][0]["verdict"]), (2, "not_run"), r)
        expect_true("not well" in r["ended_early"] and h.fault()["active"] is False, r)
    with house() as h:
        post_json(h.s.admin + "/api/fault", {"drill": "other", "target": "lead", "fault": "529", "percent": 1, "lease_ms": 60000})
        code, r = drill(h, "run", "H4")
        expect((code, "another drill" in r["ended_early"], h.fault()["drill"]), (2, True, "other"), "the other one goes on")


def asks_first():
    with house() as h:
        code, out, err = end(start(h, "quick", yes=False))
        expect((code, "H4.org-disabled" in out, "--yes" in err, h.fault()["drill"]), (64, True, True, None), "without --yes")
        code, out, err = end(start(h, "all", "--dry-run", "--percent", "7", yes=False))
        expect((code, "7 % of their conversations" in out, "cap 50000 tokens" in out, err, h.fault()["drill"]), (0, True, True, "", None), "--dry-run")
        expect(h.lead.stats()["requests"], 0, "nobody was asked")
        for arguments, word in ((("--spend-cap", "1usd"), "--price"), (("--spend-cap", "much"), "not an amount"), (("--abort-on", "never"), "no rule"), (("--percent", "0"), "--percent 0"),
                                (("--limit", "dip=3"), "not measurable"), (("--jobs", "2"), "no meaning"), (("--key-env", "NOT_SET"), "holds no key"), (("--price", "3"), "two amounts"),
                                (("--target", "a b"), "not a name")):
            code, out, err = end(start(h, "run", "H4", *arguments))
            expect((code, word in err), (64, True), f"{arguments}: {err}")
        code, out, err = end(start(h, "run", "H4", "--target", "nobody"))
        expect((code, "no target of this name" in err), (2, True), err)
        code, out, err = end(start(h, "run", "H4", "--config", h.s.config, addresses=False))
        expect((code, "leaves a port to the system" in err), (64, True), err)
        expect(h.fault()["active"], False, "none of it begins anything")
    code, out, err = end(subprocess.Popen([BIN, "drill", "run", "H4", "--percent", "5"], env=clean_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    expect((code, "where is the gateway" in err), (64, True), err)


def with_a_configuration():
    """--config finds both addresses; a gateway that asks for keys is asked with one from the environment, which nobody ever shows."""
    secret = "key-of-a-client-7f3a91"
    with Standin("lead", words=40, rate=400) as lead, Standin("spare", words=40, rate=400) as spare:
        more = "keys: { ci: env:CI_KEY }\n"
        with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("anthropic")}, chain=["lead", "spare"], more=more, env={"CI_KEY": secret}) as s:
            pass_config = os.path.join(s.folder, "drill.yaml")
            with open(s.config, encoding="utf-8") as f:
                text = f.read()
            text = text.replace("listen: 127.0.0.1:0", "listen: " + s.url.split("//")[1]).replace("admin: 127.0.0.1:0", "admin: " + s.admin.split("//")[1])
            with open(pass_config, "w", encoding="utf-8") as f:
                f.write(text)
            run = [BIN, "drill", "run", "H1.529", "--config", pass_config, "--model", "m", "--percent", "100", "--rate", "5", "--seconds", "1", "--yes"]
            code, out, err = end(subprocess.Popen(run, env=clean_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
            expect((code, "--key-env" in err), (64, True), err)
            code, out, err = end(subprocess.Popen([*run, "--key-env", "CI_KEY"], env=clean_env(CI_KEY=secret), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
            expect((code, "H1.529 PASS" in out, secret in out + err + s.said()), (0, True, False), f"{out} {err}")


for story, text in (
        (all_met, "each_fault_met_by_all_has_its_verdict_in_json_junit_and_html_and_all_is_as_before"),
        (a_share, "a_share_of_the_conversations_meets_it_and_no_circuit_moves_the_others"),
        (callers_own_error, "a_callers_own_error_is_drilled_on_the_drills_own_conversations_only"),
        (ctrl_c, "ctrl_c_takes_the_fault_back_at_once"),
        (killed, "a_drill_that_is_killed_leaves_nothing_behind_after_its_lease"),
        (cap, "the_spend_cap_in_tokens_or_usd_ends_it"),
        (abort_rule, "the_abort_rule_ends_it_with_exit_code_1"),
        (not_well, "a_chain_that_is_not_well_and_another_drill_are_left_alone"),
        (asks_first, "nothing_is_touched_without_yes_and_what_makes_no_sense_is_refused"),
        (with_a_configuration, "a_configuration_tells_both_addresses_and_a_key_is_never_shown")):
    with claim(text):
        story()
finish()
