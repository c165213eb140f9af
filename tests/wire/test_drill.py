#!/usr/bin/env python3
"""`hotspare drill` on real sockets: verdicts, reports, exit codes, and what it leaves behind (nothing)."""
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import *  # noqa: E402,F403
from harness import Troupe  # noqa: E402

SHORT = ("--seconds", "1")


class Drill(Troupe):
    def __init__(self, *arguments):
        super().__init__("drill", *arguments)

    def wait_for_gateway(self, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if any(" serve " in line and "crew-member" not in line for line in self.processes().values()):
                return
            time.sleep(0.02)
        raise AssertionError(f"no gateway runs: {self.processes()}")


def good_drill(folder):
    junit, page = os.path.join(folder, "drill.xml"), os.path.join(folder, "drill.html")
    code, out, err = Drill("run", "H4,H6.400,P2.both-529", "--json", "--junit", junit, "--html", page, *SHORT).end()
    expect((code, err), (0, ""), "exit code, and silence outside a terminal")
    report = json.loads(out)
    expect((report["schema"], report["ok"], report["stopped"]), ("hotspare.drill/1", True, False), "head")
    return report, junit, page


def check_hidden(h4):
    v = h4["variants"][0]
    conversations, requests = v["conversations"], v["requests"]
    expect((h4["verdict"], v["interruption_percent"], v["silent_corruption_percent"]), ("pass", 0, 0), "H4")
    expect(v["words"], {"lost": 0, "duplicate": 0, "reordered": 0, "never_sent": 0}, "words")
    expect(conversations["hidden"], conversations["count"], "all are hidden")
    expect_true(conversations["by_spare"] > 20 and conversations["by_lead"] > 0, conversations)
    expect_true(requests["faults_committed"] > 0, "the fault was met")
    expect(requests["upstream"], requests["client"] + requests["lead_attempts_failed"], "each failed attempt cost one request more, and nothing else did")
    expect_true(0 <= v["detect_s"] < 0.5 and 0 <= v["open_s"] < 0.5 and 0 < v["return_s"] < 4, f"times: {v}")
    expect_true("p99" not in v["latency_ms"]["ttft_failed_over"], "no p99 from so few")
    for shape in v["shapes"]:
        expect_true(shape["hidden"] > 0, f"no conversation was of this shape: {shape}")


def check_callers_fault(h6):
    v = h6["variants"][0]
    expect((h6["verdict"], v["conversations"]["asked_elsewhere"], v["requests"]["spare"]), ("pass", 0, 0), "H6: nobody else is asked")
    expect_true(v["conversations"]["refused"] > 20 and v["conversations"]["lost"] == 0, v["conversations"])
    expect(v["detect_s"], None, "there was nothing to route elsewhere")


def check_nobody_left(p2):
    """Nobody is left: an honest error for every caller, within the deadline and a second."""
    c = p2["variants"][0]["conversations"]
    expect((p2["verdict"], c["lost"], c["corrupt"]), ("pass", 0, 0), f"P2: {c}")
    expect_true(c["honest_error"] > 10, c)


def check_files(junit, page):
    suites = xml.etree.ElementTree.parse(junit).getroot()
    expect((suites.tag, suites.attrib["tests"], suites.attrib["failures"], suites.attrib["errors"]), ("testsuites", "3", "0", "0"), "JUnit")
    expect([case.attrib["name"] for case in suites.iter("testcase")], ["H4.org-disabled", "H6.400", "P2.both-529"], "test cases")
    with open(page, encoding="utf-8") as f:
        text = f.read()
    expect_true("<svg" in text and "the fault:" in text, "a picture with its fault band")
    expect_true(not re.search(r"<script|https?://|src=|href=", text), "nothing is fetched and no script is needed")


with claim("a_hidden_outage_a_callers_fault_and_nobody_left_have_their_figures_in_json_junit_and_html"):
    scratch = tempfile.mkdtemp(prefix="hotspare-test-drill-files-")
    try:
        report, junit, page = good_drill(scratch)
        check_hidden(report["faults"][0])
        check_callers_fault(report["faults"][1])
        check_nobody_left(report["faults"][2])
        check_files(junit, page)
    finally:
        shutil.rmtree(scratch)

with claim("a_limit_that_cannot_hold_breaks_the_drill_with_exit_code_1_and_says_which"):
    code, out, err = Drill("run", "H4", "--limit", "billing=0.5", *SHORT).end()
    expect(code, 1, "exit code\n" + out + err)
    lines = out.splitlines()
    expect_true(re.fullmatch(r"H4 FAIL interruption 0\.0 % \(limit 0\.5\) TTD \d+\.\d\d s TTR \d+ s dip \d+ % area \d+ req", lines[0]), out)
    expect_true(re.search(r"^   H4\.org-disabled: billing 1\.\d+ x \(limit 0\.5\)$", out, re.M), out)
    expect_true("\033" not in out + err, "no colours outside a terminal")

with claim("what_fails_below_http_fails_for_the_reason_that_was_drilled"):
    code, out, err = Drill("run", "T1.wrong-address,T3.expired,T3.wrong-host,T5.dead-when-used", "--json", "--jobs", "2", *SHORT).end()
    report = json.loads(out)
    expect((code, report["ok"]), (0, True), out)
    said = {f"{f['id']}.{v['id']}": v for f in report["faults"] for v in f["variants"]}
    expect(list(said), ["T1.wrong-address", "T3.expired", "T3.wrong-host", "T5.dead-when-used"], "all were run, in their order")
    expect_true("connection refused" in said["T1.wrong-address"]["gateway_said"], said["T1.wrong-address"])
    expect_true("certificate has expired" in said["T3.expired"]["gateway_said"], said["T3.expired"])
    expect_true("IP address mismatch" in said["T3.wrong-host"]["gateway_said"], said["T3.wrong-host"])
    dead = said["T5.dead-when-used"]
    expect_true(dead["requests"]["faults_committed"] > 0 and dead["conversations"]["asked_elsewhere"] == 0, dead)
    expect(dead["requests"]["upstream_per_client"], 1, "a request on a dead connection is sent once more, and billed once")

with claim("answers_cut_or_stalled_in_the_middle_go_on_without_a_word_lost_repeated_or_moved"):
    # The circuit may flap here: it closes at a trial's first word, and this lead dies behind that. Not what is asked here.
    code, out, err = Drill("run", "T2.reset-in-the-middle,S3,S4.error-in-the-middle,S5.cut", "--json", "--limit", "flaps=99", *SHORT).end()
    expect(code, 0, "exit code\n" + out)
    for fault in json.loads(out)["faults"]:
        v = fault["variants"][0]
        c = v["conversations"]
        expect((c["lost"], c["corrupt"], sum(v["words"].values())), (0, 0, 0), f"{fault['id']}: {c} {v['words']}")
        expect_true(c["continued"] > 0 and c["continued"] == c["spliced"], f"{fault['id']}: {c}")

with claim("signals_leave_no_process_and_no_file_and_end_with_130"):
    for number in (signal.SIGINT, signal.SIGTERM):
        drill = Drill("all")
        drill.wait_for_gateway()
        drill.p.send_signal(number)
        code, out, err = drill.end(10)
        expect((code, out.count("PASS")), (130, 0), "exit code and output\n" + out + err)

with claim("a_drill_that_is_killed_takes_its_processes_with_it"):
    drill = Drill("all")
    drill.wait_for_gateway()
    drill.p.kill()
    drill.p.communicate()
    drill.wait_for_processes(0, 5)
    shutil.rmtree(drill.tmp)

with claim("a_process_that_dies_is_named_and_the_drill_ends_with_2"):
    drill = Drill("run", "H4")
    drill.wait_for_gateway()
    time.sleep(0.3)
    os.kill(next(pid for pid, line in drill.processes().items() if " serve " in line), signal.SIGKILL)
    code, out, err = drill.end(10)
    expect(code, 2, "exit code\n" + out + err)
    expect_true("H4 BROKEN" in out and "the gateway ended by itself" in out, out)

with claim("a_fault_that_is_not_run_here_says_why_and_is_no_success"):
    code, out, err = Drill("run", "S8").end(10)
    expect(code, 2, "exit code")
    expect_true(re.search(r"^S8 NOT RUN$", out, re.M) and "not run: " in out, out)

with claim("the_list_names_every_fault_its_expectation_and_its_limits"):
    code, out, err = Drill("list").end(10)
    expect((code, err), (0, ""))
    code, text, err = Drill("list", "--json").end(10)
    listed = json.loads(text)
    expect((code, listed["schema"]), (0, "hotspare.drill-list/1"))
    ids = [f["id"] for f in listed["faults"]]
    expect(ids, "H1 H2 H3 H4 H5 H6 H7 T1 T2 T3 T4 T5 S1 S2 S3 S4 S5 S6 S7 S8 S9 P1 P2 P3".split(), "ids")
    expect(sum(f["quick"] for f in listed["faults"]), 6, "quick ones")
    for f in listed["faults"]:
        expect_true(f["hypothesis"].endswith(".") and "interruption" in f["limits"], f)
        expect_true(re.search(rf"^{f['id']} ", out, re.M), f"{f['id']} is in the text too")
        for v in f["variants"]:
            expect_true(v["run"] or v["why_not"], v)

with claim("what_cannot_be_meant_is_a_usage_error"):
    for arguments in ([], ["run"], ["run", "H99"], ["run", "H4.nothing"], ["run", "H4", "H5"], ["quick", "now"], ["slow"], ["run", "H4", "--rate", "0"],
                      ["run", "H4", "--limit", "x=1"], ["run", "H4", "--limit", "interruption"], ["run", "H4", "--seconds", "x"], ["run", "H4", "--colour"]):
        code, out, err = Drill(*arguments).end(10)
        expect((code, out), (64, ""), str(arguments))
        expect_true(err, f"{arguments}: it is said what is wrong")
    code, out, err = Drill("--help").end(10)
    expect_true(code == 0 and "--limit" in out, out)

finish()
