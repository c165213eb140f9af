#!/usr/bin/env python3
"""A background response whose stream breaks is heard to its end from the same target (relay/resume.c), over real sockets."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import *  # noqa: E402,F403
from talk import *  # noqa: E402,F403

COUNT = 30
DEADLINES = {"connect": "1s", "first_token": "3s", "stall": "700ms", "total": "30s"}


def chain(lead, spare, **more):
    return Serve({"lead": dict(lead.speaks("openai"), api="responses"), "spare": spare.speaks("anthropic")}, chain=["lead", "spare/claude"], deadlines=DEADLINES, **more)


def ask(s, **more):
    return post_json(s.url + "/v1/responses", dict({"model": "m", "stream": True, "background": True, "input": "hello"}, **more))


def said(reply):
    """The text, and that the events are numbered without a gap and the last one says it again."""
    events = [json.loads(data) for _, data in sse_events(reply.text)]
    expect([e["sequence_number"] for e in events], list(range(len(events))), "numbers")
    expect(events[-1]["type"], "response.completed", reply.text[-400:])
    text = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
    expect("".join(c["text"] for o in events[-1]["response"]["output"] for c in o.get("content", [])), text, "said again")
    return text


def journal(s):
    return json.loads(s.wait_for(r'^\{.*"api".*').group(0))


for fault in ("cut@9", "rst@9", "stall@9", "cut-line@9", "cut@2", "cut@27"):
    with claim("heard_to_its_end_behind_" + fault.replace("@", "_")):
        with Standin("lead", words=COUNT, fault=fault + ",times=1", rate=400) as lead, Standin("spare", words=COUNT) as spare, chain(lead, spare) as s:
            r = ask(s)
            expect((r.status, said(r), r.headers["x-hotspare-served-by"]), (200, words(COUNT), "lead"))
            expect((lead.stats()["requests"], lead.stats()["told_again"], spare.stats()["requests"]), (1, 1, 0), "asked for once, heard twice")
            line = journal(s)
            expect([(a["target"], a["result"] == "ok", a.get("resumed")) for a in line["attempts"]], [("lead", False, None), ("lead", True, True)], str(line))
            expect(line["splices"], 0, "nobody went on with it")

with claim("when_it_breaks_again_the_next_target_goes_on"):
    with Standin("lead", words=COUNT, fault="cut@9", rate=400) as lead, Standin("spare", words=COUNT) as spare, chain(lead, spare) as s:
        r = ask(s)
        expect((r.status, said(r)), (200, words(COUNT)))
        expect((lead.stats()["requests"], lead.stats()["told_again"], spare.stats()["requests"]), (1, 1, 1), "heard again once")
        expect(journal(s)["splices"], 1)

with claim("an_ordinary_stream_is_not_asked_for_again"):
    with Standin("lead", words=COUNT, fault="cut@9,times=1", rate=400) as lead, Standin("spare", words=COUNT) as spare, chain(lead, spare) as s:
        r = ask(s, background=False)
        expect((r.status, said(r)), (200, words(COUNT)))
        expect((lead.stats()["told_again"], spare.stats()["requests"]), (0, 1))

with claim("a_background_answer_that_is_not_streamed_is_the_providers_alone"):
    with Standin("lead", words=COUNT, fault="529") as lead, Standin("spare", words=COUNT) as spare, chain(lead, spare) as s:
        r = ask(s, stream=False)
        expect((r.status >= 400, spare.stats()["requests"]), (True, 0), r.text)
        r = ask(s)
        expect((r.status, said(r), r.headers["x-hotspare-served-by"]), (200, words(COUNT), "spare"), "streamed, it is answered by anybody")

finish()
