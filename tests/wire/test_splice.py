#!/usr/bin/env python3
"""A lead that dies in the middle of its answer: the next target goes on, and the client sees one message."""
import itertools
import json
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import *  # noqa: E402,F403
from talk import *  # noqa: E402,F403

COUNT = 30
DEADLINES = {"connect": "1s", "first_token": "2s", "stall": "700ms", "total": "30s"}
TOOL = {"name": "write_file", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}, "text": {"type": "string"}}}}
INPUT = {"path": "a.txt", "text": "forty-two and \\u4e2d, \"quoted\""}


def ask(s, door, text="hello", headers=None, **more):
    body = DOORS[door][0](text, stream=True, **more)
    return post_json(s.url + door, body, headers)


def well_formed(reply):
    """A Messages stream: one start, blocks in order and not overlapping, one end."""
    kinds, block, index = [], None, 0
    for name, data in sse_events(reply.text):
        e = json.loads(data)
        kinds.append(name)
        if name == "content_block_start":
            expect((block, e["index"]), (None, index), "no block inside a block, indices contiguous")
            block = e["content_block"]["type"]
        elif name == "content_block_delta":
            expect(e["index"], index, "delta of the open block")
        elif name == "content_block_stop":
            expect((e["index"], block is not None), (index, True), "stop of the open block")
            block, index = None, index + 1
    expect((kinds.count("message_start"), kinds[0], kinds.count("message_delta"), kinds.count("message_stop"), kinds[-1], block),
           (1, "message_start", 1, 1, "message_stop", None), str(kinds))


def one_id(reply):
    ids = {json.loads(data)["id"] for _, data in sse_events(reply.text) if data != "[DONE]"}
    times = {json.loads(data)["created"] for _, data in sse_events(reply.text) if data != "[DONE]"}
    expect((len(ids), len(times)), (1, 1), f"one id and one time in all chunks: {ids} {times}")


def check(reply, door, want=None):
    expect(reply.status, 200)
    expect(DOORS[door][1](reply), (want or words(COUNT), True), reply.text[-600:])
    if door == "/v1/messages":
        well_formed(reply)
    else:
        one_id(reply)


def log_line(s):
    return json.loads(s.wait_for(r'^\{.*"api".*').group(0))


def tools_of(reply):
    """Blocks of a Messages stream as (type, text or input), and the stop reason."""
    blocks, stop = [], None
    for name, data in sse_events(reply.text):
        e = json.loads(data)
        if name == "content_block_start":
            blocks.append([e["content_block"]["type"], ""])
        elif name == "content_block_delta":
            blocks[-1][1] += e["delta"].get("text", e["delta"].get("partial_json", e["delta"].get("thinking", "")))
        elif name == "message_delta":
            stop = e["delta"]["stop_reason"]
    return blocks, stop


for style in ["exact", "echo", "restart", "repeat=4", "lead-in", "refuse"]:
    with claim("the_spare_goes_on_" + style.replace("=", "_").replace("-", "_")):
        with Standin("lead", words=COUNT, rate=500) as lead, Standin("spare", words=COUNT, more=["--resume", style]) as spare:
            # A compatible server is asked in words; a stand-in goes on by itself.
            soft = dict(kind="openai-compatible", url=spare.url + "/v1")
            routes, targets = [], {"soft": soft}
            for speaks, other in itertools.product(("anthropic", "openai"), repeat=2):
                targets["l" + speaks[0]], targets["s" + other[0]] = lead.speaks(speaks), spare.speaks(other)
                routes.append((f"{speaks[0]}{other[0]}", ["l" + speaks[0], f"s{other[0]}/x"]))
            routes += [("as", ["la", "soft/x"]), ("os", ["lo", "soft/x"])]
            if style in ("repeat=4", "lead-in"):
                routes = routes[-2:]  # nobody does that who was not asked in words
            with Serve(targets, routes=routes, deadlines=DEADLINES, more="breaker: { failures: 1000, ratio_min: 100000 }\n") as s:
                for fault in ["cut@14", "rst@9", "error@7", "garbage@11", "cut-bytes@1777"]:
                    expect(lead.faults(fault).status, 200)
                    for model, _ in routes:
                        for door in DOORS:
                            check(ask(s, door, model=model), door)
                m = s.metrics()
                total = m['hotspare_rescues_total{phase="mid_stream",result="ok"}']
                expect_true(total >= 0.9 * 5 * len(routes) * 2, f"rescued in the middle: {total}")

with claim("a_stall_in_the_middle_is_gone_on_with_and_logged"):
    with Standin("lead", words=COUNT, fault="stall@12") as lead, Standin("spare", words=COUNT) as spare:
        with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("openai")}, chain=["lead", "spare/x"], deadlines=DEADLINES) as s:
            check(ask(s, "/v1/messages"), "/v1/messages")
            line = log_line(s)
            expect((line["outcome"], line["splices"], line["splice_style"], line["switched_from"]), ("ok", 1, "native", "lead"), str(line))

with claim("several_cuts_in_one_answer"):
    with Standin("a", words=COUNT, fault="cut@9") as a, Standin("b", words=COUNT, fault="rst@8") as b, Standin("c", words=COUNT) as c:
        with Serve({"a": a.speaks("anthropic"), "b": b.speaks("openai"), "c": c.speaks("anthropic")}, chain=["a", "b/x", "c/y"], deadlines=DEADLINES) as s:
            for door in DOORS:
                check(ask(s, door), door)
            expect(log_line(s)["splices"], 2)

with claim("a_continuation_that_fails_before_its_first_word_is_taken_up_by_the_next"):
    with Standin("a", words=COUNT, fault="cut@9") as a, Standin("b", words=COUNT, fault="529") as b, Standin("c", words=COUNT) as c:
        with Serve({"a": a.speaks("anthropic"), "b": b.speaks("openai"), "c": c.speaks("anthropic")}, chain=["a", "b/x", "c/y"], deadlines=DEADLINES) as s:
            for door in DOORS:
                check(ask(s, door), door)

with claim("a_lead_alone_is_asked_again_from_where_it_broke"):
    with Standin("a", words=COUNT, fault="cut@12,times=1") as a:
        with Serve({"a": a.speaks("anthropic")}, chain=["a"], deadlines=DEADLINES) as s:
            check(ask(s, "/v1/messages"), "/v1/messages")

with claim("what_a_spare_refuses_is_learnt_once_and_outlives_a_restart"):
    with tempfile.TemporaryDirectory() as state, Standin("lead", words=COUNT, fault="cut@9") as lead, \
            Standin("spare", words=COUNT, more=["--resume", "refuse"]) as spare:
        asked = 0
        for turn in range(2):
            with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("openai")}, chain=["lead", "spare/x"], deadlines=DEADLINES,
                       more=f"state_dir: {state}\nbreaker: {{ failures: 1000, ratio_min: 100000 }}\n") as s:
                for request_count, door in enumerate(list(DOORS) * 2):
                    check(ask(s, door), door)
                    asked += 2 if (turn, request_count) == (0, 0) else 1  # the first one is refused once, nobody else ever
                    expect(spare.stats()["requests"], asked, f"requests at the spare, run {turn}, request {request_count}")
                told = request("GET", s.admin + "/api/status").json["learned"]
                expect([(e["target"], e["model"], e["fact"]) for e in told], [("spare", "x", "no_prefill")])
                expect_true(7 * 86400 - 600 < told[0]["forgotten_in_s"] <= 7 * 86400, f"a week at most: {told}")
                expect(len(re.findall(r"learned .*fact=no_prefill", s.said())), 1 - turn, f"lines in the log: {s.said()}")
        with open(os.path.join(state, "learned"), "w", encoding="utf-8") as f:
            f.write("damaged\nspare\tx\n")
        with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("openai")}, chain=["lead", "spare/x"], deadlines=DEADLINES,
                   more=f"state_dir: {state}\n") as s:
            expect(len(re.findall("learned_file_damaged", s.said())), 1, f"one warning: {s.said()}")
            check(ask(s, "/v1/messages"), "/v1/messages")
            expect(spare.stats()["requests"], asked + 2, "what is lost is learnt again")

with claim("a_client_with_the_fallback_beta_is_told_where_models_change_and_may_send_it_back"):
    beta = {"anthropic-beta": "server-side-fallback-2026-07-01"}
    with Standin("lead", words=COUNT, fault="cut@14") as lead, Standin("spare", words=COUNT) as spare:
        for speaks, other in itertools.product(("anthropic", "openai"), repeat=2):
            with Serve({"lead": lead.speaks(speaks), "spare": spare.speaks(other)}, chain=["lead", "spare/stand-in"], deadlines=DEADLINES,
                       more="breaker: { failures: 1000, ratio_min: 100000 }\n") as s:
                reply = ask(s, "/v1/messages", headers=beta)
                check(reply, "/v1/messages")
                starts = [json.loads(data)["content_block"] for name, data in sse_events(reply.text) if name == "content_block_start"]
                expect([b["type"] for b in starts], ["text", "fallback", "text"], f"{speaks} to {other}")
                expect((starts[1]["from"]["model"], starts[1]["to"]["model"]), ("claude-sonnet-4-5", "stand-in"))
                history = [{"type": b[0], "text": b[1]} if b[0] == "text" else starts[1] for b in tools_of(reply)[0]]
                expect(lead.faults("529").status, 200)
                again = ask(s, "/v1/messages", headers=beta, messages=[{"role": "user", "content": "hello"}, {"role": "assistant", "content": history},
                                                                       {"role": "user", "content": "and now?"}])
                check(again, "/v1/messages")
                sent = spare.last()["messages"][-2]["content"]
                expect(sent, words(COUNT) if other == "openai" else history, "the history as the next target has it")
                expect(lead.faults("cut@14").status, 200)
                for door, headers in (("/v1/messages", {"anthropic-beta": "fallback-credit-2026-07-01"}), ("/v1/chat/completions", beta)):
                    reply = ask(s, door, headers=headers)
                    check(reply, door)
                    expect_true("fallback" not in reply.text, f"nobody asked: {reply.text[:600]}")

for where, fault in [("in_a_tool_call", "cut@16"), ("in_the_words_before_it", "cut@6")]:
    with claim(f"cut_{where}_the_call_is_given_once_and_whole"):
        extra = ["--preface", "8"]
        with Standin("lead", tools={"write_file": INPUT}, fault=fault, more=extra) as lead, Standin("spare", tools={"write_file": INPUT}, more=extra) as spare:
            for speaks, other in itertools.product(("anthropic", "openai"), repeat=2):
                with Serve({"lead": lead.speaks(speaks), "spare": spare.speaks(other)}, chain=["lead", "spare/x"], deadlines=DEADLINES) as s:
                    reply = ask(s, "/v1/messages", tools=[TOOL])
                    well_formed(reply)
                    blocks, stop = tools_of(reply)
                    expect([b[0] for b in blocks], ["text", "tool_use"], reply.text)
                    expect((blocks[0][1], json.loads(blocks[1][1]), stop), (words(8), INPUT, "tool_use"), f"{speaks} to {other}")

with claim("cut_behind_a_complete_call_the_turn_ends_with_it"):
    # message_start, block start, ping, the empty piece, the pieces of the input, block stop | message_delta
    for speaks, fault in [("anthropic", f"cut@{5 + (len(json.dumps(INPUT)) + 11) // 12}")]:
        with Standin("lead", tools={"write_file": INPUT}, fault=fault, rate=500) as lead, Standin("spare", fault="529") as spare:
            with Serve({"lead": lead.speaks(speaks), "spare": spare.speaks("openai")}, chain=["lead", "spare/x"], deadlines=DEADLINES) as s:
                reply = ask(s, "/v1/messages", tools=[TOOL])
                well_formed(reply)
                blocks, stop = tools_of(reply)
                expect(([b[0] for b in blocks], json.loads(blocks[0][1]), stop), (["tool_use"], INPUT, "tool_use"), reply.text)
                reply = ask(s, "/v1/chat/completions", tools=[{"type": "function", "function": {"name": "write_file", "parameters": TOOL["input_schema"]}}])
                chunks = [json.loads(data) for _, data in sse_events(reply.text) if data != "[DONE]"]
                got = "".join(c["function"].get("arguments", "") for k in chunks for ch in k["choices"] for c in ch["delta"].get("tool_calls", []))
                expect((json.loads(got), chunks[-1]["choices"][0]["finish_reason"]), (INPUT, "tool_calls"), reply.text)

with claim("thinking_cut_open_is_closed_and_the_answer_follows"):
    with Standin("lead", words=COUNT, fault="cut@8", more=["--thinking", "20"]) as lead, Standin("spare", words=COUNT) as spare:
        with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("openai")}, chain=["lead", "spare/x"], deadlines=DEADLINES) as s:
            reply = ask(s, "/v1/messages")
            well_formed(reply)
            blocks, stop = tools_of(reply)
            expect(([b[0] for b in blocks], blocks[1][1], stop), (["thinking", "text"], words(COUNT), "end_turn"), reply.text)
            expect_true("hotspare1." in reply.text, "the thinking is marked as nobody's")

with claim("thinking_of_the_next_target_does_not_come_behind_the_answer"):
    with Standin("lead", words=COUNT, fault="cut@8") as lead, Standin("spare", words=COUNT, more=["--thinking", "5", "--resume", "refuse"]) as spare:
        with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("anthropic")}, chain=["lead", "spare/x"], deadlines=DEADLINES) as s:
            reply = ask(s, "/v1/messages")
            check(reply, "/v1/messages")
            expect([b[0] for b in tools_of(reply)[0]], ["text"])

with claim("a_structured_answer_cut_in_its_middle_ends_in_an_error"):
    with Standin("lead", words=COUNT, fault="stall@4") as lead, Standin("spare", words=COUNT) as spare:
        with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("openai")}, chain=["lead", "spare/x"], deadlines=DEADLINES) as s:
            reply = ask(s, "/v1/messages", output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}})
            names = [name for name, _ in sse_events(reply.text)]
            expect((names[-1], "message_stop" in names), ("error", False), reply.text)

with claim("only_the_end_is_missing_and_it_is_written"):
    # 30 words: message_start, block start, ping, 30 deltas, block stop, message_delta | message_stop
    for speaks, fault in [("anthropic", f"cut@{COUNT + 5}"), ("openai", f"cut@{COUNT + 2}")]:
        with Standin("lead", words=COUNT, fault=fault) as lead, Standin("spare", fault="529") as spare:
            with Serve({"lead": lead.speaks(speaks), "spare": spare.speaks("openai")}, chain=["lead", "spare/x"], deadlines=DEADLINES) as s:
                for door in DOORS:
                    check(ask(s, door), door)
finish()
