"""Requests and answers of both dialects, as the wire tests need them. Standard library and tests/harness.py only."""
import json
import os
import socket
import sys
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import sse_events  # noqa: E402


def messages(text="hello", stream=False, **more):
    return dict({"model": "claude-sonnet-4-5", "max_tokens": 200, "stream": stream,
                 "messages": [{"role": "user", "content": text}]}, **more)


def chat(text="hello", stream=False, **more):
    return dict({"model": "gpt-5.6-terra", "stream": stream, "messages": [{"role": "user", "content": text}]}, **more)


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
