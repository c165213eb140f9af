#!/usr/bin/env python3
"""`hotspare demo` as somebody meets it who has just built the program: what it shows, and what it leaves behind (nothing)."""
import json
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import *  # noqa: E402,F403
from harness import Troupe  # noqa: E402


def Demo(*arguments):
    return Troupe("demo", *arguments)


with claim("the_demo_loses_nothing_while_claude_hangs_up_and_goes_away_twice"):
    code, out, err = Demo("--seconds", "6", "--json").end()
    expect(code, 0, "exit code\n" + err)
    card = json.loads(out)
    expect((card["schema"], card["ok"], card["conversations"]), ("hotspare.demo/1", True, 20))
    expect([card[k] for k in ("interrupted", "lost", "repeated", "reordered", "strange")], [0] * 5)
    expect_true(card["turns"] >= 60 and card["words"] == card["turns"] * 24, f"turns and words fit: {out}")
    phase = {p["id"]: p for p in card["phases"]}
    expect(list(phase), ["before", "cut", "account_disabled", "back", "silent", "after"])
    # A question asked as Claude comes back may still reach it; that it answers while gone is exit code 2.
    for gone in ("account_disabled", "silent"):
        expect_true(phase[gone]["answered_by"]["claude"] <= 2 and phase[gone]["answered_by"]["openai"] > 10, f"{gone}: {phase[gone]}")
    expect_true(phase["before"]["answered_by"]["claude"] > 0 and card["failed_over"] > 0 and card["continued"] > 0, out)
    expect_true(phase["silent"]["first_token_ms_p99"] > 600, "a silent Claude costs the first-token deadline")
    expect_true("\033" not in err, "no colours outside a terminal")

with claim("the_scorecard_for_people_fits_a_terminal_and_names_the_next_command"):
    code, out, err = Demo("--seconds", "6").end()
    expect(code, 0, "exit code\n" + err)
    expect_true(re.search(r"interrupted +0\b", out) and re.search(r"lost +0\b", out) and "hotspare serve" in out, out)
    expect_true(max(map(len, out.splitlines())) <= 80, out)

with claim("ctrl_c_and_sigterm_leave_no_process_and_no_file"):
    for number in (signal.SIGINT, signal.SIGTERM):
        demo = Demo()
        demo.wait_for_processes(3)
        demo.p.send_signal(number)
        code, out, err = demo.end(10)
        expect((code, out), (130, ""))

with claim("a_process_that_dies_is_named_and_the_others_are_ended"):
    demo = Demo()
    demo.wait_for_processes(3)
    time.sleep(1)
    os.kill(next(pid for pid, line in demo.processes().items() if " serve " in line), signal.SIGKILL)
    code, out, err = demo.end(10)
    expect((code, out), (2, ""))
    expect_true("the gateway ended by itself" in err, err)

with claim("what_cannot_be_meant_is_a_usage_error"):
    for arguments in (["--seconds", "1"], ["--seconds", "x"], ["--seconds"], ["now"], ["--colour"]):
        code, out, err = Demo(*arguments).end(10)
        expect((code, out), (64, ""), str(arguments))
    code, out, err = Demo("--help").end(10)
    expect_true(code == 0 and "--seconds" in out, out)

finish()
