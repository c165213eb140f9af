#!/usr/bin/env python3
"""The Responses API on the wire: a stand-in that speaks it, and the gateway's door /v1/responses in front of upstreams of
each dialect, whole and streamed, with tools, cut in the middle, and with the targets' choice of API."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *  # noqa: E402,F403
from harness import Reply, Standin, words  # noqa: E402
from talk import raw, responses, responses_events, responses_output, responses_text  # noqa: E402

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

finish()
