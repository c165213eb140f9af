#!/usr/bin/env python3
"""A lead that is late by its own measure: the spare is asked, too, and the first with content answers."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import *  # noqa: E402,F403
from talk import *  # noqa: E402,F403

LEARN = 50  # streams that make a quantile: none of them is hedged


def hedge(times):
    """A budget for so many hedges behind the lessons and no more: a request that is late by chance must not add one."""
    return f"hedge: {{ budget: {2 * times} }}\n"


def ask(s, door, text="hello"):
    reply = post_json(s.url + door, DOORS[door][0](text, stream=True))
    expect(reply.status, 200, reply.text[:400])
    expect(DOORS[door][1](reply), (words(12), True), reply.text[-400:])
    return reply


def hedges(s):
    return {r: s.metrics()[f'hotspare_hedges_total{{result="{r}"}}'] for r in ("won", "lost", "failed")}


def learn(s):
    for n in range(LEARN):
        ask(s, "/v1/messages", f"lesson {n}")


def one(speaks, door):
    """The lead is late once: the spare answers, the lead is let go, and its circuit hears nothing."""
    with Standin("lead") as lead, Standin("spare") as spare:
        with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks(speaks)}, chain=["lead", "spare/x"], more=hedge(1)) as s:
            learn(s)
            expect(spare.stats()["requests"], 0, "requests the spare saw while the lead was in time")
            lead.faults("slow-first=15s,times=1")
            reply = ask(s, door, "late")
            expect((reply.headers["x-hotspare-served-by"], reply.headers["x-hotspare-switched"], reply.headers["x-hotspare-attempts"]), ("spare", "lead>spare; hedged", "2"), "headers")
            expect(hedges(s), {"won": 1, "lost": 0, "failed": 0}, "hedges")
            m = s.metrics()
            expect((m.get('hotspare_attempts_total{target="lead",result="outrun"}'), m.get('hotspare_attempts_total{target="lead",result="stalled"}', 0)), (1, 0), "how it ended at the lead")
            expect(m['hotspare_target_state{target="lead",model="",state="closed"}'], 1, "the lead's circuit")
            line = json.loads(s.wait_for(r'^\{.*"hedge":"won".*').group(0))
            expect([(a["target"], a["result"]) for a in line["attempts"]], [("lead", "outrun"), ("spare", "ok")], "the log")
            expect(ask(s, door, "late").headers["x-hotspare-served-by"], "lead", "the same conversation stays with the lead")
            end = time.monotonic() + 20
            while lead.stats()["aborted_by_client"] == 0 and time.monotonic() < end:
                time.sleep(0.02)
            expect(lead.stats()["aborted_by_client"], 1, "the lead's connection was closed")


for speaks in ("openai", "anthropic"):
    for door in DOORS:
        with claim(f"a_late_lead_is_outrun_by_a_spare_that_speaks_{speaks}_at_{door.split('/')[2]}"):
            one(speaks, door)

with claim("the_lead_may_win_and_a_rival_that_fails_is_not_noticed"):
    with Standin("lead") as lead, Standin("spare", fault="slow-first=15s") as spare:
        with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("openai")}, chain=["lead", "spare/x"], more=hedge(2)) as s:
            learn(s)
            lead.faults("slow-first=2s,times=2")
            expect(ask(s, "/v1/messages", "a").headers["x-hotspare-served-by"], "lead")
            expect(hedges(s), {"won": 0, "lost": 1, "failed": 0}, "hedges")
            spare.faults("529")
            expect(ask(s, "/v1/messages", "b").headers["x-hotspare-served-by"], "lead")
            expect(hedges(s), {"won": 0, "lost": 1, "failed": 1}, "hedges")

with claim("when_both_are_later_than_is_waited_the_client_hears_an_honest_error"):
    with Standin("lead") as lead, Standin("spare", fault="slow-first=15s") as spare:
        with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("openai")}, chain=["lead", "spare/x"], more=hedge(1), deadlines={"first_token": "2s", "total": "20s"}) as s:
            learn(s)
            lead.faults("silent")
            reply = post_json(s.url + "/v1/messages", messages("x", stream=True), seconds=40)
            expect_true(reply.status >= 500 and reply.json["type"] == "error", f"{reply.status}: {reply.text[:300]}")
            results = {t: s.metrics().get(f'hotspare_attempts_total{{target="{t}",result="stalled"}}', 0) for t in ("lead", "spare")}
            expect_true(all(results.values()), f"both circuits heard of it: {results}")

with claim("no_more_is_hedged_than_the_budget_says_and_nothing_without_one"):
    for more, most, late in ((hedge(1), 1, 3), ("", 0, 1)):
        with Standin("lead") as lead, Standin("spare") as spare:
            with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("openai")}, chain=["lead", "spare/x"], more=more) as s:
                learn(s)
                lead.faults("slow-first=1s")
                for n in range(late):
                    ask(s, "/v1/messages", f"late {n}")
                expect(sum(hedges(s).values()), most, f"hedged of {LEARN + late} requests at {more!r}")
                expect(spare.stats()["requests"], most, "requests the spare saw")
finish()
