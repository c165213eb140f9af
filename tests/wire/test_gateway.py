#!/usr/bin/env python3
"""The gateway as an operator sees it: doors, keys, admin, drain, passthrough byte for byte."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import Serve, Standin  # noqa: E402
from talk import Raw, http_answer  # noqa: E402

ASK = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "x"}]}


def passthrough(answer, kind, path, sent, target):
    with Raw(http_answer(answer, kind, "request-id: req_1\r\nx-of-the-provider: kept\r\n")) as up, Standin("spare") as spare:
        with Serve({"up": dict(target, url=up.url, kind="standin"), "spare": spare.speaks("openai")}, chain=["up", "spare/x"]) as s:
            reply = request("POST", s.url + path, sent, {"content-type": "application/json", "anthropic-version": "2023-06-01",
                                                         "anthropic-beta": "not-invented-yet-2030-01-01"})
            head, body = up.seen[0]
            expect(body, sent, "the request's body")
            expect((reply.status, reply.body), (200, answer), "the answer")
            for wanted in (b"anthropic-beta: not-invented-yet-2030-01-01",) if target["speaks"] == "anthropic" else ():
                expect_true(wanted in head.lower(), f"{wanted} is not in {head}")
            expect_true(reply.headers.get("request-id") == "req_1" or "req_1" in str(reply.headers), f"the upstream's request id is lost: {reply.headers}")


def passthrough_whole():
    sent = b'{ "model":"claude-z",  "unknown_field": [1.50, 1e2, "\\u00e9\\/"], "max_tokens":5,"messages":[{"role":"user","content":"hi","novel":null}] }'
    answer = b'{"id":"msg_9","type":"message","role":"assistant", "model":"claude-z","content":[{"type":"text","text":"\\u0041\\/b","new":{}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1,"extra":0.10}}\n'
    passthrough(answer, "application/json", "/v1/messages?beta=true", sent, {"speaks": "anthropic"})


def passthrough_stream():
    sent = b'{"stream" :true,"model":"claude-z","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}'
    answer = (b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-z","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
              b': a comment\n\nevent: ping\ndata: {"type": "ping"}\n\n'
              b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
              b'event: content_block_delta\ndata: {"index":0, "type":"content_block_delta","delta":{"type":"text_delta","text":"\\u0041 b"},"novel":1}\n\n'
              b'event: invented\ndata: {"type":"invented"}\n\n'
              b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
              b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2}}\n\n'
              b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    passthrough(answer, "text/event-stream", "/v1/messages", sent, {"speaks": "anthropic"})


def passthrough_chat():
    sent = b'{"model":"gpt-z", "messages":[{"role":"user","content":"hi"}],"logit_bias":{"50256":-100.0}}'
    answer = b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-z","choices":[{"index":0,"message":{"role":"assistant","content":"A","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2},"service_tier":"default"}'
    passthrough(answer, "application/json", "/v1/chat/completions", sent, {"speaks": "openai"})


def doors():
    with Standin("one", words=5) as one:
        with Serve({"one": one.speaks("anthropic")}, chain=["one"]) as s:
            for path in ("/v1/messages", "/messages", "/v1/v1/messages", "/anthropic/v1/messages", "/v1/messages?beta=true"):
                expect(post_json(s.url + path, ASK).status, 200, path)
            for path, text in (("/v1/message", "/v1/messages"), ("/nothing", "/v1/messages")):
                reply = post_json(s.url + path, ASK)
                expect(reply.status, 404, path)
                expect_true(text in reply.text, f"the right URL is not named: {reply.text}")
            expect(request("HEAD", s.url + "/").status, 200, "HEAD /")
            expect(request("GET", s.url + "/v1/models?limit=1000").status, 200, "GET /v1/models")
            expect_true(request("GET", s.url + "/v1/messages").status in (404, 405), "GET /v1/messages")


def keys():
    with Standin("one", words=5) as one:
        with Serve({"one": dict(one.speaks("anthropic"), key="env:UP")}, chain=["one"], more="keys: { team: env:TEAM }\n", env={"TEAM": "sk-team-0123456789", "UP": "sk-up"}) as s:
            for headers, status in (({"x-api-key": "sk-team-0123456789"}, 200), ({"authorization": "Bearer sk-team-0123456789"}, 200),
                                    ({"x-api-key": "sk-team-012345678"}, 401), ({"authorization": "Bearer x"}, 401), ({}, 401)):
                expect(post_json(s.url + "/v1/messages", ASK, headers).status, status, f"status with {headers}")
            reply = post_json(s.url + "/v1/messages", ASK)
            expect(reply.json["error"]["type"], "authentication_error", "error type")


def admin():
    with Standin("one", words=5) as one, Standin("two", words=5) as two:
        with Serve({"one": one.speaks("anthropic"), "two": two.speaks("openai")}, chain=["one", "two/x"]) as s:
            for path in ("/livez", "/readyz", "/metrics", "/api/status"):
                expect(request("GET", s.admin + path).status, 200, path)
            expect(request("GET", s.admin + "/api/status").json["answering"], "one", "answering at first")
            one.faults("org-disabled")
            for _ in range(3):
                expect(post_json(s.url + "/v1/messages", ASK).status, 200, "status")
            status = request("GET", s.admin + "/api/status").json
            expect((status["answering"], status["lead_answering"]), ("two", False), "answering after the lead's account was disabled")
            expect(request("GET", s.admin + "/readyz").status, 200, "readyz with the stand-in alone")
            expect(sum(v for k, v in s.metrics().items() if k.startswith("hotspare_requests_total")), 3, "requests counted")


def drain():
    """SIGTERM: what runs is finished, and then the process ends with 0."""
    with Standin("one", words=30, rate=20) as one:
        with Serve({"one": one.speaks("anthropic")}, chain=["one"]) as s:
            answer = []
            t = threading.Thread(target=lambda: answer.append(post_json(s.url + "/v1/messages", dict(ASK, stream=True))))
            t.start()
            while one.stats()["requests"] == 0:
                time.sleep(0.01)
            s.stop()
            t.join()
            events = sse_events(answer[0].text)
            text = "".join(json.loads(d)["delta"]["text"] for n, d in events if n == "content_block_delta")
            expect((text, events[-1][0]), (words(30), "message_stop"), "the stream that was running")


def client_leaves():
    """A client that goes away takes its upstream exchange with it; nothing is left behind."""
    with Standin("one", words=5000, rate=50) as one:
        with Serve({"one": one.speaks("anthropic")}, chain=["one"]) as s:
            host, port = s.url.removeprefix("http://").split(":")
            body = json.dumps(dict(ASK, stream=True, max_tokens=10000)).encode()
            for _ in range(5):
                with socket.create_connection((host, int(port))) as c:
                    c.sendall(f"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                    expect_true(c.recv(100).startswith(b"HTTP/1.1 200"), "the stream began")
            end = time.monotonic() + 10
            while one.stats()["in_flight"] > 0:
                expect_true(time.monotonic() < end, f"streams still run upstream: {one.stats()}")
                time.sleep(0.05)


def access_log():
    with Standin("one", words=5, fault="529") as one, Standin("two", words=5) as two:
        with Serve({"one": one.speaks("anthropic"), "two": two.speaks("openai")}, chain=["one", "two/x"]) as s:
            expect(post_json(s.url + "/v1/messages", ASK).status, 200, "status")
            line = s.wait_for(r"^(\{.*\"two\".*\})$").group(1)
            entry = json.loads(line)
            expect_true("overloaded" in line and entry, f"the cause is not in {line}")
            expect(len(re.findall(r"^\{", s.said(), re.M)), 1, "log lines for one request")


for work, name in ((passthrough_whole, "passthrough_is_byte_for_byte"), (passthrough_stream, "a_passed_through_stream_is_byte_for_byte"),
                   (passthrough_chat, "passthrough_of_chat_is_byte_for_byte"), (doors, "every_spelling_of_a_door_works_and_a_wrong_path_names_the_right_one"),
                   (keys, "client_keys_are_asked_for_in_both_headers"), (admin, "admin_doors_tell_who_answers"),
                   (drain, "sigterm_lets_running_answers_finish"), (client_leaves, "a_client_that_leaves_takes_its_upstream_along"),
                   (access_log, "one_json_line_of_access_log_for_each_request")):
    with claim(name):
        work()
finish()
