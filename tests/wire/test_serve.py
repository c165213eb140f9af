#!/usr/bin/env python3
"""`hotspare serve` as an operator and a client meet it: doors, keys, refusals, health, metrics, log, breaker, drain."""
import json
import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import *  # noqa: E402,F403
from harness import BIN  # noqa: E402
from talk import *  # noqa: E402,F403


def one(standin, **more):
    return Serve({"claude": standin.speaks("anthropic")}, chain=["claude"], **more)


def pair(lead, spare, spare_speaks="openai", **more):
    return Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks(spare_speaks)}, chain=["lead", "spare/other-model"],
                 deadlines={"connect": "1s", "first_token": "2s", "stall": "2s", "total": "30s"}, **more)


with claim("every_spelling_of_the_messages_path_is_a_door"):
    with Standin("claude") as c, one(c) as s:
        for path in ["/v1/messages", "/messages", "/v1/v1/messages", "/anthropic/v1/messages", "/v1/messages?beta=true"]:
            expect(messages_text(post_json(s.url + path, messages())), (words(12), True), path)

with claim("a_wrong_path_is_told_the_right_one_in_the_dialect_it_looks_like"):
    with Standin("claude") as c, one(c) as s:
        reply = post_json(s.url + "/v1/message", messages())
        expect((reply.status, reply.json["type"], reply.json["error"]["type"]), (404, "error", "not_found_error"))
        expect_true("/v1/messages" in reply.json["error"]["message"], "the right URL is named")
        reply = post_json(s.url + "/chat/completion", chat())
        expect_true(reply.status == 404 and "type" not in reply.json, "an OpenAI envelope")
        expect(request("GET", s.url + "/v1/messages").status, 405)

with claim("head_and_get_of_the_root_answer_and_models_are_listed_in_both_dialects"):
    with Standin("claude") as c, Serve({"claude": c.speaks("anthropic")}, routes=[("claude-sonnet-4-5", ["claude"])]) as s:
        expect(request("HEAD", s.url + "/").status, 200)
        expect(request("HEAD", s.url + "/api/hello").status, 200)
        listed = request("GET", s.url + "/v1/models").json
        expect((listed["object"], listed["data"][0]["id"]), ("list", "claude-sonnet-4-5"))
        listed = request("GET", s.url + "/v1/models", headers={"anthropic-version": "2023-06-01"}).json
        expect((listed["has_more"], listed["data"][0]["type"]), (False, "model"))

with claim("client_keys_pass_in_either_header_and_only_their_name_is_logged"):
    with Standin("claude") as c, one(c, more="keys: { team-a: env:TEAM_A }\n", env={"TEAM_A": "canary-team-a-0001"}) as s:
        expect(post_json(s.url + "/v1/messages", messages()).status, 401)
        expect(post_json(s.url + "/v1/messages", messages(), {"x-api-key": "canary-team-a-0002"}).status, 401)
        expect(post_json(s.url + "/v1/messages", messages(), {"x-api-key": "canary-team-a-0001"}).status, 200)
        expect(post_json(s.url + "/v1/messages", messages(), {"authorization": "Bearer canary-team-a-0001"}).status, 200)
        s.wait_for(r'"client_key":"team-a"')
        expect_true("canary-team" not in s.said(), "no key in the log")

with claim("without_client_keys_a_foreign_host_is_refused"):
    with Standin("claude") as c, one(c) as s:
        expect(post_json(s.url + "/v1/messages", messages(), {"host": "rebound.example"}).status, 403)
        expect(request("GET", s.admin + "/metrics", headers={"host": "rebound.example"}).status, 403)

with claim("bad_bodies_and_unknown_models_get_a_clear_error"):
    with Standin("claude") as c, Serve({"claude": c.speaks("anthropic")}, routes=[("claude-*", ["claude"])]) as s:
        reply = request("POST", s.url + "/v1/messages", b'{"model": "claude-x",}')
        expect_true(reply.status == 400 and "line 1" in reply.json["error"]["message"], reply.text)
        expect(request("POST", s.url + "/v1/messages", b"[]").status, 400)
        reply = post_json(s.url + "/v1/messages", messages(model="unknown-1"))
        expect((reply.status, reply.json["error"]["type"]), (404, "not_found_error"))
        expect_true("unknown-1" in reply.json["error"]["message"], reply.text)

with claim("malformed_http_is_refused_in_the_doors_dialect_and_the_connection_closed"):
    with Standin("claude") as c, one(c) as s:
        for head in [b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"Content-Length: +5", b"Bad Header: x",
                     b"Content-Length: 99999999999"]:
            got = raw(s.url, b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n")
            expect_true(re.match(rb"HTTP/1\.1 4\d\d ", got) and b'"type":"error"' in got and b"close" in got, repr(got[:300]))

with claim("livez_readyz_status_and_metrics_tell_what_is_true"):
    with Standin("claude") as c, Standin("spare") as d, Serve(
            {"claude": c.speaks("anthropic"), "spare": d.speaks("openai")}, chain=["claude", "spare/m"]) as s:
        expect(request("GET", s.admin + "/livez").status, 200)
        expect(request("GET", s.admin + "/readyz").status, 200)
        expect(request("GET", s.admin + "/api/status").json["answering"], "claude")
        c.faults("org-disabled")
        post_json(s.url + "/v1/messages", messages(stream=True))
        status = request("GET", s.admin + "/api/status").json
        expect((status["schema"], status["answering"], status["lead_answering"]), ("hotspare.status/1", "spare", False))
        expect_true(status["targets"][0]["advice"], "an operator is told what to do")
        expect(request("GET", s.admin + "/readyz").status, 200, "ready while anybody can answer")
        m = s.metrics()
        expect(m['hotspare_requests_total{api="anthropic-messages",outcome="ok",served_by="spare"}'], 1)
        expect(m['hotspare_attempts_total{target="claude",result="account_gone"}'], 1)
        expect(m['hotspare_switches_total{from="claude",to="spare",reason="account_gone",mode="auto"}'], 1)
        expect(m['hotspare_target_state{target="claude",model="",state="open"}'], 1)
        expect(request("GET", s.admin + "/nothing").status, 404)

with claim("the_log_has_one_json_line_per_request_and_no_word_of_the_prompt"):
    with Standin("claude") as c, one(c) as s:
        post_json(s.url + "/v1/messages", messages("canary-prompt-77", stream=True))
        line = json.loads(s.wait_for(r"^\{.*\"api\".*").group(0))
        expect((line["outcome"], line["served_by"], line["status"], line["stream"]), ("ok", "claude", 200, True))
        expect_true(line["ttft_ms"] is not None and line["tok_out"] == 12 and line["attempts"][0]["result"] == "ok", str(line))
        expect_true("canary-prompt" not in s.said(), "no prompt in the log")

with claim("a_spare_of_the_same_dialect_gets_the_models_name_changed_and_nothing_else"):
    body = (b'{ "model" : "claude-x",\n "zzz_unknown": [1.0, 1e400, -0],"max_tokens":9,'
            b'"messages":[{"role":"user","content":"\\ud83d\\ude00 hi"}] }')
    with Standin("lead", fault="529") as lead, Standin("spare") as spare, pair(lead, spare, "anthropic") as s:
        reply = request("POST", s.url + "/v1/messages?beta=true", body, {"anthropic-beta": "future-thing-2027-01-01"})
        expect((reply.status, reply.headers.get("x-hotspare-served-by")), (200, "spare"))
        expect(request("GET", spare.url + "/_standin/last").body, body.replace(b'"claude-x"', b'"other-model"'))

for fault in ["rst@8", "error@4", "garbage@6", "stall@7", "cut-bytes@1100"]:
    with claim("where_nobody_can_go_on_an_error_event_ends_the_stream_" + re.sub(r"\W+", "_", fault)):
        with Standin("lead", words=60, fault=fault) as lead, Standin("spare", fault="529") as spare, pair(lead, spare) as s:
            reply = post_json(s.url + "/v1/messages", messages(stream=True))
            names = [name for name, _ in sse_events(reply.text)]
            expect((reply.status, names[-1], "message_stop" in names), (200, "error", False), f"{names}")

with claim("the_breaker_spares_a_dead_lead_its_requests_and_lets_it_back"):
    with Standin("lead", fault="500") as lead, Standin("spare") as spare, \
            pair(lead, spare, more="breaker: { failures: 3, open: 1s, max_open: 2s }\n") as s:
        for _ in range(12):
            expect(post_json(s.url + "/v1/messages", messages()).status, 200)
        expect_true(lead.stats()["requests"] <= 4, f"the lead was asked {lead.stats()['requests']} times")
        lead.faults("none")
        time.sleep(2.5)
        served = [post_json(s.url + "/v1/messages", messages()).headers["x-hotspare-served-by"] for _ in range(4)]
        expect(served[-1], "lead", f"who served ({served})")

with claim("after_an_outage_a_few_conversations_return_first_and_it_is_told"):
    with Standin("lead", fault="500") as lead, Standin("spare") as spare, \
            pair(lead, spare, more="breaker: { failures: 1, open: 300ms, max_open: 300ms }\nreturn: { ramp: 60s }\n") as s:
        def served():
            replies = [post_json(s.url + "/v1/messages", messages(), {"x-claude-code-session-id": f"canary-session-{i}"}) for i in range(60)]
            expect({reply.status for reply in replies}, {200})
            return [reply.headers["x-hotspare-served-by"] for reply in replies], replies
        expect(set(served()[0]), {"spare"}, "while the lead is out")
        lead.faults("none")
        time.sleep(0.6)
        served()  # one of them is the trial that closes the breaker
        again, replies = served()
        expect_true(1 <= again.count("lead") < 20, f"some 5 % and the trial are with the lead: {again}")
        expect(served()[0], again, "the same ones each time")
        first = again.index("spare")
        expect(replies[first].headers["x-hotspare-switched"], "lead>spare; returning")
        status = request("GET", s.admin + "/api/status").json
        told = status["targets"][0]
        expect((told["target"], told["state"], told["return_percent"], told["relapses"]), ("lead", "closed", 5, 0))
        expect_true(0 < told["return_next_ms"] <= 60000, f"the next step is told: {told}")
        expect((status["answering"], status["lead_answering"]), ("spare", False), "who answers most")
        m = s.metrics()
        expect(m['hotspare_return_ratio{target="lead",model=""}'], 0.05)
        expect(m['hotspare_return_ratio{target="spare",model="other-model"}'], 1)
        expect(m['hotspare_switches_total{from="lead",to="spare",reason="returning",mode="auto"}'] > 50, True)
        line = json.loads(s.wait_for(r'^\{.*"switch_reason":"returning".*').group(0))
        expect(line["conversation_source"], "session")
        expect_true("canary-session" not in s.said(), "which one it is stays unsaid")

with claim("breakers_outlive_a_restart_when_a_state_folder_is_set"):
    with tempfile.TemporaryDirectory() as state, Standin("lead", fault="org-disabled") as lead, Standin("spare") as spare:
        for _ in range(2):
            with pair(lead, spare, more=f"state_dir: {state}\n") as s:
                expect(post_json(s.url + "/v1/messages", messages()).headers["x-hotspare-served-by"], "spare")
        expect(lead.stats()["requests"], 1, "requests at the lead over two runs")

with claim("a_30_mib_request_is_replayed_whole_and_one_over_the_limit_is_refused"):
    text = "x" * (30 << 20)
    with Standin("lead", fault="529") as lead, Standin("spare") as spare, pair(lead, spare) as s:
        reply = post_json(s.url + "/v1/messages", messages(text), seconds=60)
        expect(messages_text(reply), (words(12), True))
        expect(len(spare.last()["messages"][0]["content"]), len(text), "length at the spare")
        head = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 33554433\r\n\r\n"
        expect_true(raw(s.url, head).startswith(b"HTTP/1.1 413 "), "413 one byte past 32 MiB")

with claim("a_signal_right_behind_the_last_line_is_an_orderly_end"):
    with Standin("lead") as lead:
        for _ in range(10):  # leaving `with` sends SIGTERM at once and wants exit code 0
            with Serve({"lead": lead.speaks("anthropic")}, chain=["lead"]):
                pass

with claim("nobody_left_tells_the_soonest_time_any_target_asked_for"):
    with Standin("lead", fault="429,retry-after=30") as lead, Standin("spare", fault="429,retry-after=77") as spare:
        with pair(lead, spare) as s:
            for _ in range(2):  # the second time both circuits are open
                reply = post_json(s.url + "/v1/messages", messages())
                expect(reply.status, 529)
                expect_true(28 <= int(reply.headers["retry-after"]) <= 30, str(reply.headers))

with claim("a_port_in_use_is_said_plainly_and_wrong_usage_exits_64"):
    with Standin("claude") as c, Standin("other") as other, one(c) as s:
        with open(s.config, encoding="utf-8") as f:
            text = f.read().replace("admin: 127.0.0.1:0", f"admin: {other.url.split('//')[1]}")
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(text)
            f.flush()
            done = subprocess.run([BIN, "serve", "--config", f.name], capture_output=True, text=True, timeout=20, env=clean_env())
        expect_true(done.returncode == 69 and "admin" in done.stderr, f"{done.returncode} {done.stderr}")
    expect(subprocess.run([BIN, "serv"], capture_output=True, env=clean_env()).returncode, 64)
    expect(subprocess.run([BIN, "serve", "--colour"], capture_output=True, env=clean_env()).returncode, 64)

with claim("a_key_written_into_a_file_that_others_can_read_is_refused"):
    text = "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntargets: { claude: { kind: anthropic, key: canary-literal-9 } }\n"
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
        f.write(text)
        f.flush()
        for mode, wanted in ((0o644, 78), (0o600, 0)):
            os.chmod(f.name, mode)
            done = subprocess.run([BIN, "config", "check", f.name], capture_output=True, text=True, timeout=20, env=clean_env())
            expect(done.returncode, wanted, f"exit code with mode {mode:o}: {done.stderr}")
            expect_true("canary-literal" not in done.stdout + done.stderr, "the key is not shown")

finish()
