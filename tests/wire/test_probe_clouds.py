#!/usr/bin/env python3
"""`hotspare probe` at clouds: Bedrock (Claude's models, and Converse), Vertex (Claude, Gemini), Gemini with a key, Azure OpenAI. Each is a
loopback server that checks signature, token or key itself (clouds.py, providers.py) and lets `hotspare standin` answer behind it, with a gap
planted there: the gap is found through the cloud's own format, and nothing else.
"""
import os
import sys
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *  # noqa: E402,F403
from harness import Serve, Standin  # noqa: E402
from clouds import Bedrock, Vertex, chunk, converse_frame  # noqa: E402
from probing import Config, TOOLS, WORDS, findings  # noqa: E402
from providers import Azure, Gemini, GeminiThere  # noqa: E402

JSON, EVENTS = {"Content-Type": "application/json"}, {"Content-Type": "text/event-stream"}
FRAMES = {"Content-Type": "application/vnd.amazon.eventstream"}


class Behind:
    """What answers behind a cloud's door."""
    standin, asked = None, 0

    def ask(self, path, body):
        self.asked += 1
        r = urllib.request.Request(self.standin.url + path, json.dumps(body).encode(), JSON)
        try:
            with urllib.request.urlopen(r, timeout=60) as reply:
                return 200, reply.read()
        except urllib.error.HTTPError as e:
            with e:
                return e.code, e.read()


def message_of(error):
    return json.loads(error)["error"]["message"]


# ---- Claude's Messages at Bedrock and Vertex ----

def claudes(self, r, stream, frames):
    """Messages in a cloud's envelope: the body names a version, neither model nor stream."""
    body = json.loads(r["body"])
    expect_true(body.pop("anthropic_version").startswith(("bedrock-", "vertex-")), "the version")
    wanted = stream if frames else body.pop("stream", False)
    expect((wanted, "model" in body), (stream, False), "what the body says")
    status, answer = self.ask("/v1/messages", dict(body, model="claude-x", stream=stream))
    if status != 200:
        return status, dict(JSON, **({"x-amzn-ErrorType": "ValidationException"} if frames else {})), \
            json.dumps({"message": message_of(answer)}).encode() if frames else answer
    if not stream or not frames or not answer.startswith(b"event:"):
        return 200, dict(EVENTS if stream and answer.startswith(b"event:") else JSON), answer
    return 200, dict(FRAMES), b"".join(chunk(json.loads(d)) for _, d in sse_events(answer.decode()))


class BedrockThere(Behind, Bedrock):
    model = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"

    def answer(self, r):
        if not self.trusted(r):
            return super().answer(r)
        return claudes(self, r, r["target"].endswith("/invoke-with-response-stream"), True)


class VertexThere(Behind, Vertex):
    model = "claude-sonnet-4-5@20250929"

    def answer(self, r):
        if r["target"] == "/token" or not self.tokens or r["fields"].get("authorization") != "Bearer " + self.tokens[-1] or self.mode == "revoked":
            return super().answer(r)
        return claudes(self, r, r["target"].endswith(":streamRawPredict"), False)


# ---- Converse ----

def from_converse(block):
    if "text" in block:
        return {"type": "text", "text": block["text"]}
    if "image" in block or "document" in block:
        kind = "image" if "image" in block else "document"
        media = "image/png" if kind == "image" else "application/pdf"
        return {"type": kind, "source": {"type": "base64", "media_type": media, "data": block[kind]["source"]["bytes"]}}
    if "toolUse" in block:
        use = block["toolUse"]
        return {"type": "tool_use", "id": use["toolUseId"], "name": use["name"], "input": use["input"]}
    result = block["toolResult"]
    return {"type": "tool_result", "tool_use_id": result["toolUseId"], "content": [from_converse(b) for b in result["content"]]}


def converse_body(sent):
    limits, tools = sent.get("inferenceConfig", {}), sent.get("toolConfig", {})
    body = {"model": "x", "max_tokens": limits.get("maxTokens", 300), "messages":
            [{"role": m["role"], "content": [from_converse(b) for b in m["content"]]} for m in sent["messages"]]}
    if "system" in sent:
        body["system"] = " ".join(b["text"] for b in sent["system"])
    if "stopSequences" in limits:
        body["stop_sequences"] = limits["stopSequences"]
    if tools:
        body["tools"] = [{"name": t["toolSpec"]["name"], "input_schema": t["toolSpec"]["inputSchema"]["json"]} for t in tools["tools"]]
        if "any" in tools.get("toolChoice", {}):
            body["tool_choice"] = {"type": "any"}
    if sent.get("outputConfig"):
        body["output_config"] = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    return body


def to_converse(block):
    if block["type"] == "tool_use":
        return {"toolUse": {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}}
    return {"text": block["text"]}


class ConverseThere(Behind, Bedrock):
    model = "amazon.nova-pro-v1:0"

    def events(self, content, stop, usage):
        yield "messageStart", {"role": "assistant"}
        for i, block in enumerate(content):
            if "toolUse" in block:
                use = block["toolUse"]
                yield "contentBlockStart", {"contentBlockIndex": i, "start": {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}}
                yield "contentBlockDelta", {"contentBlockIndex": i, "delta": {"toolUse": {"input": json.dumps(use["input"])}}}
            else:
                yield "contentBlockDelta", {"contentBlockIndex": i, "delta": {"text": block["text"]}}
            yield "contentBlockStop", {"contentBlockIndex": i}
        yield "messageStop", {"stopReason": stop}
        yield "metadata", {"usage": usage, "metrics": {"latencyMs": 5}}

    def answer(self, r):
        bad = dict(JSON, **{"x-amzn-ErrorType": "ValidationException"})
        if not self.trusted(r):
            return super().answer(r)
        sent = json.loads(r["body"])
        if not isinstance(sent.get("messages"), list):
            return 400, bad, b'{"message":"messages: a list is expected"}'
        status, answer = self.ask("/v1/messages", converse_body(sent))
        if status != 200:
            return status, bad, json.dumps({"message": message_of(answer)}).encode()
        told = json.loads(answer)
        content, stop = [to_converse(b) for b in told["content"]], told["stop_reason"]
        usage = {"inputTokens": told["usage"]["input_tokens"], "outputTokens": told["usage"]["output_tokens"], "totalTokens": 0}
        if r["target"].endswith("/converse-stream"):
            return 200, dict(FRAMES), b"".join(converse_frame(*e) for e in self.events(content, stop, usage))
        whole = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop, "usage": usage, "metrics": {"latencyMs": 5}}
        return 200, dict(JSON), json.dumps(whole).encode()


# ---- Gemini ----

def from_gemini(part):
    if "inlineData" in part:
        kind = "document" if part["inlineData"]["mimeType"] == "application/pdf" else "image"
        return {"type": kind, "source": {"type": "base64", "media_type": part["inlineData"]["mimeType"], "data": part["inlineData"]["data"]}}
    if "functionCall" in part:
        return {"type": "tool_use", "id": "toolu_" + part["functionCall"]["name"], "name": part["functionCall"]["name"], "input": part["functionCall"]["args"]}
    if "functionResponse" in part:
        return {"type": "tool_result", "tool_use_id": "toolu_" + part["functionResponse"]["name"], "content": json.dumps(part["functionResponse"]["response"])}
    return {"type": "text", "text": part["text"]}


def gemini_body(sent):
    limits = sent.get("generationConfig", {})
    body = {"model": "x", "max_tokens": limits.get("maxOutputTokens", 300), "messages":
            [{"role": "assistant" if c["role"] == "model" else "user", "content": [from_gemini(p) for p in c["parts"]]} for c in sent["contents"]]}
    if "systemInstruction" in sent:
        body["system"] = sent["systemInstruction"]["parts"][0]["text"]
    if "stopSequences" in limits:
        body["stop_sequences"] = limits["stopSequences"]
    if "tools" in sent:
        body["tools"] = [{"name": f["name"], "input_schema": {"type": "object"}} for t in sent["tools"] for f in t["functionDeclarations"]]
        if sent.get("toolConfig", {}).get("functionCallingConfig", {}).get("mode") == "ANY":
            body["tool_choice"] = {"type": "any"}
    if limits.get("responseMimeType") == "application/json":
        body["output_config"] = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    return body


def gemini_answer(behind, r):
    sent = json.loads(r["body"])
    if not isinstance(sent.get("contents"), list):
        return 400, dict(JSON), b'{"error":{"code":400,"message":"Invalid value at \'contents\'","status":"INVALID_ARGUMENT"}}'
    status, answer = behind.ask("/v1/messages", gemini_body(sent))
    if status != 200:
        return status, dict(JSON), json.dumps({"error": {"code": status, "message": message_of(answer), "status": "INVALID_ARGUMENT"}}).encode()
    told = json.loads(answer)
    parts = [{"functionCall": {"name": b["name"], "args": b["input"]}} if b["type"] == "tool_use" else {"text": b["text"]} for b in told["content"]]
    whole = {"candidates": [{"content": {"role": "model", "parts": parts}, "index": 0, "finishReason": "MAX_TOKENS" if told["stop_reason"] == "max_tokens" else "STOP"}],
             "usageMetadata": {"promptTokenCount": told["usage"]["input_tokens"], "candidatesTokenCount": told["usage"]["output_tokens"]},
             "modelVersion": "gemini-x", "responseId": "r1"}
    if ":streamGenerateContent" in r["target"]:
        return 200, dict(EVENTS), f"data: {json.dumps(whole)}\r\n\r\n".encode()
    return 200, dict(JSON), json.dumps(whole).encode()


class GeminiKey(Behind, Gemini):
    model = "gemini-2.5-flash"

    def answer(self, r):
        known = r["target"].startswith("/v1beta/models/gemini-2.5-flash:")
        return gemini_answer(self, r) if self.trusted(r) and known else super().answer(r)


class GeminiVertex(Behind, GeminiThere):
    """A model of Google's at a target of kind vertex, as a chain may name it beside Claude's."""
    model = "gemini-2.5-flash"

    def settings(self, folder, **more):
        return dict(super().settings(folder), kind="vertex", region="global")

    def answer(self, r):
        known = r["target"].startswith("/v1beta1/projects/pro-ject/locations/global/publishers/google/models/gemini-2.5-flash:")
        trusted = self.tokens and r["fields"].get("authorization") == "Bearer " + self.tokens[-1]
        return gemini_answer(self, r) if known and trusted else super().answer(r)


# ---- Azure OpenAI ----

class AzureThere(Behind, Azure):
    model = "gpt-4.1"
    path = "/openai/deployments/gpt-4.1/chat/completions?api-version=2024-10-21"

    def __init__(self):
        super().__init__(self.path)

    def settings(self, **more):
        return dict(super().settings("/openai"), api_version="2024-10-21")

    def answer(self, r):
        if not self.trusted(r["fields"]) or r["target"] != self.path:
            return super().answer(r)
        status, answer = self.ask("/v1/chat/completions", json.loads(r["body"]))
        return status, dict(EVENTS if answer.startswith(b"data:") else JSON), answer


def settings_of(up, folder):
    return up.settings(folder) if isinstance(up, Vertex) else up.settings()


def probed(cloud, *gaps, env=None, change=None):
    """What a probe of it says, and what it leaves in the file."""
    more = ["--lacks", ",".join(gaps)] if gaps else []
    with cloud() as up, Standin("behind", words=WORDS, tools=TOOLS, more=more) as s, Config({}, []) as config:
        up.standin = s
        config.write({"it": settings_of(up, config.folder)}, ["it/" + up.model])
        if change:
            change(up)
        code, found, said = config.probe("--all", "--yes", env={**getattr(up, "env", {}), **(env or {})})
        return code, found["it"], said, config, up


ALL = (BedrockThere, ConverseThere, VertexThere, GeminiVertex, GeminiKey, AzureThere)

for cloud in ALL:
    with claim("nothing_is_found_at_a_complete_" + cloud.__name__):
        code, it, said, config, up = probed(cloud)
        unclear = [(r["name"], r["reason"]) for r in it["doors"][0]["rows"] if r["state"] == "unclear"] if it["doors"][0]["rows"] else it
        expect((code, findings(it), unclear), (0, [], []), f"{said} {it}")
    for gaps in (["forced-tool"], ["images", "stop"]):
        with claim(f"exactly_this_is_found_at_{cloud.__name__}: {', '.join(gaps)}"):
            code, it, said, config, up = probed(cloud, *gaps)
            expect((code, findings(it)), (1, gaps), f"{said} {it}")

# ---- what is wrong with the way in ----

def refuse_token(up):
    up.token_mode = "refused"


for cloud, env, change, words_of in ((BedrockThere, {"CLOUD_SECRET": "another-secret"}, None, "403: The request signature we calculated does not match"),
                                     (VertexThere, {}, refuse_token, "no access token: "), (GeminiKey, {"KEY": "another-key"}, None, "400: API key not valid"),
                                     (AzureThere, {"KEY": "another-key"}, None, "401: Access denied")):
    with claim("a_way_in_that_is_refused_is_no_finding_" + cloud.__name__):
        code, it, said, config, up = probed(cloud, env=env, change=change)
        expect((code, it["state"], up.asked), (69, "no answer", 0), f"{said} {it}")
        expect_true(it["reason"].startswith(words_of), it["reason"])
        for secret in (*getattr(up, "env", {}).values(), *env.values(), *getattr(up, "tokens", ())):
            expect_true(secret not in said + json.dumps(it), "a secret was shown")

with claim("a_token_that_is_revoked_is_fetched_anew"):
    with VertexThere() as up, Standin("behind", words=WORDS, tools=TOOLS) as s, Config({}, []) as config:
        up.standin, up.mode = s, "revoked"
        config.write({"it": settings_of(up, config.folder)}, ["it/" + up.model])
        code, found, said = config.probe("--all", "--yes")
        expect((len(up.tokens), len(up.complaints)), (2, 0), "tokens and complaints")
        expect((code, findings(found["it"])), (0, []), f"{said} {found}")

with claim("what_was_found_at_a_cloud_is_what_the_chain_goes_by"):
    with BedrockThere() as up, Standin("behind", words=WORDS, more=["--lacks", "images"]) as s, Standin("able", words=WORDS) as able, Config({}, []) as config:
        up.standin = s
        speaks = {"it": up.settings(), "able": able.speaks("anthropic")}
        config.write(speaks, ["it/" + up.model, "able/x"])
        picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
        ask = {"model": "x", "max_tokens": 50, "messages": [{"role": "user", "content": [picture, {"type": "text", "text": "look"}]}]}
        served = []
        for probe in (False, True):
            if probe:
                config.probe("it", "--yes", env=up.env)
            with Serve(speaks, chain=["it/" + up.model, "able/x"], more=config.more(), env=up.env) as g:
                before = up.asked
                reply = post_json(g.url + "/v1/messages", ask)
                served.append((reply.headers.get("x-hotspare-served-by"), up.asked - before))
        expect(served[1], ("able", 0), "with what was found")
        expect(served[0][1], 1, "before: asked for what it refuses")

finish()
