#!/usr/bin/env python3
"""A small engine with faults on purpose, for test_engines.py: loads as long as it is told, answers chat requests, and
ends, hangs or starves as it is told. What it saw of the world (environment, arguments, processes) goes to a file.

    fake_engine.py --port P [--load S] [--crash-once FILE] [--crash] [--oom] [--hang FILE] [--seen FILE] [--stubborn]
"""
import argparse
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time

p = argparse.ArgumentParser()
p.add_argument("--port", type=int, required=True)
p.add_argument("--load", type=float, default=0)
p.add_argument("--crash", action="store_true", help="end at once with a word of its own")
p.add_argument("--crash-once", help="end at once unless this file is there, and make it")
p.add_argument("--oom", action="store_true", help="take memory until there is none")
p.add_argument("--hang", help="no longer answer health checks once this file is there")
p.add_argument("--seen")
p.add_argument("--stubborn", action="store_true", help="ignore SIGTERM")
p.add_argument("--say", default="")
a = p.parse_args()

READY_AT = time.monotonic() + a.load


class Door(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, kind, body):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        while a.hang and os.path.exists(a.hang):
            time.sleep(0.05)
        self.reply(200 if time.monotonic() >= READY_AT else 503, "application/json", b"{}")

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.endswith("/embeddings"):
            vector = {"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}
            return self.reply(200, "application/json", json.dumps({"object": "list", "data": [vector], "model": "fake"}).encode())
        words = ["fake ", "engine ", "answers"]
        if not asked.get("stream"):
            message = {"role": "assistant", "content": "".join(words)}
            return self.reply(200, "application/json", json.dumps(
                {"id": "c1", "object": "chat.completion", "created": 1, "model": "fake",
                 "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode())
        chunks = [{"role": "assistant", "content": w} for w in words]
        body = "".join("data: " + json.dumps(
            {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "fake",
             "choices": [{"index": 0, "delta": d, "finish_reason": None}]}) + "\n\n" for d in chunks)
        body += "data: " + json.dumps({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "fake",
                                       "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + "\n\ndata: [DONE]\n\n"
        self.reply(200, "text/event-stream", body.encode())


if a.say:
    print(a.say, flush=True)
if a.crash:
    sys.exit(3)
if a.crash_once and not os.path.exists(a.crash_once):
    open(a.crash_once, "w").close()
    sys.exit(3)
if a.stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if a.oom:
    kept = []
    while True:
        kept.append(bytearray(16 << 20))
if a.seen:  # two processes of its own: one in its group, one that has left it
    sleeper = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"]
    near, far = subprocess.Popen(sleeper), subprocess.Popen(sleeper, start_new_session=True)
    with open(a.seen + ".new", "w") as f:
        json.dump({"env": dict(os.environ), "argv": sys.argv, "pids": [os.getpid(), near.pid, far.pid], "group": os.getpgid(0)}, f)
    os.rename(a.seen + ".new", a.seen)
http.server.ThreadingHTTPServer.request_queue_size = 32
http.server.ThreadingHTTPServer(("127.0.0.1", a.port), Door).serve_forever()
