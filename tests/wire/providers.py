"""Loopback Gemini (alone and on Vertex) and Azure OpenAI for the wire tests, after the recorded exchanges. Standard library only; no
real provider is involved.
"""
import json

from clouds import Upstream, Vertex

JSON = {"Content-Type": "application/json; charset=UTF-8"}
SIGNATURE = "CuMBAY89a1/+" * 40 + "=="


def gemini_error(status, word, message):
    return status, dict(JSON), json.dumps({"error": {"code": status, "message": message, "status": word}}).encode()


class Gemini(Upstream):
    """mode: what the next answers are like. paths: where it answers."""
    key = "gemini-key-canary-0123456789"

    def __init__(self, base="/v1beta/models/gemini-3.5-flash"):
        super().__init__()
        self.base, self.mode = base, "good"

    def settings(self, **more):
        return dict({"kind": "gemini", "url": self.url, "key": "env:KEY"}, **more)

    env = {"KEY": key}

    def parts(self, r):
        asked = json.loads(r["body"])
        if self.mode == "call" and "functionResponse" not in json.dumps(asked):
            return [{"text": "Let me ", "thought": True}, {"text": "look."},
                    {"functionCall": {"name": "look", "args": {"q": "a\"b", "n": 1.50}}, "thoughtSignature": SIGNATURE}, {"functionCall": {"name": "look", "args": {"q": "c"}}}]
        return [{"text": "one"}, {"text": " two"}, {"text": " three"}]

    def object(self, parts, finish=None):
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **({"finishReason": finish} if finish else {})}
        return {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3, "thoughtsTokenCount": 2, "totalTokenCount": 14},
                "modelVersion": "gemini-3.5-flash", "responseId": "resp1"}

    def trusted(self, r):
        return r["fields"].get("x-goog-api-key") == self.key and "authorization" not in r["fields"]

    def answer(self, r):
        if not self.trusted(r):
            return gemini_error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")
        if self.mode == "busy":
            return gemini_error(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")
        if self.mode == "limited":
            return gemini_error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details.")
        if self.mode == "long":
            return gemini_error(400, "INVALID_ARGUMENT", "The input token count (1048999) exceeds the maximum number of tokens allowed (1048576).")
        if self.mode == "unsigned" and SIGNATURE in r["body"].decode():
            return gemini_error(400, "INVALID_ARGUMENT", "Corrupted thought signature.")
        if self.mode == "blocked":
            body = json.dumps({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 9}, "modelVersion": "g", "responseId": "r"})
            return (200, dict(JSON), body.encode()) if ":generateContent" in r["target"] else (200, {"Content-Type": "text/event-stream"}, f"data: {body}\r\n\r\n".encode())
        if r["target"] == self.base + ":generateContent":
            return 200, dict(JSON), json.dumps(self.object(self.parts(r), "STOP"), indent=2).encode()
        if r["target"] != self.base + ":streamGenerateContent?alt=sse":
            return gemini_error(404, "NOT_FOUND", f"models/{r['target']} is not found for API version v1beta")
        parts = self.parts(r)
        events = [f"data: {json.dumps(self.object([p], 'STOP' if p is parts[-1] else None))}\r\n\r\n".encode() for p in parts]
        more, first = {}, sum(map(len, events[:2]))
        if self.mode == "cut":
            more, events = {"cut": True, "first": first}, events[:2] + [events[2][:30]]
        if self.mode == "told":
            more, events = {"first": first}, events[:2] + [b'data: {"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}\r\n\r\n']
        if self.mode == "malformed":
            more, events = {"first": first}, events[:2] + [f"data: {json.dumps(self.object([], 'MALFORMED_FUNCTION_CALL'))}\r\n\r\n".encode()]
        return 200, {"Content-Type": "text/event-stream", **more}, b"".join(events)


class GeminiThere(Vertex):
    """The same on Vertex, behind its token endpoint."""

    def settings(self, folder, kind="gemini", **more):
        return dict(super().settings(folder), kind=kind, region="global")

    def answer(self, r):
        if r["target"] == "/token" or "/publishers/anthropic/" in r["target"]:
            return super().answer(r)
        there = Gemini("/v1beta1/projects/pro-ject/locations/global/publishers/google/models/gemini-3.5-flash")
        there.trusted = lambda r: self.tokens and r["fields"].get("authorization") == "Bearer " + self.tokens[-1]
        return there.answer(r)


class Azure(Upstream):
    key = "azure-key-canary-0123456789"
    env = {"KEY": key}

    def __init__(self, target):
        super().__init__()
        self.target, self.mode, self.bearer = target, "good", False

    def settings(self, url_path="", **more):
        return dict({"kind": "azure-openai", "url": self.url + url_path, "key": "env:KEY"}, **more)

    def trusted(self, f):
        return f.get("authorization") == "Bearer " + self.key if self.bearer else f.get("api-key") == self.key and "authorization" not in f

    def answer(self, r):
        if not self.trusted(r["fields"]):
            return 401, JSON, b'{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint."}}'
        if r["target"] != self.target:
            return 404, JSON, b'{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}'
        if self.mode == "filtered":
            return 400, JSON, json.dumps({"error": {"message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.", "type": None,
                                                    "param": "prompt", "code": "content_filter", "status": 400,
                                                    "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True, "severity": "high"}}}}}).encode()
        if self.mode == "limited":
            return 429, dict(JSON, **{"retry-after": "7"}), b'{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation have exceeded the token rate limit."}}'
        head = {"id": "chatcmpl-1", "created": 1, "model": "gpt-5.1"}
        if not json.loads(r["body"]).get("stream"):
            return 200, JSON, json.dumps(dict(head, object="chat.completion", prompt_filter_results=[{"prompt_index": 0}], usage={"prompt_tokens": 9, "completion_tokens": 3},
                                              choices=[{"index": 0, "finish_reason": "stop", "content_filter_results": {}, "message": {"role": "assistant", "content": "one two three"}}])).encode()
        deltas = [{"role": "assistant", "content": ""}, {"content": "one"}, {"content": " two"}, {"content": " three"}]
        chunks = [{"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [{"prompt_index": 0}]}]
        chunks += [dict(head, object="chat.completion.chunk", choices=[{"index": 0, "delta": d, "finish_reason": None, "content_filter_results": {}}]) for d in deltas]
        end = "content_filter" if self.mode == "filtered_output" else "stop"
        chunks += [dict(head, object="chat.completion.chunk", choices=[{"index": 0, "delta": {}, "finish_reason": end}])]
        events = [f"data: {json.dumps(c)}\n\n".encode() for c in chunks] + [b"data: [DONE]\n\n"]
        first = sum(map(len, events[:4]))
        if self.mode == "cut":
            return 200, {"Content-Type": "text/event-stream", "cut": True, "first": first}, b"".join(events[:4]) + events[4][:20]
        return 200, {"Content-Type": "text/event-stream"}, b"".join(events)
