"""Requests and answers of both dialects, as the wire tests need them. Standard library and tests/harness.py only."""
import contextlib
import json
import os
import re
import socket
import socketserver
import sys
import threading
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import sse_events  # noqa: E402


def messages(text="hello", stream=False, **more):
    return dict({"model": "claude-sonnet-4-5", "max_tokens": 200, "stream": stream,
                 "messages": [{"role": "user", "content": text}]}, **more)


def chat(text="hello", stream=False, **more):
    return dict({"model": "gpt-5.6-terra", "stream": stream, "messages": [{"role": "user", "content": text}]}, **more)


def responses(said="hello", stream=False, **more):
    return dict({"model": "gpt-5.6-terra", "stream": stream, "input": [{"role": "user", "content": said}]}, **more)


def messages_text(reply):
    """Text of a Messages answer, whole or streamed, and whether it was complete."""
    if reply.headers.get("content-type", "").startswith("application/json"):
        return "".join(b.get("text", "") for b in reply.json.get("content", [])), reply.json.get("type") == "message"
    text, done = "", False
    for name, data in sse_events(reply.text):
        if name == "content_block_delta":
            text += json.loads(data)["delta"].get("text", "")
        done = done or name == "message_stop"
    return text, done


def chat_text(reply):
    if reply.headers.get("content-type", "").startswith("application/json"):
        return reply.json["choices"][0]["message"]["content"] or "", True
    text, done = "", False
    for _, data in sse_events(reply.text):
        if data == "[DONE]":
            done = True
            continue
        for choice in json.loads(data).get("choices", []):
            text += choice.get("delta", {}).get("content") or ""
    return text, done


def responses_events(text):
    """The events of a Responses stream; each must carry its own name and the next number."""
    events = []
    for name, data in sse_events(text):
        event = json.loads(data)
        assert (event["type"], event["sequence_number"]) == (name, len(events)), (name, data)
        events.append(event)
    return events


def responses_output(reply):
    """The items of a Responses answer, whole or streamed, and its status. A stream must have told each item twice."""
    if reply.headers.get("content-type", "").startswith("application/json"):
        return reply.json["output"], reply.json["status"]
    done = [e for e in responses_events(reply.text) if e["type"] in ("response.output_item.done", "response.completed", "response.incomplete")]
    items = [e["item"] for e in done if "item" in e]
    if not done or "response" not in done[-1]:
        return items, None
    assert done[-1]["response"]["output"] == items, reply.text[-2000:]
    return items, done[-1]["response"]["status"]


def responses_text(reply):
    items, status = responses_output(reply)
    text = "".join(p.get("text", "") for i in items if i["type"] == "message" for p in i["content"])
    if status and reply.headers.get("content-type", "").startswith("text/event-stream"):
        told = "".join(e["delta"] for e in responses_events(reply.text) if e["type"] == "response.output_text.delta")
        assert told == text, (told, text)
    return text, status == "completed"


DOORS = {"/v1/messages": (messages, messages_text), "/v1/chat/completions": (chat, chat_text)}


def raw(url, data, seconds=20):
    """Sends bytes as they are and reads until the peer closes."""
    parts = urllib.parse.urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=seconds) as sock:
        sock.sendall(data)
        got = b""
        while True:
            part = sock.recv(65536)
            if not part:
                return got
            got += part


class Raw(socketserver.ThreadingTCPServer):
    """An upstream that keeps what it was sent, byte for byte, and answers with given bytes, or with what a function
    of (head, body) gives."""
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, answer):
        self.answer, self.seen = answer, []
        super().__init__(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            got = b""
            while b"\r\n\r\n" not in got:
                piece = self.request.recv(65536)
                if not piece:
                    return
                got += piece
            head, _, body = got.partition(b"\r\n\r\n")
            m = re.search(rb"content-length: *(\d+)", head, re.I)
            while m and len(body) < int(m.group(1)):
                body += self.request.recv(65536)
            self.server.seen.append((head, body))
            answer = self.server.answer
            with contextlib.suppress(ConnectionError):  # the gateway may have gone
                self.request.sendall(answer(head, body) if callable(answer) else answer)


def http_answer(body, kind="application/json", more="", status=200):
    return f"HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
