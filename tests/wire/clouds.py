"""Loopback clouds for the wire tests: a Bedrock that checks signatures by itself and answers in AWS event
streams, and a Vertex with its token endpoint. Standard library only; no real cloud is involved.
"""
import base64
import hashlib
import hmac
import json
import os
import socketserver
import struct
import subprocess
import threading
import time
import urllib.parse
import zlib

ACCESS, SECRET, SESSION, REGION = "AKIDCANARY0123456789", "c4n4ry/secret+KEY0123456789abcdefghijkl", "session+canary/0123456789==", "eu-west-7"


# ---- AWS event streams ---------------------------------------------------------------------------------

def frame(headers, payload):
    coded = b"".join(bytes([len(k)]) + k.encode() + b"\x07" + struct.pack(">H", len(v)) + v.encode() for k, v in headers.items())
    prelude = struct.pack(">II", 16 + len(coded) + len(payload), len(coded))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + coded + payload
    return body + struct.pack(">I", zlib.crc32(body))


def chunk(event):
    coded = base64.b64encode(json.dumps(event).encode()).decode()
    return frame({":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"},
                 json.dumps({"bytes": coded, "p": "abcdefghij"}).encode())


def exception(name, message):
    return frame({":exception-type": name, ":content-type": "application/json", ":message-type": "exception"},
                 json.dumps({"message": message}).encode())


def text_events(words, tool=None):
    """Claude's events for these words and then a tool call."""
    yield {"type": "message_start", "message": {"id": "msg_bdrk_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [],
                                                "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 1}}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for i, word in enumerate(words):
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word if i == 0 else " " + word}}
    yield {"type": "content_block_stop", "index": 0}
    if tool:
        yield {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "toolu_bdrk_1", "name": tool[0], "input": {}}}
        text = json.dumps(tool[1])
        for piece in (text[:5], text[5:]):
            yield {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": piece}}
        yield {"type": "content_block_stop", "index": 1}
    yield {"type": "message_delta", "delta": {"stop_reason": "tool_use" if tool else "end_turn", "stop_sequence": None}, "usage": {"output_tokens": len(words)}}
    yield {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 9, "outputTokenCount": len(words)}}


def converse_events(words, tool=None):
    """The same in Converse's events."""
    yield "messageStart", {"role": "assistant"}
    for i, word in enumerate(words):
        yield "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word if i == 0 else " " + word}}
    yield "contentBlockStop", {"contentBlockIndex": 0}
    if tool:
        yield "contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "tooluse_1", "name": tool[0]}}}
        text = json.dumps(tool[1])
        for piece in (text[:5], text[5:]):
            yield "contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": piece}}}
        yield "contentBlockStop", {"contentBlockIndex": 1}
    yield "messageStop", {"stopReason": "tool_use" if tool else "end_turn"}
    yield "metadata", {"usage": {"inputTokens": 9, "outputTokens": len(words), "totalTokens": 9 + len(words)}, "metrics": {"latencyMs": 5}}


def converse_frame(name, event):
    return frame({":event-type": name, ":content-type": "application/json", ":message-type": "event"}, json.dumps(dict(event, p="abcdef")).encode())


def converse_whole(words, tool=None):
    content = [{"text": " ".join(words)}] + ([{"toolUse": {"toolUseId": "tooluse_1", "name": tool[0], "input": tool[1]}}] if tool else [])
    return {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "tool_use" if tool else "end_turn",
            "usage": {"inputTokens": 9, "outputTokens": len(words), "totalTokens": 9 + len(words)}, "metrics": {"latencyMs": 5}}


def whole(words):
    return {"id": "msg_bdrk_2", "type": "message", "role": "assistant", "model": "claude-x", "content": [{"type": "text", "text": " ".join(words)}],
            "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": len(words)}}


# ---- a server ------------------------------------------------------------------------------------------

class Upstream(socketserver.ThreadingTCPServer):
    """Reads one request a connection and answers what `self.answer(request)` gives: (status, headers, body)."""
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        self.seen, self.go = [], threading.Event()
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self.url = "http://" + self.host
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            got = b""
            while b"\r\n\r\n" not in got:
                piece = self.request.recv(65536)
                if not piece:
                    return
                got += piece
            head, _, body = got.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            fields = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
            while len(body) < int(fields.get("content-length", 0)):
                body += self.request.recv(65536)
            r = {"method": lines[0].split()[0], "target": lines[0].split()[1], "fields": fields, "body": body}
            self.server.seen.append(r)
            status, more, answer = self.server.answer(r)
            cut = more.pop("cut", False)  # announces more than it sends
            first = more.pop("first", len(answer))  # so many bytes before the test says go
            more = {"Content-Length": str(len(answer) + (100 if cut else 0)), "Connection": "close", **more}
            self.request.sendall((f"HTTP/1.1 {status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in more.items()) + "\r\n").encode() + answer[:first])
            if first < len(answer) and self.server.go.wait(30):
                self.request.sendall(answer[first:])

    def last(self):
        return self.seen[-1]


def sign(r, secret=SECRET):
    """The Authorization field that Signature Version 4 asks for, from the request as it came."""
    f = r["fields"]
    given = dict(p.strip().split("=", 1) for p in f["authorization"].split(" ", 1)[1].split(","))
    scope = given["Credential"].split("/", 1)[1]
    day, region, service, end = scope.split("/")
    path, _, query = r["target"].partition("?")
    names = given["SignedHeaders"].split(";")
    canonical = "\n".join([r["method"], urllib.parse.quote(path, safe="/-_.~"), query, "".join(f"{n}:{f[n]}\n" for n in names), ";".join(names),
                           hashlib.sha256(r["body"]).hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", f["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in (day, region, service, end):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return f"AWS4-HMAC-SHA256 Credential={ACCESS}/{f['x-amz-date'][:8]}/{REGION}/bedrock/aws4_request, SignedHeaders={given['SignedHeaders']}, Signature={signature}"


class Bedrock(Upstream):
    """mode: what the next answers are like."""

    def __init__(self, words=("one", "two", "three"), tool=None):
        super().__init__()
        self.words, self.tool, self.mode, self.key = list(words), tool, "good", None

    def settings(self, **more):
        return dict({"kind": "bedrock", "url": self.url, "region": REGION, "access_key": "env:CLOUD_ACCESS", "secret_key": "env:CLOUD_SECRET",
                     "session_token": "env:CLOUD_SESSION"}, **more)

    env = {"CLOUD_ACCESS": ACCESS, "CLOUD_SECRET": SECRET, "CLOUD_SESSION": SESSION}

    def trusted(self, r):
        f = r["fields"]
        if self.key:
            return f.get("authorization") == "Bearer " + self.key and "x-amz-date" not in f
        signed = f["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        return {"host", "x-amz-date", "x-amz-security-token"} <= set(signed) and f["x-amz-security-token"] == SESSION and f["authorization"] == sign(r)

    def stream(self, converse):
        """The bytes, and how many of them hold the first two words."""
        frames = [converse_frame(*e) for e in converse_events(self.words, self.tool)] if converse else [chunk(e) for e in text_events(self.words, self.tool)]
        n = 3 if converse else 4
        first = sum(map(len, frames[:n]))
        if self.mode == "cut":
            return b"".join(frames[:n]) + frames[n][:20], first
        if self.mode == "crc":
            bad = bytearray(frames[n])
            bad[60] ^= 1
            return b"".join(frames[:n]) + bytes(bad) + b"".join(frames[n + 1:]), first
        if self.mode.endswith("Exception"):
            return b"".join(frames[:n]) + exception(self.mode, "as the test wants it"), first
        return b"".join(frames), None

    def answer(self, r):
        kind = {"Content-Type": "application/json"}
        if not self.trusted(r):
            return 403, dict(kind, **{"x-amzn-ErrorType": "InvalidSignatureException:http://internal.amazon.com/coral/com.amazon.coral.service/"}), \
                b'{"message":"The request signature we calculated does not match the signature you provided."}'
        if self.mode == "throttled":
            return 429, dict(kind, **{"x-amzn-ErrorType": "ThrottlingException"}), b'{"message":"Too many requests, please wait before trying again."}'
        if r["target"].endswith("/invoke"):
            return 200, kind, json.dumps(whole(self.words)).encode()
        if r["target"].endswith("/converse"):
            return 200, kind, json.dumps(converse_whole(self.words, self.tool)).encode()
        body, first = self.stream(r["target"].endswith("/converse-stream"))
        more = {"first": first} if first else {}
        return 200, {"Content-Type": "application/vnd.amazon.eventstream", "cut": self.mode == "cut", **more}, body


# ---- Vertex --------------------------------------------------------------------------------------------

def unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Vertex(Upstream):
    """Claude on Vertex and, at /token, the endpoint that gives access tokens. token_mode and mode: what the next answers are like."""

    def __init__(self, words=("one", "two", "three")):
        super().__init__()
        self.words, self.mode, self.token_mode, self.tokens, self.complaints = list(words), "good", "good", [], []
        self.private = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, text=True, check=True).stdout
        modulus = subprocess.run(["openssl", "rsa", "-modulus", "-noout"], input=self.private, capture_output=True, text=True, check=True).stdout
        self.modulus = int(modulus.strip().split("=")[1], 16)

    def account(self, **more):
        return json.dumps({"type": "service_account", "project_id": "pro-ject", "private_key_id": "kid1", "private_key": self.private,
                           "client_email": "robot@pro-ject.example", "token_uri": self.url + "/token", **more}, indent=2)

    def settings(self, folder, **more):
        path = f"{folder}/account.json"
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="ascii") as f:
            f.write(self.account())
        return dict({"kind": "vertex", "url": self.url, "region": "us-east5", "service_account": f"file:{path}"}, **more)

    def check(self, assertion):
        """RS256 by hand: the signature opened with the public key is PKCS #1's padding of the digest."""
        head, claims, signature = assertion.split(".")
        opened = pow(int.from_bytes(unpadded(signature), "big"), 65537, self.modulus).to_bytes(256, "big")
        digest = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(f"{head}.{claims}".encode()).digest()
        if opened != b"\0\1" + b"\xff" * (253 - len(digest)) + b"\0" + digest:
            self.complaints.append("the signature is wrong")
        if json.loads(unpadded(head)) != {"alg": "RS256", "typ": "JWT", "kid": "kid1"}:
            self.complaints.append(f"header {unpadded(head)}")
        c = json.loads(unpadded(claims))
        if (c["iss"], c["aud"], c["scope"]) != ("robot@pro-ject.example", self.url + "/token", "https://www.googleapis.com/auth/cloud-platform"):
            self.complaints.append(f"claims {c}")
        if abs(c["iat"] - time.time()) > 120 or c["exp"] - c["iat"] != 3600:
            self.complaints.append(f"times {c}")

    def give_token(self, r):
        form = urllib.parse.parse_qs(r["body"].decode())
        if form["grant_type"] != ["urn:ietf:params:oauth:grant-type:jwt-bearer"]:
            self.complaints.append(f"form {form}")
        self.check(form["assertion"][0])
        kind = {"Content-Type": "application/json"}
        if self.token_mode == "refused":
            return 400, kind, b'{"error":"invalid_grant","error_description":"Invalid JWT Signature."}'
        if self.token_mode == "down":
            return 503, kind, b"{}"
        self.tokens.append(f"ya29.canary-{len(self.tokens)}-" + os.urandom(12).hex())
        return 200, kind, json.dumps({"access_token": self.tokens[-1], "expires_in": 3599, "token_type": "Bearer"}).encode()

    def answer(self, r):
        if r["target"] == "/token":
            return self.give_token(r)
        kind = {"Content-Type": "application/json"}
        if not self.tokens or r["fields"].get("authorization") != "Bearer " + self.tokens[-1] or self.mode == "revoked":
            self.mode = "good"
            return 401, kind, b'{"error":{"code":401,"message":"Request had invalid authentication credentials.","status":"UNAUTHENTICATED"}}'
        if r["target"].endswith(":rawPredict"):
            return 200, kind, json.dumps(whole(self.words)).encode()
        events = b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in text_events(self.words))
        return 200, {"Content-Type": "text/event-stream"}, events

    def asked(self):
        """Requests but those for tokens."""
        return [r for r in self.seen if r["target"] != "/token"]
