#!/usr/bin/env python3
"""Gemini and Azure OpenAI, as loopback servers play them after the recorded exchanges: whole answers, streams,
tool rounds with their signatures, refusals, faults, cuts that another target mends. No real provider is called.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import Serve, Standin, words  # noqa: E402
from providers import Azure, Gemini, GeminiThere, SIGNATURE  # noqa: E402
from talk import chat_text, messages_text  # noqa: E402

ASK = {"model": "claude-x", "max_tokens": 50, "messages": [{"role": "user", "content": "x"}]}
ASK_CHAT = {"model": "gpt-x", "messages": [{"role": "user", "content": "x"}]}
TOOL = {"name": "look", "description": "Looks.", "input_schema": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": False}}


# ---- what is asked of them -----------------------------------------------------------------------------

MODEL = "gemini/gemini-3.5-flash"


def messages(s, **more):
    return post_json(s.url + "/v1/messages", dict(ASK, **more))


def chat(s, **more):
    return post_json(s.url + "/v1/chat/completions", dict(ASK_CHAT, **more))


def gemini(mode="good", more=None, chain=None):
    up = Gemini()
    up.mode = mode
    return up, Serve({"gemini": up.settings(), **(more or {})}, chain=chain or [MODEL], env=up.env)


def both_doors():
    up, serve = gemini()
    with up, serve as s:
        for streamed in (False, True):
            reply = messages(s, stream=streamed)
            expect(messages_text(reply), ("one two three", True), f"Messages, stream {streamed}: {reply.text}")
            reply = chat(s, stream=streamed)
            expect(chat_text(reply), ("one two three", True), f"chat, stream {streamed}: {reply.text}")
        whole = messages(s)
        expect((whole.json["stop_reason"], whole.json["usage"]["input_tokens"], whole.json["usage"]["output_tokens"]), ("end_turn", 9, 5), "end and usage")
        sent = json.loads(up.last()["body"])
        expect(sent, {"contents": [{"role": "user", "parts": [{"text": "x"}]}], "generationConfig": {"maxOutputTokens": 50}}, "the body")
        expect_true("anthropic-version" not in up.last()["fields"], "Claude's version field went to Gemini")


def blocks_of(reply):
    """Content blocks of a streamed Messages answer."""
    blocks = []
    for name, data in sse_events(reply.text):
        e = json.loads(data)
        if name == "content_block_start":
            blocks.append(dict(e["content_block"], json=""))
        elif name == "content_block_delta":
            d, b = e["delta"], blocks[-1]
            key = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature", "input_json_delta": "json"}[d["type"]]
            b[key] = b.get(key, "") + d[{"json": "partial_json"}.get(key, key)]
    for b in blocks:
        text = b.pop("json")
        if b["type"] == "tool_use":
            b["input"] = json.loads(text or "{}")
    return blocks


def tool_round(streamed):
    """The calls come whole with ids of their own; the signature comes back to the call it was given with."""
    up, serve = gemini("call")
    with up, serve as s:
        reply = messages(s, tools=[TOOL], stream=streamed)
        blocks = blocks_of(reply) if streamed else reply.json["content"]
        calls = [b for b in blocks if b["type"] == "tool_use"]
        expect([c["input"] for c in calls], [{"q": "a\"b", "n": 1.5}, {"q": "c"}], f"the calls in {reply.text}")
        expect_true(len({c["id"] for c in calls}) == 2, f"the calls' ids: {calls}")
        expect(json.loads(up.last()["body"])["tools"], [{"functionDeclarations": [{"name": "look", "description": "Looks.", "parametersJsonSchema": TOOL["input_schema"]}]}], "tools")
        back = [{"type": "tool_result", "tool_use_id": c["id"], "content": f"r{i}"} for i, c in enumerate(calls)]
        history = ASK["messages"] + [{"role": "assistant", "content": blocks}, {"role": "user", "content": back}]
        reply = messages(s, messages=history, tools=[TOOL], stream=streamed)
        expect(messages_text(reply), ("one two three", True), f"the answer {reply.text}")
        expect_true("thinking" not in reply.headers.get("x-hotspare-lossy", ""), f"lossy: {reply.headers.get('x-hotspare-lossy')}")
        model, results = json.loads(up.last()["body"])["contents"][1:]
        expect(model["parts"], [{"text": "look."}, {"functionCall": {"id": calls[0]["id"], "name": "look", "args": {"q": "a\"b", "n": 1.5}}, "thoughtSignature": SIGNATURE},
                                {"functionCall": {"id": calls[1]["id"], "name": "look", "args": {"q": "c"}}}], "the model's turn")
        expect([p["functionResponse"]["response"] for p in results["parts"]], [{"output": "r0"}, {"output": "r1"}], "the results")


def signed_history_to_claude():
    """Blocks that only carry Gemini's signatures never reach Claude."""
    up, serve = gemini("call")
    with up, serve as s:
        blocks = messages(s, tools=[TOOL]).json["content"]
    calls = [b for b in blocks if b["type"] == "tool_use"]
    history = ASK["messages"] + [{"role": "assistant", "content": blocks},
                                 {"role": "user", "content": [{"type": "tool_result", "tool_use_id": c["id"], "content": "r"} for c in calls]}]
    with Standin("claude", words=4) as claude, Serve({"claude": claude.speaks("anthropic")}, chain=["claude/x"]) as s:
        expect(messages_text(messages(s, messages=history, tools=[TOOL])), (words(4), True), "Claude's answer")
        sent = json.dumps(claude.last())
        expect_true("tool_use" in sent and "hotspare1." not in sent and SIGNATURE not in sent, f"what Claude got: {sent[:3000]}")


def refused_signature():
    """Signatures of another place are refused: asked once more without them, told, and not tried again."""
    up = Gemini()
    up.mode = "call"
    with up, Serve({"gemini": up.settings()}, chain=[MODEL], env=up.env, more="workers: 1\n") as s:
        blocks = messages(s, tools=[TOOL]).json["content"]
        calls = [b for b in blocks if b["type"] == "tool_use"]
        history = ASK["messages"] + [{"role": "assistant", "content": blocks},
                                     {"role": "user", "content": [{"type": "tool_result", "tool_use_id": c["id"], "content": "r"} for c in calls]}]
        up.mode, before = "unsigned", len(up.seen)
        for stream in (True, False):
            reply = messages(s, messages=history, tools=[TOOL], stream=stream)
            expect(messages_text(reply), ("one two three", True), f"the answer {reply.text}")
            expect_true("thinking" in reply.headers.get("x-hotspare-lossy", ""), "the loss is not told")
        expect(len(up.seen) - before, 3, "requests: refused, again without, and without at once")


def chat_client_tool_round():
    """A chat client cannot carry a signature: Gemini is told not to look for it, and the client is told."""
    up, serve = gemini("call")
    with up, serve as s:
        tools = [{"type": "function", "function": {"name": "look", "parameters": TOOL["input_schema"]}}]
        message = chat(s, tools=tools).json["choices"][0]["message"]
        history = ASK_CHAT["messages"] + [message] + [{"role": "tool", "tool_call_id": c["id"], "content": "r"} for c in message["tool_calls"]]
        reply = chat(s, messages=history, tools=tools, stream=True)
        expect(chat_text(reply), ("one two three", True), f"the answer {reply.text}")
        calls = [p for p in json.loads(up.last()["body"])["contents"][1]["parts"] if "functionCall" in p]
        expect([c.get("thoughtSignature") for c in calls], ["skip_thought_signature_validator", None], "signatures")
        expect_true("thinking" in reply.headers.get("x-hotspare-lossy", ""), "the lost signature is not told")


def read_slowly(up, url, body):
    """Lets the server go on when its first two words are here."""
    got = b""
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"}), timeout=60) as reply:
        while piece := reply.read1(65536):
            got += piece
            if b" two" in got:
                up.go.set()
    return got.decode()


def mended(up, settings, chain, cause):
    with up, Standin("spare", words=4) as spare, Serve({**settings, "spare": spare.speaks("anthropic")}, chain=[chain, "spare/x"], env=up.env) as s:
        got = read_slowly(up, s.url + "/v1/messages", dict(ASK, stream=True))
        text = "".join(json.loads(d)["delta"].get("text", "") for n, d in sse_events(got) if n == "content_block_delta")
        expect((text[:7], text.replace("one two", "").strip(), sse_events(got)[-1][0]), ("one two", words(4), "message_stop"), f"the joined answer {got}")
        expect(len(up.seen), 1, "requests")
        s.wait_for(cause)


def gemini_mended(mode, cause):
    up = Gemini()
    up.mode = mode
    mended(up, {"gemini": up.settings()}, MODEL, cause)


def gemini_goes_on():
    """Gemini is asked in words to go on with what another began."""
    up = Gemini()
    with up, Standin("lead", words=30, fault="cut@9") as lead:
        with Serve({"lead": lead.speaks("anthropic"), "gemini": up.settings()}, chain=["lead", MODEL], env=up.env) as s:
            text, done = messages_text(messages(s, stream=True))
            expect_true(done and text.startswith("w1 w2") and text.endswith("one two three"), f"the joined answer {text!r}")
            contents = json.loads(up.last()["body"])["contents"]
            expect([c["role"] for c in contents], ["user", "model", "user"], "the turns")
            expect_true(text.startswith(contents[1]["parts"][0]["text"]) and "exactly where it ends" in contents[2]["parts"][0]["text"], f"what Gemini was asked: {contents}")


def gemini_fails(mode, cause):
    with Standin("spare", words=4) as spare:
        up, serve = gemini(mode, {"spare": spare.speaks("openai")}, [MODEL, "spare/x"])
        with up, serve as s:
            for streamed in (False, True):
                reply = chat(s, stream=streamed)
                expect(chat_text(reply), (words(4), True), f"{mode}, stream {streamed}: {reply.text}")
                if not streamed:
                    expect(reply.headers.get("x-hotspare-switched"), f"gemini>spare; {cause}", "reason")
    up, serve = gemini(mode)
    with up, serve as s:
        reply = messages(s)
        expect_true(reply.status >= 400 and reply.json["type"] == "error", f"alone: {reply.status} {reply.text}")


def gemini_blocked():
    up, serve = gemini("blocked")
    with up, serve as s:
        expect(messages(s).json["stop_reason"], "refusal", "Messages")
        reply = chat(s, stream=True)
        expect_true('"finish_reason":"content_filter"' in reply.text and "[DONE]" in reply.text, f"chat: {reply.text}")


def gemini_wrong_key():
    with Standin("spare", words=4) as spare, Gemini() as up:
        with Serve({"gemini": up.settings(), "spare": spare.speaks("anthropic")}, chain=[MODEL, "spare/x"], env={"KEY": "another"}) as s:
            reply = messages(s)
            expect((reply.status, reply.headers.get("x-hotspare-switched")), (200, "gemini>spare; key_bad"), "status and reason")


def gemini_on_vertex():
    with tempfile.TemporaryDirectory() as folder, GeminiThere() as up, Serve({"gemini": up.settings(folder)}, chain=[MODEL], more="workers: 1\n") as s:
        expect(messages_text(messages(s, stream=True)), ("one two three", True), "stream")
        expect(chat_text(chat(s)), ("one two three", True), "whole")
        expect((up.complaints, len(up.tokens)), ([], 1), "complaints, and tokens fetched")


def both_on_vertex():
    """One target of kind vertex, asked for a model of Google's and for Claude."""
    with tempfile.TemporaryDirectory() as folder, GeminiThere() as up, \
            Serve({"v": up.settings(folder, kind="vertex")}, routes=[("g", ["v/gemini-3.5-flash"]), ("c", ["v/claude-sonnet-4-5@20250929"])], more="workers: 1\n") as s:
        for model, path in (("g", "/google/models/gemini-3.5-flash:"), ("c", "/anthropic/models/claude-sonnet-4-5@20250929:")):
            for streamed in (False, True):
                reply = post_json(s.url + "/v1/messages", dict(ASK, model=model, stream=streamed))
                expect(messages_text(reply), ("one two three", True), f"{model}, stream {streamed}: {reply.text}")
                expect_true(path in up.last()["target"], f"asked at {up.last()['target']}")
        expect((up.complaints, len(up.tokens)), ([], 1), "complaints, and tokens fetched")


def azure(target, **settings):
    up = Azure(target)
    return up, Serve({"azure": up.settings(**settings)}, chain=["azure/gpt-5.1"], env=up.env)


def azure_answers(target, query="", **settings):
    up, serve = azure(target, **settings)
    up.bearer = settings.get("auth") == "bearer"
    with up, serve as s:
        for streamed in (False, True):
            reply = post_json(s.url + "/v1/chat/completions" + query, dict(ASK_CHAT, stream=streamed))
            expect(chat_text(reply), ("one two three", True), f"passed through, stream {streamed}: {reply.text}")
            expect(json.loads(up.last()["body"])["model"], "gpt-5.1", "the model")
            reply = post_json(s.url + "/v1/messages?beta=true", dict(ASK, stream=streamed, metadata={"user_id": "u"}))
            expect(messages_text(reply), ("one two three", True), f"translated, stream {streamed}: {reply.text}")
        sent = json.loads(up.last()["body"])
        expect((sent.get("user"), "safety_identifier" in sent), ("u", False), "the user's id")


def azure_embeddings():
    """The version stands behind every path of such a URL."""
    up, serve = azure("/openai/v1/chat/completions?api-version=preview", url_path="/openai/v1", api_version="preview")
    with up, serve as s:
        post_json(s.url + "/v1/embeddings", {"model": "e", "input": "x"})
        expect(up.last()["target"], "/openai/v1/embeddings?api-version=preview", "the path")


def azure_refuses():
    up, serve = azure("/openai/v1/chat/completions")
    with up, serve as s:
        up.mode = "filtered"
        reply = chat(s)
        expect((reply.status, reply.json["error"]["code"], "innererror" in reply.json["error"]), (400, "content_filter", True), f"as it came: {reply.text}")
        s.wait_for("content_refused")
        reply = messages(s)
        expect((reply.status, reply.json["type"]), (400, "error"), f"in Claude's form: {reply.text}")
        up.mode = "filtered_output"
        expect(json.loads(sse_events(messages(s, stream=True).text)[-2][1])["delta"]["stop_reason"], "refusal", "a filtered answer's end")


def azure_fails_over(mode, cause, target="/openai/v1/chat/completions", env=None):
    with Azure(target) as up, Standin("spare", words=4) as spare:
        up.mode = mode
        with Serve({"azure": up.settings(), "spare": spare.speaks("openai")}, chain=["azure/gpt-5.1", "spare/x"], env=env or up.env) as s:
            reply = chat(s)
            expect((chat_text(reply)[0], reply.headers.get("x-hotspare-switched")), (words(4), f"azure>spare; {cause}"), f"text and reason {reply.text}")


def azure_mended():
    up = Azure("/openai/v1/chat/completions")
    up.mode = "cut"
    mended(up, {"azure": up.settings()}, "azure/gpt-5.1", "broken_stream")


for name, test in (("gemini_answers_both_doors_whole_and_streamed", both_doors),
                   ("a_tool_round_keeps_ids_and_gives_the_signature_back", lambda: tool_round(False)),
                   ("a_streamed_tool_round_does_the_same", lambda: tool_round(True)),
                   ("a_refused_signature_is_left_out", refused_signature),
                   ("geminis_signatures_never_reach_claude", signed_history_to_claude),
                   ("a_chat_clients_tool_round_goes_on_unsigned", chat_client_tool_round),
                   ("a_cut_gemini_stream_is_gone_on_with_elsewhere", lambda: gemini_mended("cut", "broken_stream")),
                   ("an_error_inside_its_stream_is_read_for_its_cause", lambda: gemini_mended("told", "overloaded")),
                   ("a_malformed_call_of_geminis_is_no_answer", lambda: gemini_mended("malformed", "transient")),
                   ("gemini_goes_on_with_what_another_began", gemini_goes_on),
                   ("an_overloaded_gemini_is_replaced", lambda: gemini_fails("busy", "overloaded")),
                   ("a_minutes_quota_is_a_rate_limit", lambda: gemini_fails("limited", "rate_limited")),
                   ("a_prompt_too_long_for_gemini_goes_to_the_next", lambda: gemini_fails("long", "context_exceeded")),
                   ("a_blocked_prompt_is_a_refusal", gemini_blocked),
                   ("geminis_refused_key_is_a_bad_key", gemini_wrong_key),
                   ("gemini_on_vertex_uses_vertex_s_tokens", gemini_on_vertex),
                   ("googles_models_of_kind_vertex_are_asked_as_such", both_on_vertex),
                   ("azures_v1_endpoint_answers", lambda: azure_answers("/openai/v1/chat/completions")),
                   ("azures_v1_endpoint_takes_a_version", lambda: azure_answers("/openai/v1/chat/completions?api-version=preview", "?mine=1", url_path="/openai/v1", api_version="preview")),
                   ("azures_version_goes_to_its_embeddings_too", azure_embeddings),
                   ("azures_deployments_are_asked_by_name", lambda: azure_answers("/openai/deployments/gpt-5.1/chat/completions?api-version=2024-10-21", "?mine=1", api_version="2024-10-21")),
                   ("azure_takes_an_entra_token", lambda: azure_answers("/openai/v1/chat/completions", auth="bearer")),
                   ("azures_content_filter_is_a_refusal_for_the_caller", azure_refuses),
                   ("azures_limit_is_a_rate_limit", lambda: azure_fails_over("limited", "rate_limited")),
                   ("azures_missing_deployment_is_a_missing_model", lambda: azure_fails_over("good", "model_gone", target="/elsewhere")),
                   ("azures_refused_key_is_a_bad_key", lambda: azure_fails_over("good", "key_bad", env={"KEY": "another"})),
                   ("a_cut_azure_stream_is_gone_on_with_elsewhere", azure_mended)):
    with claim(name):
        test()
finish()
