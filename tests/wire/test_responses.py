#!/usr/bin/env python3
"""The Responses API on the wire: a stand-in that speaks it, and the gateway's door /v1/responses in front of upstreams of
each dialect, whole and streamed, with tools, cut in the middle, and with the targets' choice of API."""
import itertools
import json
import os
import socket
import sys
import tempfile
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *  # noqa: E402,F403
from harness import Reply, Serve, Standin, words  # noqa: E402
from clouds import Upstream  # noqa: E402
from talk import DOORS, chat, messages, raw, responses, responses_events, responses_output, responses_text  # noqa: E402

WORDS = 30
DOOR = "/v1/responses"
TOOL = {"get_weather": {"city": "Oslo", "unit": "celsius", "days": 3}}
OFFER = [{"type": "function", "name": "get_weather", "description": "Weather.", "parameters": {"type": "object"}}]
ENCRYPTED = "reasoning.encrypted_content"


def cut_off(url, body):
    """The events that came before a stream was cut."""
    text = json.dumps(body).encode()
    head = f"POST {DOOR} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
    rest = raw(url, head.encode() + text).partition(b"\r\n\r\n")[2]
    return responses_events("\n".join(line for line in rest.decode().split("\n") if line[:6] in ("event:", "data: ") or not line.strip("\r")))


def as_stream(events):
    """Events put together again, so that they can be read as one answer."""
    return Reply(200, {"content-type": "text/event-stream"}, "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode())


# ---- the stand-in ----

with Standin("r", words=WORDS, tools=TOOL, more=["--thinking", "4"]) as s:

    with claim("standin_says_the_same_whole_and_streamed"):
        for more in ({}, {"tools": OFFER}, {"max_output_tokens": 5}, {"include": [ENCRYPTED]}):
            whole, status = responses_output(post_json(s.url + DOOR, responses(**more)))
            streamed = responses_output(post_json(s.url + DOOR, responses(stream=True, **more)))
            expect([i["type"] for i in whole], ["reasoning", "function_call" if "tools" in more else "message"], "items")
            expect(status, "incomplete" if "max_output_tokens" in more else "completed", "status")
            expect(["encrypted_content" in i for i in whole], ["include" in more, False], "encrypted reasoning where asked for")
            for item in whole + streamed[0]:
                item.pop("id"), item.pop("call_id", None)
            expect(streamed, (whole, status), "streamed")
        expect(responses_text(post_json(s.url + DOOR, responses(stream=True))), (words(WORDS), True), "text")

    with claim("standin_climbs_the_whole_ladder"):
        events = responses_events(post_json(s.url + DOOR, responses(stream=True)).text)
        kinds = [e["type"].removeprefix("response.") for e in events]
        summary, text = ["reasoning_summary_text.delta"] * 4, ["output_text.delta"] * WORDS
        expect(kinds, ["created", "in_progress", "output_item.added", "reasoning_summary_part.added", *summary, "reasoning_summary_text.done",
                       "reasoning_summary_part.done", "output_item.done", "output_item.added", "content_part.added", *text, "output_text.done",
                       "content_part.done", "output_item.done", "completed"], "events")

    with claim("standin_calls_once_and_answers_the_result"):
        call = responses_output(post_json(s.url + DOOR, responses(tools=OFFER)))[0][1]
        expect(json.loads(call["arguments"]), TOOL["get_weather"], "arguments")
        body = responses(tools=OFFER, stream=True)
        body["input"] += [call, {"type": "function_call_output", "call_id": call["call_id"], "output": "2 degrees"}]
        expect(responses_text(post_json(s.url + DOOR, body)), (words(WORDS), True), "answer")

    with claim("standin_refuses_in_openais_words"):
        for body in ({"model": "m"}, {"model": "m", "input": []}, {"input": "x"}):
            reply = post_json(s.url + DOOR, body)
            expect((reply.status, reply.json["error"]["type"]), (400, "invalid_request_error"), str(body))
        s.faults("error@2,times=1")
        last = responses_events(post_json(s.url + DOOR, responses(stream=True)).text)[-2:]
        expect([e["type"] for e in last], ["error", "response.failed"], "in the middle of a stream")
        expect((last[0]["error"]["message"], last[1]["response"]["status"]), ("Overloaded", "failed"), "its words")
        s.faults("529,times=1")
        expect(post_json(s.url + DOOR, responses(stream=True)).status, 529, "at once")

    with claim("standin_tells_a_background_stream_again_from_any_event"):
        for at in (1, 3, 8, 20):
            s.faults(f"cut@{at},times=1")
            got = cut_off(s.url, responses(stream=True, background=True))
            expect(len(got), at, "events before the cut")
            path = f"{s.url}{DOOR}/{got[0]['response']['id']}"
            again = request("GET", f"{path}?stream=true&starting_after={at - 1}")
            got += [json.loads(data) for _, data in sse_events(again.text)]
            expect(responses_text(as_stream(got)), (words(WORDS), True), f"cut behind {at}")
            expect([e["sequence_number"] for e in got], list(range(len(got))), "numbers")
            expect(request("GET", path + "?stream=true").text.startswith("event: response.created\n"), True, "from the beginning")
            expect(request("GET", path).status, 404, "only as a stream")
        s.faults("")
        got = responses_events(post_json(s.url + DOOR, responses(stream=True)).text)
        path = f"{s.url}{DOOR}/{got[0]['response']['id']}?stream=true&starting_after=3"
        expect(request("GET", path).status, 404, "what was no background request is not kept")
        expect(s.stats()["told_again"], 8, "the control door counts")

# ---- the gateway's door ----

APIS = {"anthropic": {"speaks": "anthropic"}, "chat": {"speaks": "openai"}, "responses": {"speaks": "openai", "api": "responses"}}
DEADLINES = {"connect": "1s", "first_token": "20s", "stall": "20s", "total": "60s"}
CALM = "breaker: { failures: 1000, ratio_min: 100000 }\n"
CODEX = {"user-agent": "codex_cli_rs/0.60.0 (Debian 12; x86_64)", "originator": "codex_cli_rs"}
OPENS = {"reasoning": "response.reasoning_summary_part", "message": "response.content_part"}


def upstream(standin, api):
    return {"kind": "standin", "url": standin.url, **APIS[api]}


def ask(g, model, stream=True, headers=None, **more):
    return post_json(g.url + DOOR, responses(stream=stream, model=model, **more), headers)


def climbs(reply):
    """The grammar of a stream: one item after another, one part after another, all closed, one terminal event."""
    events, item, part, items, parts = responses_events(reply.text), None, None, 0, 0
    expect([e["type"] for e in events[:2]], ["response.created", "response.in_progress"], "beginning")
    for e in events:
        kind = e["type"]
        if kind == "response.output_item.added":
            expect((item, e["output_index"]), (None, items), "an item in no other, in its place")
            item, items, parts = e["item"], items + 1, 0
        elif kind == "response.output_item.done":
            expect((part, e["item"]["id"], e["item"]["type"], e["output_index"]), (None, item["id"], item["type"], items - 1), "its own end")
            item = None
        elif kind.endswith("_part.added"):
            expect((part, kind), (None, OPENS[item["type"]] + ".added"), "a part in no other")
            part, parts = "", parts + 1
        elif kind.endswith("_part.done"):
            expect(e["part"]["text"], part, "the part's text")
            part = None
        elif kind.endswith("text.delta"):
            part += e["delta"]
        if "item_id" in e:
            expect((e["item_id"], e["output_index"]), (item["id"], items - 1), "of the open item")
            expect(e.get("content_index", e.get("summary_index", parts - 1)), parts - 1, "of the open part")
    expect((item, part, events[-1]["type"]), (None, None, "response.completed"), "end")
    expect(len({e["response"]["id"] for e in events if "response" in e}), 1, "one id")


def check(reply, what):
    expect((reply.status, responses_text(reply)), (200, (words(WORDS), True)), f"{what}: {reply.text[-800:]}")
    if reply.headers["content-type"].startswith("text/event-stream"):
        climbs(reply)


def upstreams(standin, extra=None):
    return Serve({api: upstream(standin, api) | (extra or {}) for api in APIS}, routes=[(api, [f"{api}/m"]) for api in APIS], deadlines=DEADLINES, more=CALM)


with Standin("up", words=WORDS, tools=TOOL, more=["--thinking", "4"]) as s, upstreams(s) as g:

    with claim("door_answers_from_each_upstream_whole_and_streamed"):
        for api, stream in itertools.product(APIS, (False, True)):
            reply = ask(g, api, stream)
            check(reply, f"{api} stream={stream}")
            items = responses_output(reply)[0]
            expect([i["type"] for i in items], ["reasoning", "message"], api)
            expect(items[0]["summary"][0]["text"], "t1 t2 t3 t4", "its summary")
            expect("input" in s.last(), api == "responses", f"{api}: what is asked upstream")

    with claim("door_carries_a_tool_round_trip_to_each_upstream"):
        for api, stream in itertools.product(APIS, (False, True)):
            items = responses_output(ask(g, api, stream, tools=OFFER))[0]
            call = items[-1]
            expect((call["type"], call["name"], json.loads(call["arguments"])), ("function_call", "get_weather", TOOL["get_weather"]), api)
            body = responses(stream=stream, model=api, tools=OFFER)
            body["input"] += [*items, {"type": "function_call_output", "call_id": call["call_id"], "output": "2 degrees"}]
            check(post_json(g.url + DOOR, body), f"{api} stream={stream}")
            expect(json.dumps(s.last()).count(call["call_id"]), 2, f"{api}: call and result, one id")
            expect("2 degrees" in json.dumps(s.last()), True, api)

    with claim("reasoning_of_ours_stays_here_and_openais_own_goes_back"):
        own = responses_output(ask(g, "anthropic"))[0]
        theirs = responses_output(ask(g, "responses", include=[ENCRYPTED]))[0]
        expect((own[0]["id"][:12], theirs[0]["id"][:12] != own[0]["id"][:12]), ("rs_hotspare_", True), "ids")
        for api in APIS:
            body = responses(model=api)
            body["input"] += own + theirs + [{"role": "user", "content": "And now?"}]
            check(post_json(g.url + DOOR, body), api)
            sent = json.dumps(s.last())
            expect((own[0]["id"] in sent, theirs[0]["id"] in sent), (False, api == "responses"), f"{api}: reasoning sent on")
            expect(sent.count(words(WORDS)), 2, "both answers")

    with claim("codex_hears_of_a_length_as_completed_and_others_as_incomplete"):
        for api in ("anthropic", "chat"):
            codex, other = ask(g, api, headers=CODEX, max_output_tokens=5), ask(g, api, max_output_tokens=5)
            expect((responses_output(codex)[1], responses_output(other)[1]), ("completed", "incomplete"), api)
            expect(responses_text(codex)[0], words(5), api)

    with claim("codex_gets_ids_calls_and_complete_usage"):
        for api in APIS:
            events = responses_events(ask(g, api, headers=CODEX, tools=OFFER).text)
            call = [e["item"] for e in events if e["type"] == "response.output_item.done"][-1]
            expect(all(call.get(k) for k in ("id", "call_id", "name", "arguments")), True, f"{api}: {call}")
            usage = events[-1]["response"]["usage"]
            counts = [usage[k] for k in ("input_tokens", "output_tokens", "total_tokens")]
            counts += [usage["input_tokens_details"]["cached_tokens"], usage["output_tokens_details"]["reasoning_tokens"]]
            expect(all(isinstance(n, int) for n in counts), True, f"{api}: {usage}")

    with claim("a_codex_body_is_taken_by_each_upstream"):
        tools = OFFER + [{"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}},
                         {"type": "namespace", "name": "mcp", "description": "More.", "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}}]},
                         {"type": "web_search"}]
        more = {"instructions": "You are Codex.", "tools": tools, "tool_choice": "auto", "parallel_tool_calls": False, "store": False,
                "include": [ENCRYPTED], "prompt_cache_key": "k", "reasoning": {"effort": "medium", "summary": "auto"}, "text": {"verbosity": "low"},
                "client_metadata": {"x": "y"}, "stream_options": {"include_obfuscation": False}}
        for api in APIS:
            reply = ask(g, api, headers=CODEX, **more)
            expect(reply.status, 200, f"{api}: {reply.text[:400]}")
            call = responses_output(reply)[0][-1]
            expect((call["type"], call["name"]), ("function_call", "get_weather"), api)
            body = responses(model=api, stream=True, **more)
            body["input"] += [call, {"type": "function_call_output", "call_id": call["call_id"], "output": "2"},
                              {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_c", "name": "apply_patch", "input": "*** Begin"},
                              {"type": "custom_tool_call_output", "call_id": "call_c", "output": "Done"}]
            check(post_json(g.url + DOOR, body, CODEX), f"{api}, next turn")

    with claim("what_is_too_long_is_told_inside_the_stream"):
        s.faults("context")
        for api in APIS:
            for reply in (ask(g, api, False), ask(g, api)):
                if api == "responses" or reply.headers["content-type"].startswith("application/json"):  # a Responses upstream's own words pass
                    expect((reply.status, reply.json["error"]["code"]), (400, "context_length_exceeded"), api)
                    continue
                events = responses_events(reply.text)
                expect((events[-1]["type"], events[-1]["response"]["error"]["code"]), ("response.failed", "context_length_exceeded"), api)
            expect("event-stream" in reply.headers["content-type"], api != "responses", f"{api}: streamed")
        s.faults("")

# ---- cut ----

MIXED = [f"{a}-{b}" for a, b in itertools.product(APIS, repeat=2)]


def pairs(lead, spare):
    """Each dialect before each; the model says which."""
    targets = {"l-" + api: upstream(lead, api) for api in APIS} | {"s-" + api: upstream(spare, api) for api in APIS}
    routes = [(f"{a}-{b}", ["l-" + a, f"s-{b}/x"]) for a, b in itertools.product(APIS, repeat=2)]
    return Serve(targets, routes=routes, deadlines=DEADLINES, more=CALM)


with Standin("lead", words=WORDS, tools=TOOL) as lead, Standin("spare", words=WORDS, tools=TOOL) as spare, pairs(lead, spare) as g:

    with claim("a_lead_that_fails_before_its_first_word_is_seen_by_nobody"):
        for fault, pair in itertools.product(("529", "error-first", "empty"), MIXED):
            lead.faults(fault)
            for stream in (False, True):
                check(ask(g, pair, stream), f"{fault} {pair} stream={stream}")

    with claim("a_lead_that_dies_in_a_sentence_is_gone_on_with"):
        for fault, pair in itertools.product(("cut@12", "rst@9", "error@7", "garbage@14", "cut-char@11"), MIXED):
            lead.faults(fault)
            reply = ask(g, pair)
            check(reply, f"{fault} {pair}")
            expect([i["type"] for i in responses_output(reply)[0]].count("message") > 0, True, fault)

    with claim("a_lead_that_dies_in_a_call_gives_it_once_and_whole"):
        lead.faults("cut-tool")
        for pair in MIXED:
            reply = ask(g, pair, tools=OFFER)
            items, status = responses_output(reply)
            climbs(reply)
            expect((status, [i["type"] for i in items]), ("completed", ["function_call"]), f"{pair}: {items}")
            expect(json.loads(items[0]["arguments"]), TOOL["get_weather"], pair)

    with claim("other_doors_go_on_from_and_to_a_responses_upstream"):
        for pair in (p for p in MIXED if "responses" in p):
            for door, (make, text_of) in DOORS.items():
                for fault in ("529", "cut@12", "error@7"):
                    lead.faults(fault)
                    expect(text_of(post_json(g.url + door, make(stream=True, model=pair))), (words(WORDS), True), f"{fault} {pair} {door}")

    with claim("when_nobody_can_go_on_the_stream_says_so_in_both_ways"):
        lead.faults("cut@12")
        spare.faults("529")
        events = responses_events(ask(g, "responses-responses").text)
        expect([e["type"] for e in events[-2:]], ["error", "response.failed"], "for SDKs, and for Codex")
        spare.faults("")

with Standin("lead", words=WORDS) as lead, Standin("spare", words=WORDS) as spare, pairs(lead, spare) as g:

    with claim("a_background_stream_that_breaks_is_heard_to_its_end"):
        for at in (3, 9, 20):
            lead.faults(f"cut@{at},times=1")
            reply = ask(g, "responses-anthropic", background=True)
            check(reply, f"cut@{at}")
            expect(reply.text.count("response.output_item.added"), 2, "one item, its event and its name")
        expect((lead.stats()["told_again"], spare.stats()["requests"]), (3, 0), "the same target told the rest")
        lead.faults("cut@9")
        check(ask(g, "responses-anthropic", background=True), "heard again and broken again")
        expect(spare.stats()["requests"], 1, "then another goes on")

# ---- a client that leaves with the last event ----

with claim("who_leaves_with_the_last_event_has_had_the_whole_answer"):
    ends = {"anthropic": 11, "chat": 9, "responses": 13}  # the stand-in's events; behind the last one its body does not end
    for api, events in ends.items():
        with Standin("up", words=5, fault=f"stall@{events}") as s, upstreams(s) as g:
            body = json.dumps(responses(stream=True, model=api)).encode()
            parts = urllib.parse.urlsplit(g.url)
            with socket.create_connection((parts.hostname, parts.port), timeout=20) as sock:
                sock.sendall(f"POST {DOOR} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
                got = b""
                while b"event: response.completed" not in got or not got.endswith(b"\n\n\r\n"):
                    piece = sock.recv(65536)
                    expect_true(piece, f"{api}: the stream ends before its last event: {got[-300:]}")
                    got += piece
            line = json.loads(g.wait_for(r'^\{.*"api".*').group(0))
            expect((line["outcome"], line["served_by"], line["attempts"][0]["result"]), ("ok", api, "ok"), api)

# ---- which API ----

with Standin("open", words=5) as s:
    as_openai = {"kind": "openai", "url": s.url}
    made = {"auto": as_openai, "chat": as_openai | {"api": "chat"}, "responses": as_openai | {"api": "responses"}, "plain": s.speaks("openai"),
            "either": s.speaks("openai") | {"api": "auto"}}
    with Serve(made, routes=[(f"{name}-*", [name]) for name in made] + [(f"pro-{name}", [f"{name}/gpt-5-pro"]) for name in made]) as g:

        with claim("the_api_is_the_clients_where_the_target_has_both"):
            both = {"auto": "input", "either": "input", "chat": "messages", "plain": "messages", "responses": "input"}
            for name, asked in both.items():
                expect(ask(g, name + "-x", False).status, 200, name)
                expect(asked in s.last(), True, f"{name} from the Responses door")
            for door, make in (("/v1/chat/completions", chat), ("/v1/messages", messages)):
                for name in made:
                    post_json(g.url + door, make(model=name + "-x"))
                    expect("input" in s.last(), name == "responses", f"{name} from {door}")

        with claim("a_model_that_answers_nothing_else_is_asked_in_responses"):
            for door, make in (("/v1/chat/completions", chat), ("/v1/messages", messages)):
                for name in ("auto", "responses", "chat"):
                    post_json(g.url + door, make(model="pro-" + name))
                    expect(("input" in s.last(), s.last()["model"]), (name != "chat", "gpt-5-pro"), f"{name} from {door}")

# ---- models that want it for tools ----

TOOLS_REFUSED = "Function tools with reasoning_effort are not supported for m in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'."
CHAT_REFUSED = "This model is only supported in v1/responses and not in v1/chat/completions."


class Picky(Upstream):
    """OpenAI in front of a stand-in: at /chat/completions it refuses tools unless effort is none, or (only) everything."""

    def __init__(self, standin):
        super().__init__()
        self.standin, self.only = standin, False

    def asked(self):
        return [(r["target"].split("/v1/")[1], "tools" in json.loads(r["body"]), json.loads(r["body"]).get("reasoning_effort")) for r in self.seen]

    def answer(self, r):
        body = json.loads(r["body"])
        if r["target"].endswith("/chat/completions") and (self.only or body.get("tools") and body.get("reasoning_effort") != "none"):
            error = {"message": CHAT_REFUSED if self.only else TOOLS_REFUSED, "type": "invalid_request_error", "param": "reasoning_effort", "code": None}
            return 404 if self.only else 400, {"Content-Type": "application/json"}, json.dumps({"error": error}).encode()
        reply = post_json(self.standin.url + r["target"], body)
        return reply.status, {"Content-Type": reply.headers["content-type"]}, reply.body


def call_of(reply):
    return [block["name"] for block in reply.json.get("content", []) if block["type"] == "tool_use"]


with Standin("picky", words=5, tools={"look": {"q": "a"}}) as s, Picky(s) as up:
    target = {"kind": "openai", "url": up.url + "/v1"}
    with tempfile.TemporaryDirectory() as state, Serve(
            {"own": target, "chat": target | {"api": "chat"}},
            routes=[("new-chat", ["chat/gpt-5.6-terra"]), ("new", ["own/gpt-5.6-terra"]), ("old", ["own/gpt-5.2"]), ("only", ["own/gpt-4.1"])],
            more=f"state_dir: {json.dumps(state)}\n" + CALM) as g:
        offer = [{"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}}}]

        def ask_in_messages(model, **more):
            up.seen.clear()
            return post_json(g.url + "/v1/messages", messages(model=model, tools=offer, **more))

        with claim("where_the_table_says_so_tools_go_there_at_once"):
            for more in ({}, {"thinking": {"type": "adaptive"}}):
                expect(call_of(ask_in_messages("new", **more)), ["look"], "called")
                expect(up.asked(), [("responses", True, None)], "asked")
            up.seen.clear()
            expect(post_json(g.url + "/v1/messages", messages(model="new")).status, 200, "without tools")
            expect([where for where, *_ in up.asked()], ["chat/completions"], "no reason to go there")

        with claim("without_that_format_the_model_calls_without_reasoning"):
            reply = ask_in_messages("new-chat", thinking={"type": "adaptive"}, output_config={"effort": "high"})
            expect((call_of(reply), reply.headers.get("x-hotspare-lossy", "")), (["look"], "effort"), "called")
            expect(up.asked(), [("chat/completions", True, "none")], "asked")

        with claim("a_refusal_is_asked_again_there_and_remembered"):
            expect(call_of(ask_in_messages("old")), ["look"], "called")
            expect(up.asked(), [("chat/completions", True, None), ("responses", True, None)], "the first")
            expect(call_of(ask_in_messages("old")), ["look"], "called again")
            expect(up.asked(), [("responses", True, None)], "the second")
            up.seen.clear()
            expect(post_json(g.url + "/v1/messages", messages(model="old")).status, 200, "without tools")
            expect([where for where, *_ in up.asked()], ["chat/completions"], "what has no tools")
            line = g.wait_for(r"event=learned .*")
            expect(line.group(0).split()[-2:], ["model=gpt-5.2", "fact=tools_by_responses"], "told in the log")

        with claim("the_chat_doors_own_bytes_are_rescued_as_well"):
            theirs = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
            for stream in (False, True):
                for effort, asked in (("low", "responses"), ("none", "chat/completions")):
                    up.seen.clear()
                    reply = post_json(g.url + "/v1/chat/completions", chat(model="new", stream=stream, tools=theirs, reasoning_effort=effort))
                    expect((reply.status, '"look"' in reply.text), (200, True), f"{effort}: {reply.text[:300]}")
                    expect(up.asked()[-1][0], asked, effort)

        with claim("a_model_that_only_answers_there_is_found_out"):
            up.only = True
            for first in (True, False):
                up.seen.clear()
                expect(post_json(g.url + "/v1/messages", messages(model="only")).status, 200, "answered")
                expect([where for where, *_ in up.asked()], ["chat/completions", "responses"] if first else ["responses"], "asked")
            status = request("GET", g.admin + "/api/status").json
            expect(sorted(e["fact"] for e in status["learned"]), ["responses_only", "tools_by_responses", "tools_by_responses"], "what was learnt")

finish()
