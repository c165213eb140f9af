#!/usr/bin/env python3
"""The stand-in's rarer faults, byte by byte on the wire, and what a gateway in front of it makes of them: what is legal
must be seen by nobody, and what is not is hidden or gone on with."""
import gzip
import json
import os
import re
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *  # noqa: E402,F403
from harness import Serve, Standin, words  # noqa: E402
from talk import DOORS, chat, messages, messages_text, raw, responses  # noqa: E402

WORDS = 30
LEGAL = ("unknown-event@5", "long-line@5", "crlf", "one-byte", "hang-up")
TOOL = {"get_weather": {"city": "Oslo", "unit": "celsius", "days": 3}}
OFFER = [{"name": "get_weather", "description": "Weather.", "input_schema": {"type": "object"}}]


def wire(url, door, body):
    """The bytes of one answer, head and body apart, as they crossed the wire."""
    text = json.dumps(body).encode()
    host = urllib.parse.urlsplit(url).netloc
    head = f"POST {door} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n"
    got = raw(url, head.encode() + b"connection: close\r\n\r\n" + text)
    top, _, rest = got.partition(b"\r\n\r\n")
    return top.lower(), rest


ALL_DOORS = (*DOORS, "/v1/completions", "/v1/responses")


def asked(door, stream):
    if door == "/v1/responses":
        return responses(stream=stream)
    if door == "/v1/completions":
        return {"model": "m", "prompt": "Count.", "max_tokens": 100, "stream": stream}
    return DOORS[door][0](stream=stream)


def unchunked(body):
    out, sizes = b"", []
    while body:
        size, _, body = body.partition(b"\r\n")
        n = int(size, 16)
        out, body = out + body[:n], body[n + 2:]
        sizes.append(n)
        if n == 0:
            return out, sizes, True
    return out, sizes, False


def streamed(standin, fault, door="/v1/messages", **more):
    standin.faults(fault)
    head, body = wire(standin.url, door, dict(asked(door, True), **more))
    return head, body


with Standin("odd", words=WORDS, tools=TOOL) as s:

    with claim("empty_is_a_200_without_a_byte"):
        for door in ALL_DOORS:
            head, body = streamed(s, "empty", door)
            expect(head.startswith(b"http/1.1 200"), True, door)
            expect(unchunked(body)[0], b"", door)
            s.faults("empty")
            expect(post_json(s.url + door, asked(door, False)).body, b"", "whole")

    with claim("error_200_is_an_error_body_with_status_200"):
        for door in ALL_DOORS:
            for stream in (False, True):
                s.faults("error-200")
                reply = post_json(s.url + door, asked(door, stream))
                expect(reply.status, 200, "status")
                expect(reply.json["error"]["message"], "Overloaded", "message")

    with claim("gzip_is_compressed_for_real"):
        for door in ALL_DOORS:
            for stream in (False, True):
                s.faults("gzip")
                head, body = wire(s.url, door, asked(door, stream))
                expect(b"content-encoding: gzip" in head, True, "header")
                expect(b"w30" in gzip.decompress(body), True, "its words")

    with claim("context_is_the_providers_own_refusal"):
        s.faults("context")
        reply = post_json(s.url + "/v1/messages", messages())
        expect((reply.status, reply.json["error"]["message"]), (400, "prompt is too long: 250000 tokens > 200000 maximum"), "Messages")
        reply = post_json(s.url + "/v1/chat/completions", chat())
        expect((reply.status, reply.json["error"]["code"]), (400, "context_length_exceeded"), "Chat")

    with claim("cut_line_ends_inside_an_event"):
        for door in ALL_DOORS:
            _, body = streamed(s, "cut-line@6", door)
            text, _, ended = unchunked(body)
            expect(ended, False, "a last chunk")
            expect(text.endswith(b"\n\n"), False, f"{door}: {text[-60:]}")

    with claim("cut_char_ends_inside_a_character"):
        for door in ALL_DOORS:
            _, body = streamed(s, "cut-char@6", door)
            text, _, ended = unchunked(body)
            expect((ended, text[-2:]), (False, b"\xe4\xbd"), door)

    with claim("cut_tool_ends_inside_a_tools_input"):
        _, body = streamed(s, "cut-tool", tools=OFFER)
        text, _, ended = unchunked(body)
        events = sse_events(text.decode())
        expect((ended, events[-1][0]), (False, "content_block_delta"), "end")
        expect('{\\"city' in text.decode(), True, "some of its input")
        expect("days" in text.decode(), False, "all of its input")

    with claim("slow_is_slow_between_words"):
        s.faults("slow=10ms")
        started = time.monotonic()
        text, done = messages_text(post_json(s.url + "/v1/messages", messages(stream=True)))
        expect((done, text.split()[-1]), (True, "w30"), "answer")
        expect(time.monotonic() - started >= 0.28, True, "30 words at 10 ms")

    with claim("unknown_event_and_long_line_stand_between_two_events"):
        for door in ALL_DOORS:
            text = unchunked(streamed(s, "unknown-event@5", door)[1])[0]
            expect(text.count(b"news_of_tomorrow") > 0 and b"w30" in text, True, door)
            text = unchunked(streamed(s, "long-line@5", door)[1])[0]
            expect(max(len(line) for line in text.split(b"\n")) > 100000 and b"w30" in text, True, door)

    with claim("crlf_ends_every_line"):
        for door in ALL_DOORS:
            text = unchunked(streamed(s, "crlf", door)[1])[0]
            expect(text.count(b"\r\n"), text.count(b"\n"), door)

    with claim("one_byte_is_one_chunk_each"):
        for door in ALL_DOORS:
            _, sizes, ended = unchunked(streamed(s, "one-byte", door)[1])
            expect((ended, set(sizes)), (True, {1, 0}), door)

    with claim("hang_up_closes_behind_a_complete_answer_without_saying_so"):
        for door in ALL_DOORS:
            for stream in (False, True):
                s.faults("hang-up")
                body = json.dumps(asked(door, stream)).encode()
                head = f"POST {door} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
                got = raw(s.url, head.encode() + body)  # returns when the peer has closed
                top, _, rest = got.partition(b"\r\n\r\n")
                whole = unchunked(rest)[2] if stream else len(rest) == int(re.search(rb"content-length: (\d+)", top.lower()).group(1))
                expect((whole, b"connection: close" in top.lower()), (True, False), door)

    with claim("whole_answers_are_cut_inside_a_character_and_inside_a_tools_input"):
        for door in ALL_DOORS:
            s.faults("cut-char")
            got = wire(s.url, door, asked(door, False))[1]
            expect(got[-2:], b"\xe4\xbd", door)
        s.faults("cut-tool")
        got = wire(s.url, "/v1/messages", messages(tools=OFFER))[1]
        expect((b'"input":{' in got, b"days" in got), (True, False), "Messages")
        offer = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
        got = wire(s.url, "/v1/chat/completions", chat(tools=offer))[1]
        expect((b'"arguments":"' in got, b"days" in got), (True, False), "Chat")

    with claim("a_cut_in_a_tools_input_or_a_character_finds_any_input"):
        _, body = streamed(s, "cut-char@1", tools=OFFER)
        text, _, ended = unchunked(body)
        expect((ended, text[-2:]), (False, b"\xe4\xbd"), "a character")
        s.faults("cut-tool,times=1")
        expect(messages_text(post_json(s.url + "/v1/messages", messages(stream=True)))[1], True, "no call, no harm")
        text, _, ended = unchunked(wire(s.url, "/v1/messages", messages(stream=True, tools=OFFER))[1])
        expect(ended, False, "and the next call is cut")

    with claim("a_spec_that_is_none_is_refused_with_its_reason"):
        for spec in ("slow", "slow=fast", "cut-line@x", "gzzip", "one-byte:200%", "crlf@9"):
            reply = s.faults(spec)
            expect(reply.status, 400, spec)
            expect("fault" in reply.text, True, reply.text)


def gateway(lead, spare, dialect):
    return Serve({"lead": lead.speaks(dialect), "spare": spare.speaks(dialect)}, chain=["lead", "spare"],
                 deadlines={"first_token": "20s", "stall": "20s"}, more="breaker: { failures: 1000, ratio_min: 100000 }\n")


for dialect in ("anthropic", "openai"):
    with Standin("lead", words=WORDS, tools=TOOL) as lead, Standin("spare", words=WORDS, tools=TOOL) as spare, gateway(lead, spare, dialect) as g:

        with claim(f"what_is_legal_is_seen_by_nobody_{dialect}"):
            for fault in LEGAL:
                lead.faults(fault)
                for door, (make, text_of) in DOORS.items():
                    for stream in (False, True):
                        reply = post_json(g.url + door, make(stream=stream))
                        text, done = text_of(reply)
                        want = words(WORDS)
                        expect((text, done), (want, True), f"{fault} {door} stream={stream}")
                        expect(reply.headers.get("x-hotspare-served-by"), "lead", fault)
            expect(spare.stats()["requests"], 0, "nobody else was asked")

        with claim(f"cut_inside_a_line_or_a_character_the_answer_goes_on_{dialect}"):
            for fault in ("cut-line@9,times=1", "cut-char@9,times=1"):
                for door, (make, text_of) in DOORS.items():
                    lead.faults(fault)
                    text, done = text_of(post_json(g.url + door, make(stream=True)))
                    expect((text, done), (words(WORDS), True), f"{fault} {door}")

        with claim(f"cut_inside_a_tools_input_the_call_comes_once_and_whole_{dialect}"):
            lead.faults("cut-tool,times=1")
            reply = post_json(g.url + "/v1/messages", messages(stream=True, tools=OFFER))
            events = [json.loads(data) for name, data in sse_events(reply.text) if name.startswith("content_block")]
            calls = [e for e in events if e["type"] == "content_block_start" and e["content_block"]["type"] == "tool_use"]
            told = "".join(e["delta"].get("partial_json", "") for e in events if e["type"] == "content_block_delta")
            expect((len(calls), json.loads(told)), (1, TOOL["get_weather"]), "the call")


with Standin("again", words=8, more=["--resume", "repeat=2"]) as s, claim("repeat_keeps_the_blank_behind_which_the_text_was_cut"):
    for said, rest in (("w1 w2 w3 ", "w2 w3 w4 w5 w6 w7 w8"), ("w1 w2 w3", "w2 w3 w4 w5 w6 w7 w8"), ("w1 w2 w", "w2 w3 w4 w5 w6 w7 w8")):
        body = messages()
        body["messages"].append({"role": "assistant", "content": said})
        expect(messages_text(post_json(s.url + "/v1/messages", body))[0].strip(), rest, repr(said))

with Standin("lead", words=WORDS) as lead, Standin("spare", words=WORDS, more=["--resume", "lead-in=zh"]) as spare:
    soft = {"kind": "openai-compatible", "url": spare.url + "/v1"}  # asked in words
    with Serve({"lead": lead.speaks("anthropic"), "soft": soft}, chain=["lead", "soft/x"]) as g, claim("a_chinese_lead_in_is_taken_off_the_seam"):
        lead.faults("cut@12")
        text, done = messages_text(post_json(g.url + "/v1/messages", messages(stream=True)))
        expect((text, done), (words(WORDS), True), "answer")

finish()
