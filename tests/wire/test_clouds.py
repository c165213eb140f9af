#!/usr/bin/env python3
"""Claude in other clouds, as loopback servers play them: signatures are checked by an independent
implementation, streams are cut and damaged, tokens are refused and run out. No real cloud is called.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import Serve, Standin, words  # noqa: E402
from clouds import Bedrock, Vertex  # noqa: E402

ASK = {"model": "claude-x", "max_tokens": 50, "messages": [{"role": "user", "content": "x"}]}
MODEL = "eu.anthropic.claude-x-v1:0"
PATH = "/model/eu.anthropic.claude-x-v1%3A0/"


def text_of(reply):
    """The text of a streamed answer that must have ended well."""
    events = sse_events(reply.text)
    expect(events[-1][0], "message_stop", f"the last event of {reply.text}")
    deltas = [json.loads(d)["delta"] for n, d in events if n == "content_block_delta"]
    return "".join(d.get("text", "") for d in deltas)


def stream(s, **more):
    return post_json(s.url + "/v1/messages", dict(ASK, stream=True, **more), {"anthropic-version": "2023-06-01"})


def whole_and_stream():
    with Bedrock() as up, Serve({"aws": up.settings()}, chain=[f"aws/{MODEL}"], env=up.env) as s:
        reply = post_json(s.url + "/v1/messages?beta=true", dict(ASK, unknown={"a": [1.50, "\\u00e9"]}),
                          {"anthropic-beta": "context-1m-2025-08-07,claude-code-20250219,not-invented-yet"})
        expect((reply.status, reply.json["content"][0]["text"]), (200, "one two three"), f"the whole answer {reply.text}")
        expect(up.last()["target"], PATH + "invoke", "path")
        sent = json.loads(up.last()["body"])
        expect(sent, {"anthropic_version": "bedrock-2023-05-31", "anthropic_beta": ["context-1m-2025-08-07"], "max_tokens": 50, "messages": ASK["messages"],
                      "unknown": {"a": [1.5, "\\u00e9"]}}, "body")
        expect_true("anthropic-beta" not in up.last()["fields"], "the beta flags went as a field, too")
        expect(reply.headers.get("x-hotspare-lossy"), "other_fields", "what is said of the flag left out")
        reply = stream(s)
        expect(text_of(reply), "one two three", "the stream's text")
        expect(up.last()["target"], PATH + "invoke-with-response-stream", "path")
        expect_true("stream" not in json.loads(up.last()["body"]), "stream is in the body")
        expect([n for n, d in sse_events(reply.text)][:2], ["message_start", "content_block_start"], "the first events")


def chat_client_and_tools():
    """Another dialect's client gets the same, translated; the tool call is whole."""
    with Bedrock(tool=("look", {"q": "a\"b", "n": 1})) as up, Serve({"aws": up.settings()}, chain=[f"aws/{MODEL}"], env=up.env) as s:
        ask = {"model": "gpt-x", "messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]}
        reply = post_json(s.url + "/v1/chat/completions", dict(ask, stream=True))
        chunks = [json.loads(d) for _, d in sse_events(reply.text) if d != "[DONE]"]
        calls = [c["choices"][0]["delta"].get("tool_calls") for c in chunks if c["choices"]]
        arguments = "".join(c[0]["function"].get("arguments", "") for c in calls if c)
        expect(json.loads(arguments), {"q": "a\"b", "n": 1}, "the tool's arguments")
        sent = json.loads(up.last()["body"])
        expect((sent["anthropic_version"], "model" in sent, "stream" in sent, sent["tools"][0]["name"]), ("bedrock-2023-05-31", False, False, "look"), "body")
        reply = post_json(s.url + "/v1/chat/completions", ask)
        expect(reply.json["choices"][0]["message"]["content"], "one two three", "the whole answer")


def api_key():
    with Bedrock() as up:
        up.key = "bedrock-api-key-0123456789"
        settings = {"kind": "bedrock", "url": up.url, "region": "us-east-1", "key": "env:KEY"}
        with Serve({"aws": settings}, chain=[f"aws/{MODEL}"], env={"KEY": up.key}) as s:
            expect(text_of(stream(s)), "one two three", "text")


def wrong_secret():
    """A refused signature is a bad key, and somebody else answers."""
    with Bedrock() as up, Standin("spare", words=4) as spare:
        env = dict(up.env, CLOUD_SECRET="another-secret")
        with Serve({"aws": up.settings(), "spare": spare.speaks("openai")}, chain=[f"aws/{MODEL}", "spare/x"], env=env) as s:
            reply = stream(s)
            expect(text_of(reply), words(4), "text")
            expect(reply.headers.get("x-hotspare-switched"), "aws>spare; key_bad", "the reason")
        with Serve({"aws": up.settings()}, chain=[f"aws/{MODEL}"], env=env) as s:
            reply = stream(s)
            expect_true(reply.status >= 500 and reply.json["type"] == "error", f"alone: {reply.status} {reply.text}")


def fails_over(mode, cause, model=MODEL):
    """The stream dies after "one two": the next target goes on, and the client sees one answer."""
    with Bedrock() as up, Standin("spare", words=4) as spare:
        up.mode = mode
        with Serve({"aws": up.settings(), "spare": spare.speaks("anthropic")}, chain=[f"aws/{model}", "spare/x"], env=up.env) as s:
            got = b""
            with urllib.request.urlopen(urllib.request.Request(s.url + "/v1/messages", json.dumps(dict(ASK, stream=True)).encode(), {"content-type": "application/json"}), timeout=60) as reply:
                while piece := reply.read1(65536):
                    got += piece
                    if b" two" in got:
                        up.go.set()
            events = sse_events(got.decode())
            text = "".join(json.loads(d)["delta"].get("text", "") for n, d in events if n == "content_block_delta")
            expect((text[:7], text.replace("one two", "").strip(), events[-1][0]), ("one two", words(4), "message_stop"), f"the joined answer {text!r}, {got.decode()}")
            expect(got.count(b"event: message_start"), 1, "beginnings")
            expect(len(up.seen), 1, "requests to Bedrock")
            s.wait_for(cause)


def throttled():
    with Bedrock() as up, Standin("spare", words=4) as spare:
        up.mode = "throttled"
        with Serve({"aws": up.settings(), "spare": spare.speaks("anthropic")}, chain=[f"aws/{MODEL}", "spare/x"], env=up.env) as s:
            reply = post_json(s.url + "/v1/messages", ASK)
            expect((reply.status, reply.headers.get("x-hotspare-switched")), (200, "aws>spare; rate_limited"), "status and reason")
        with Serve({"aws": up.settings()}, chain=[f"aws/{MODEL}"], env=up.env) as s:
            reply = post_json(s.url + "/v1/messages", ASK)
            expect(reply.json["type"], "error", f"Bedrock's error in Claude's form: {reply.text}")


NOVA, LLAMA = "us.amazon.nova-lite-v1:0", "us.meta.llama4-maverick-17b-instruct-v1:0"
TOOLS = [{"name": "look", "input_schema": {"type": "object"}}]


def converse():
    """Another model than Claude: asked in Converse, answered in the client's own format, signed as ever."""
    with Bedrock() as up, Serve({"aws": up.settings()}, chain=[f"aws/{NOVA}"], env=up.env) as s:
        reply = post_json(s.url + "/v1/messages", dict(ASK, system="Be brief.", temperature=0.5))
        expect((reply.status, reply.json["content"][0]["text"], reply.json["usage"]["output_tokens"]), (200, "one two three", 3), f"the whole answer {reply.text}")
        expect(up.last()["target"], "/model/us.amazon.nova-lite-v1%3A0/converse", "path")
        expect(json.loads(up.last()["body"]), {"system": [{"text": "Be brief."}], "messages": [{"role": "user", "content": [{"text": "x"}]}],
                                               "inferenceConfig": {"maxTokens": 50, "temperature": 0.5}}, "body")
        expect(text_of(stream(s)), "one two three", "the stream's text")
        expect((up.last()["target"], up.last()["fields"]["accept"]), ("/model/us.amazon.nova-lite-v1%3A0/converse-stream", "application/vnd.amazon.eventstream"), "path and accept")
        ask = {"model": "gpt-x", "messages": [{"role": "user", "content": "x"}], "stream": True}
        reply = post_json(s.url + "/v1/chat/completions", ask)
        chunks = [json.loads(d) for _, d in sse_events(reply.text) if d != "[DONE]"]
        expect("".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"]), "one two three", "what a chat client gets")
        expect(len({(c["id"], c["model"]) for c in chunks}), 1, "ids and models")


def converse_tools(model, path):
    with Bedrock(tool=("look", {"q": "a\"b"})) as up, Serve({"aws": up.settings()}, chain=[f"aws/{model}"], env=up.env) as s:
        reply = stream(s, tools=TOOLS)
        expect(text_of(reply), "one two three", "text")
        expect(up.last()["target"].rsplit("/", 1)[1], path, "path")
        parts = [json.loads(d)["delta"].get("partial_json", "") for n, d in sse_events(reply.text) if n == "content_block_delta"]
        expect(json.loads("".join(parts)), {"q": "a\"b"}, "the tool's input")
        expect([json.loads(d)["delta"]["stop_reason"] for n, d in sse_events(reply.text) if n == "message_delta"], ["tool_use"], "why it stopped")
        expect(reply.headers.get("x-hotspare-served-by"), "aws", "who answered")


def converse_goes_on():
    """Asked to go on with an answer that another began: by a turn of the user's, since Converse's models take no beginning."""
    with Bedrock() as up, Standin("lead", words=30, fault="cut@9") as lead:
        with Serve({"lead": lead.speaks("anthropic"), "aws": up.settings()}, chain=["lead", f"aws/{NOVA}"], env=up.env) as s:
            text = text_of(stream(s))
            expect_true(text.startswith("w1 w2") and text.endswith("one two three"), f"the joined answer {text!r}")
            roles = [m["role"] for m in json.loads(up.last()["body"])["messages"]]
            expect(roles, ["user", "assistant", "user"], "turns")


@contextlib.contextmanager
def vertex():
    with tempfile.TemporaryDirectory() as folder, Vertex() as up:
        yield up, up.settings(folder)
        expect(up.complaints, [], "what the token endpoint found wrong")


def vertex_whole_and_stream():
    with vertex() as (up, settings), Serve({"gcp": settings}, chain=["gcp/claude-x@20300101"], more="workers: 1\n") as s:
        reply = post_json(s.url + "/v1/messages?beta=true", ASK, {"anthropic-beta": "not-invented-yet", "anthropic-version": "2023-06-01"})
        expect((reply.status, reply.json["content"][0]["text"]), (200, "one two three"), f"the whole answer {reply.text}")
        place = "/v1/projects/pro-ject/locations/us-east5/publishers/anthropic/models/claude-x@20300101"
        r = up.last()
        expect((r["target"], r["fields"].get("anthropic-beta")), (place + ":rawPredict", "not-invented-yet"), "path and flags")
        expect(json.loads(r["body"]), {"anthropic_version": "vertex-2023-10-16", "max_tokens": 50, "messages": ASK["messages"]}, "body")
        expect(text_of(stream(s)), "one two three", "the stream's text")
        r = up.last()
        expect((r["target"], json.loads(r["body"])["stream"]), (place + ":streamRawPredict", True), "path and stream")
        expect(len(up.tokens), 1, "tokens fetched for two requests")


def vertex_one_fetch():
    """Eight at once, and nobody has a token: one is fetched, and all are answered."""
    with vertex() as (up, settings), Serve({"gcp": settings}, chain=["gcp"], more="workers: 1\n") as s:
        statuses = []
        threads = [threading.Thread(target=lambda: statuses.append(post_json(s.url + "/v1/messages", ASK).status)) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        expect((statuses, len(up.tokens)), ([200] * 8, 1), "statuses, and tokens fetched")


def vertex_no_token(mode, cause):
    with vertex() as (up, settings), Standin("spare", words=4) as spare:
        up.token_mode = mode
        with Serve({"gcp": settings, "spare": spare.speaks("anthropic")}, chain=["gcp", "spare/x"]) as s:
            reply = stream(s)
            expect((text_of(reply), reply.headers.get("x-hotspare-switched")), (words(4), f"gcp>spare; {cause}"), "text and reason")
            expect(up.asked(), [], "requests without a token")
            s.wait_for("invalid_grant" if mode == "refused" else "503")
        with Serve({"gcp": settings}, chain=["gcp"]) as s:
            reply = post_json(s.url + "/v1/messages", ASK)
            expect_true(reply.status >= 500 and reply.json["type"] == "error", f"alone: {reply.status} {reply.text}")


def vertex_revoked():
    """A token that Vertex does not take any more is not used again."""
    with vertex() as (up, settings), Standin("spare", words=4) as spare:
        with Serve({"gcp": settings, "spare": spare.speaks("anthropic")}, chain=["gcp", "spare/x"],
                   more="workers: 1\nbreaker: { open: 100ms, max_open: 100ms }\n") as s:
            expect(post_json(s.url + "/v1/messages", ASK).headers.get("x-hotspare-served-by"), "gcp", "served by")
            up.mode = "revoked"
            reply = post_json(s.url + "/v1/messages", ASK)
            expect((reply.status, reply.headers.get("x-hotspare-switched")), (200, "gcp>spare; key_bad"), "status and reason")
            end = time.monotonic() + 60
            while post_json(s.url + "/v1/messages", ASK).headers.get("x-hotspare-served-by") != "gcp":
                expect_true(time.monotonic() < end, "the target did not come back with a new token")
            expect(len(up.tokens), 2, "tokens fetched")


def goes_on(up, settings, model, env=None):
    """A cloud is asked to go on with an answer that another began: natively, and without a model in the body."""
    with Standin("lead", words=30, fault="cut@9") as lead:
        with Serve({"lead": lead.speaks("anthropic"), "cloud": settings}, chain=["lead", f"cloud/{model}"], env=env) as s:
            text = text_of(stream(s))
            expect_true(text.startswith("w1 w2") and text.endswith("one two three"), f"the joined answer {text!r}")
            sent = json.loads(up.last()["body"])
            last = sent["messages"][-1]
            given = last["content"] if isinstance(last["content"], str) else last["content"][-1]["text"]
            expect_true(last["role"] == "assistant" and given.startswith("w1 w2") and text.startswith(given), f"what the cloud was asked: {sent}")
            expect_true("model" not in sent and "anthropic_version" in sent, f"the body: {sent}")


def bedrock_goes_on():
    with Bedrock() as up:
        goes_on(up, up.settings(), "anthropic.claude-3-5-sonnet-20241022-v2:0", up.env)


def vertex_goes_on():
    with vertex() as (up, settings):
        goes_on(up, settings, "claude-3-5-sonnet-v2@20241022")


def vertex_bad_account():
    with tempfile.TemporaryDirectory() as folder, Vertex() as up:
        for more, text in (({"type": "authorized_user"}, "type"), ({"private_key": "-----BEGIN"}, "private_key"), ({"token_uri": "http://1.2.3.4/token"}, "not https")):
            settings = up.settings(folder)
            with open(f"{folder}/account.json", "w", encoding="ascii") as f:
                f.write(up.account(**more))
            try:
                with Serve({"gcp": settings}, chain=["gcp"]):
                    raise RuntimeError(f"it started with {more}")
            except AssertionError as e:
                expect_true(text in str(e) and "targets.gcp" in str(e), f"{text} is not told: {e}")
                expect_true("BEGIN" not in str(e), "the key is told")


def drilled(model):
    """A drill's faults come in AWS's frames, counted in the frames' words."""
    with Bedrock(words=words(9).split()) as up, Standin("spare", words=9) as spare, \
            Serve({"aws": up.settings(), "spare": spare.speaks("openai")}, chain=[f"aws/{model}", "spare/x"], env=up.env,
                  more="breaker: { failures: 1000, ratio_min: 100000 }\n") as s:
        for fault, result, splices in (("error-first", "overloaded", 0), ("error@4", "overloaded", 1), ("cut@4", "broken_stream", 1), ("garbage@4", "broken_stream", 1)):
            expect(post_json(s.admin + "/api/fault", {"drill": "test", "target": "aws", "fault": fault, "percent": 100, "lease_ms": 60000}).status, 200, fault)
            reply = stream(s)
            expect(text_of(reply), words(9), fault)
            line = json.loads(s.wait_for(r'^\{.*"' + reply.headers["x-hotspare-request-id"] + '".*').group(0))
            first = line["attempts"][0]
            expect((first["result"], first["injected"], line["splices"]), (result, fault, splices), f"{fault}: {line}")


for name, test in (("a_whole_answer_and_a_stream_of_bedrock_with_a_signature_that_an_independent_one_equals", whole_and_stream),
                   ("a_chat_client_gets_bedrocks_tool_call_translated", chat_client_and_tools),
                   ("a_bedrock_api_key_goes_as_bearer_without_a_signature", api_key),
                   ("a_refused_signature_is_a_bad_key", wrong_secret),
                   ("a_stream_cut_inside_a_frame_is_gone_on_with_elsewhere", lambda: fails_over("cut", "broken_stream")),
                   ("a_frame_with_a_wrong_checksum_is_a_broken_stream", lambda: fails_over("crc", "broken_stream")),
                   ("an_exception_in_the_stream_is_read_for_its_cause", lambda: fails_over("throttlingException", "rate_limited")),
                   ("a_models_own_failure_in_the_stream_is_transient", lambda: fails_over("modelStreamErrorException", "transient")),
                   ("bedrocks_errors_are_told_in_claudes_form", throttled),
                   ("a_model_that_is_no_claude_is_asked_in_converse", converse),
                   ("converse_streams_a_tool_call", lambda: converse_tools(NOVA, "converse-stream")),
                   ("a_model_that_streams_no_tool_calls_is_asked_for_a_whole_answer_and_the_client_gets_a_stream", lambda: converse_tools(LLAMA, "converse")),
                   ("a_converse_stream_that_is_cut_is_gone_on_with_elsewhere", lambda: fails_over("cut", "broken_stream", NOVA)),
                   ("a_converse_frame_with_a_wrong_checksum_is_a_broken_stream", lambda: fails_over("crc", "broken_stream", NOVA)),
                   ("an_exception_in_a_converse_stream_is_read_for_its_cause", lambda: fails_over("throttlingException", "rate_limited", NOVA)),
                   ("a_converse_model_goes_on_with_what_another_began", converse_goes_on),
                   ("a_drill_fails_bedrock_in_its_own_frames", lambda: drilled(MODEL)),
                   ("a_drill_fails_converse_in_its_own_frames", lambda: drilled(NOVA)),
                   ("a_whole_answer_and_a_stream_of_vertex_with_one_token", vertex_whole_and_stream),
                   ("many_that_need_a_token_at_once_fetch_one", vertex_one_fetch),
                   ("a_refused_service_account_is_a_bad_key", lambda: vertex_no_token("refused", "key_bad")),
                   ("a_token_endpoint_that_fails_is_unreachable", lambda: vertex_no_token("down", "unreachable")),
                   ("a_refused_token_is_replaced", vertex_revoked),
                   ("bedrock_goes_on_with_what_another_began", bedrock_goes_on),
                   ("vertex_goes_on_with_what_another_began", vertex_goes_on),
                   ("a_service_account_that_cannot_be_used_is_told_at_the_start", vertex_bad_account)):
    with claim(name):
        test()
finish()
