#!/usr/bin/env python3
"""Rough use of the gateway: every fault at every door, clients that leave or do not read, odd HTTP, reloads, drains and
signals under load, several workers, TLS on both sides. What is asked for every time: a complete answer or an honest
error in the caller's dialect, and nothing left behind."""
import concurrent.futures
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import BIN  # noqa: E402

WORDS = 12
SANITIZED = b"__asan_init" in open(BIN, "rb").read()


def ask_body(door, model="m", stream=False, **more):
    if door == "completions":
        return dict({"model": model, "stream": stream, "prompt": "Count.", "max_tokens": 100}, **more)
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Count."}]}
    return {**body, **({"max_tokens": 100} if door == "messages" else {}), **more}


PATHS = {"messages": "/v1/messages", "chat": "/v1/chat/completions", "completions": "/v1/completions"}


def head_of(door, length, more=""):
    return f"POST {PATHS[door]} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}Content-Length: {length}\r\n\r\n".encode()


def wire(door="messages", more="", **ask):
    body = json.dumps(ask_body(door, **ask)).encode()
    return head_of(door, len(body), more) + body


def dial(url, seconds=20, rcvbuf=None):
    parts = urllib.parse.urlsplit(url)
    c = socket.socket()
    if rcvbuf:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    c.settimeout(seconds)
    c.connect((parts.hostname, parts.port))
    return c


def read_all(c):
    got = b""
    while True:
        part = c.recv(1 << 16)
        if not part:
            return got
        got += part


class Judged:
    """One answer: complete, an honest error, or a lie."""

    def __init__(self, reply, door, stream):
        self.status, self.text, self.done, self.error = reply.status, "", False, None
        if not (stream and reply.status == 200):
            self.whole(reply.json, door)
            return
        for name, data in sse_events(reply.text):
            expect_true(self.error is None, f"something follows the error event: {reply.text[-400:]}")
            if data == "[DONE]":
                self.done = True
                continue
            value = json.loads(data)
            if "error" in value:
                expect_true(value["error"].get("message"), f"an error without a message: {data}")
                expect(name == "error" and value.get("type") == "error", door == "messages", f"the error event's dialect: {name} {data}")
                self.error = value["error"]
            elif door == "messages":
                expect(value.get("type"), name, "the event's name")
                self.text += value["delta"].get("text", "") if name == "content_block_delta" else ""
                self.done = self.done or name == "message_stop"
            else:
                for choice in value.get("choices", []):
                    self.text += (choice.get("text") if door == "completions" else choice["delta"].get("content")) or ""

    def whole(self, value, door):
        if "error" in value:
            self.error = value["error"]
            expect_true(self.error.get("message") and self.error.get("type"), f"an error without words: {value}")
            expect(value.get("type") == "error", door == "messages", f"the error's dialect: {value}")
            return
        self.done = True
        if door == "messages":
            self.text = "".join(b["text"] for b in value["content"])
        else:
            self.text = value["choices"][0]["text"] if door == "completions" else value["choices"][0]["message"]["content"]

    def honest(self, wanted):
        expect(self.done, self.error is None, f"either an end or an error (status {self.status}, {self.text!r}, {self.error})")
        expect(self.status == 200 or self.error is not None, True, "an error status carries an error")
        expect_true(self.status not in (401, 403), f"status {self.status}: our key is not the client's concern")
        expect_true(self.text == wanted if self.done else wanted.startswith(self.text.rstrip()), f"text {self.text!r}")
        return self.done


def ask(url, door, stream=False, seconds=30, **more):
    return post_json(url + PATHS[door], ask_body(door, stream=stream, **more), seconds=seconds)


def fds(process):
    """Open descriptors, but for connections kept to the stand-ins: those the gateway has dialled are not on its own ports."""
    own, dialled = {urllib.parse.urlsplit(u).port for u in (process.url, process.admin)}, set()
    with open("/proc/net/tcp", encoding="ascii") as f:
        for fields in (line.split() for line in f.readlines()[1:]):
            if int(fields[1].split(":")[1], 16) not in own and int(fields[2].split(":")[1], 16):
                dialled.add(f"socket:[{fields[9]}]")
    count, folder = 0, f"/proc/{process.p.pid}/fd"
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(f"{folder}/{name}") not in dialled
    return count


def rss_mib(process):
    with open(f"/proc/{process.p.pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024


def cpu_seconds(process):
    with open(f"/proc/{process.p.pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until(what, condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        expect_true(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(0.02)


def settled(s, standins, before, what):
    """No exchange is left at the stand-ins, and no descriptor in the gateway but those of kept connections upstream."""
    wait_until(f"{what}: nothing in flight upstream", lambda: all(x.stats()["in_flight"] == 0 for x in standins))
    wait_until(f"{what}: descriptors back to {before}", lambda: fds(s) <= before + 1)
    expect(Judged(ask(s.url, "messages"), "messages", False).honest(words_of(standins[0])), True, f"{what}: a request afterwards")


def words_of(standin):
    return words(standin.words)


def lead(name, count=WORDS, **more):
    s = Standin(name, words=count, **more)
    s.words = count
    return s


# ---- every fault -----------------------------------------------------------------------------------------

EARLY = ["reset", "silent", "headers-only", "pings-only", "401", "402", "403", "404", "408", "409", "429", "429,retry-after=1", "500", "502", "503",
         "503,retry-after=30", "504", "529", "org-disabled", "credit", "spend-limit", "html", "html-503", "error-first", "error-after-start",
         "cut@0", "cut@1", "cut-bytes@40", "rst@0", "rst@1", "stall@1", "garbage@0"]
LATE = ["400", "413", "error@1", "error@4", "cut@4", "cut@7", "cut-bytes@1100", "rst@5", "stall@6", "garbage@6"]
CASES = [(door, stream, speaks, count) for door in PATHS for stream in (False, True) for speaks in ("a", "o") for count in (1, 3)]


def one_case(s, fault, row, case):
    door, stream, speaks, count = case
    where = f"{fault}, {door}, {'stream' if stream else 'whole'}, lead speaks {speaks}, {count} targets"
    try:
        started = time.monotonic()
        reply = ask(s.url, door, stream, model=f"{speaks}{count}-{row}")
        took = time.monotonic() - started
        done = Judged(reply, door, stream).honest(words(WORDS))
        expect_true(took < 5.5, f"it took {took:.1f} s with a total of 4.5 s")
        if count == 3 and fault in EARLY:
            expect(done, True, "answered by the third target")
    except Exception as e:
        return f"{where}: {type(e).__name__} {e}"
    return None


def every_fault():
    faults = EARLY + LATE
    routes = []
    for i, _ in enumerate(faults):
        for speaks, other in (("a", "o"), ("o", "a")):
            routes.append((f"{speaks}1-{i}", [f"{speaks}/f{i}"]))
            routes.append((f"{speaks}3-{i}", [f"{speaks}/f{i}", f"{other}/f{i}", f"{'so' if i % 2 else 'sa'}/x"]))
    with lead("bad") as bad, lead("spare") as spare:
        targets = {"a": bad.speaks("anthropic"), "o": bad.speaks("openai"), "sa": spare.speaks("anthropic"), "so": spare.speaks("openai")}
        with Serve(targets, routes=routes, deadlines={"first_token": "600ms", "stall": "600ms", "total": "4500ms"}, more="breaker: { failures: 1000, ratio_min: 100000 }\n") as s:
            wrong = []
            with concurrent.futures.ThreadPoolExecutor(len(CASES)) as pool:
                for row, fault in enumerate(faults):
                    expect(bad.faults(fault).status, 200, f"setting the fault {fault}")
                    wrong += [w for w in pool.map(lambda c: one_case(s, fault, row, c), CASES) if w]
            expect(len(wrong), 0, "cases gone wrong, the first of them:\n" + "\n".join(wrong[:25]) + "\n")


# ---- clients that leave, or do not read ------------------------------------------------------------------

def storm(s, count, work):
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        for done in [pool.submit(work, s, i) for i in range(count)]:
            done.result()


def leave(c, i):
    if i % 2:  # a reset instead of an orderly end
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    c.close()


def leaves_in_the_body(s, i):
    c = dial(s.url)
    message = wire()
    c.sendall(message[:len(message) - 1 - i % 60])
    leave(c, i)


def leaves_while_waiting(s, i):
    c = dial(s.url)
    c.sendall(wire("chat" if i % 3 else "messages", stream=i % 4 < 2, model="slow"))
    time.sleep(0.001 * (i % 30))
    leave(c, i)


def leaves_in_the_stream(s, i):
    c = dial(s.url)
    c.sendall(wire("chat" if i % 3 else "messages", stream=True, model="long"))
    expect_true(c.recv(200).startswith(b"HTTP/1.1 200"), "the stream began")
    leave(c, i)


def leaves_between_pipelined(s, i):
    c = dial(s.url)
    c.sendall(wire() + wire("chat", model="long", stream=True) + wire()[:100])
    if i % 4:
        c.recv(50)
    leave(c, i)


def client_storms():
    with lead("one") as one, lead("slow", fault="slow-first=20s") as slow, lead("long", 2000, rate=50) as long:
        targets = {"one": one.speaks("anthropic"), "slow": slow.speaks("openai"), "long": long.speaks("openai")}
        with Serve(targets, routes=[("slow", ["slow/x", "long/x", "one"]), ("long", ["long/x", "one"]), ("*", ["one"])]) as s:
            ask(s.url, "messages")
            before = fds(s)
            for work in (leaves_in_the_body, leaves_while_waiting, leaves_in_the_stream, leaves_between_pipelined):
                storm(s, 200, work)
                settled(s, [one, slow, long], before, work.__name__)
            gone = sum(v for k, v in s.metrics().items() if k.startswith("hotspare_requests_total") and "client_gone" in k)
            expect_true(gone >= 300, f"client_gone counted {gone} times")
            states = {k: v for k, v in s.metrics().items() if k.startswith("hotspare_target_state") and 'state="closed"' in k}
            expect_true(states and all(v == 1 for v in states.values()), f"a client that leaves opens no breaker: {states}")


def slow_readers():
    """A big stream read slowly: memory is bounded, the upstream waits, and every word arrives in the end."""
    count = 150000
    with lead("one", count) as one, Serve({"one": one.speaks("anthropic")}, chain=["one"]) as s:
        ask(s.url, "messages", max_tokens=3)
        base = rss_mib(s)
        clients = [dial(s.url, rcvbuf=65536) for _ in range(3)]
        for i, c in enumerate(clients):
            c.sendall(wire("chat" if i % 2 else "messages", stream=True, max_tokens=count))
        time.sleep(1.5)
        expect(one.stats()["in_flight"], 3, "streams that wait upstream")
        expect_true(rss_mib(s) - base < (60 if SANITIZED else 20), f"memory went from {base:.0f} to {rss_mib(s):.0f} MiB")
        spent = cpu_seconds(s)
        time.sleep(0.5)
        expect_true(cpu_seconds(s) - spent < 0.2, "waiting costs no time")
        for i, c in enumerate(clients):
            got = b""
            while not got.endswith(b"0\r\n\r\n"):
                part = c.recv(1 << 20)
                expect_true(part, f"client {i} was cut after {len(got)} bytes")
                got += part
            expect_true(f'w{count}"'.encode() in got.replace(b" w", b"w") and b"error" not in got[-300:], f"the last word is missing: {got[-300:]}")
            c.close()


def slow_reader_then_a_stall():
    """A client that reads again after a long rest: the target is not blamed for the rest, but is for what comes after."""
    count = 100000
    with lead("one", count, fault=[f"stall@{count - 100},times=1", "529"]) as one:
        with Serve({"one": one.speaks("anthropic")}, chain=["one"], deadlines={"stall": "1s", "first_token": "1s", "total": "60s"}) as s:
            c = dial(s.url, seconds=8, rcvbuf=65536)
            c.sendall(wire(stream=True, max_tokens=count))
            time.sleep(2.5)  # longer than the stall deadline
            started, got = time.monotonic(), b""
            while b"event: error" not in got:
                part = c.recv(1 << 20)
                expect_true(part, "it ended without an error event")
                got += part
            expect_true(f"w{count - 200}".encode() in got, "it was let go on after the rest")
            expect_true(time.monotonic() - started < 6, "the stall after the rest is noticed")
            c.close()


def slow_reader_past_the_total():
    """deadlines.total passes while a client does not read: no spinning, and no clean end."""
    with lead("one", 60000) as one, Serve({"one": one.speaks("anthropic")}, chain=["one"], deadlines={"stall": "1s", "first_token": "1s", "total": "1500ms", "connect": "1s"}) as s:
        c = dial(s.url, rcvbuf=65536)
        c.sendall(wire(stream=True, max_tokens=60000))
        time.sleep(2)
        spent = cpu_seconds(s)
        time.sleep(1)
        expect_true(cpu_seconds(s) - spent < 0.3, f"it spun: {cpu_seconds(s) - spent:.2f} s of processor time in 1 s")
        got = b""
        while not got.endswith(b"0\r\n\r\n"):
            part = c.recv(1 << 20)
            if not part:
                break
            got += part
        expect_true(b"message_stop" not in got and b"event: error" in got, f"an error event ends it: {got[-200:]}")
        c.close()


# ---- HTTP ------------------------------------------------------------------------------------------------

def http_in_its_variety():
    with lead("one") as one, Serve({"one": one.speaks("anthropic"), "two": one.speaks("openai")}, routes=[("o", ["two/x"]), ("*", ["one"])]) as s:
        with dial(s.url) as c:  # pipelined, in order
            asked = ["messages", "chat", "completions"] * 5
            c.sendall(b"".join(wire(door, stream=i % 2 == 1) for i, door in enumerate(asked)) + b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            got = read_all(c).decode()
            kinds = re.findall(r'"type":"message"|event: message_start|"object":"(?:chat\.completion|text_completion)(?:\.chunk)?"|"hotspare"', got)
            order = []
            for k in kinds:
                kind = "messages" if "message" in k else "chat" if "chat" in k else "completions" if "text" in k else "root"
                if not order or order[-1] != kind:
                    order.append(kind)
            expect(order, asked + ["root"], "order of the answers")
        with dial(s.url) as c:
            c.sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD /v1/messages HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            got = read_all(c)
            expect(re.findall(rb"HTTP/1.1 (\d+)", got), [b"200", b"405", b"404"], "HEAD")
            expect_true(b"{" not in got, "HEAD has no body")
        with dial(s.url) as c:
            message = wire(more="Expect: 100-continue\r\nConnection: close\r\n")
            cut = message.index(b"\r\n\r\n") + 4
            c.sendall(message[:cut])
            expect(c.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n", "before the body")
            c.sendall(message[cut:])
            expect_true(read_all(c).startswith(b"HTTP/1.1 200"), "after the body")
        with dial(s.url) as c:
            body = json.dumps(ask_body("chat")).encode()
            chunks = b"".join(b"%x;x=y\r\n%c\r\n" % (1, b) for b in body) + b"0\r\nTrailer: x\r\n\r\n"
            c.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
            expect_true(words(WORDS).encode() in read_all(c), "a body in chunks of one byte")


def limits():
    deep = b'{"model":"m","max_tokens":9,"messages":' + b"[" * 140 + b"]" * 140 + b"}"
    ok = '{"model":"m","max_tokens":99,"messages":[{"role":"user","content":"%s"}]%s}'
    with lead("one") as one, Serve({"one": one.speaks("anthropic"), "two": one.speaks("openai")}, routes=[("o*", ["two/x"]), ("*", ["one"])]) as s:
        def told(data, status, words_=()):
            with dial(s.url) as c:
                c.sendall(data)
                got = read_all(c)
            expect_true(got.startswith(b"HTTP/1.1 %d " % status) and b'"error"' in got, f"wanted {status}: {got[:200]} for {data[:120]}")

        def body(raw_body, door="messages"):
            return request("POST", s.url + PATHS[door], raw_body)

        told(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414)
        told(b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(101)) + b"\r\n", 431)
        told(b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 17000 + b"\r\n\r\n", 431)
        told(b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"y" * 8000) for i in range(9)) + b"\r\n", 431)
        reply = body(deep)
        expect_true(reply.status in (400, 413) and reply.json["type"] == "error", f"depth: {reply.status} {reply.text[:200]}")
        expect(body((ok % ("\xff", "")).encode("latin-1")).status, 400, "invalid UTF-8")
        expect(body((ok % ("x", ',"model":"z"')).encode()).status, 400, "a key twice")
        for bad in (b"", b"{", b"null", b'"x"', b"{}x", b"\xef\xbb\xbf{}"):
            reply = body(bad)
            expect((reply.status // 100, reply.json["type"]), (4, "error"), f"body {bad}")
        for model, door in (("m", "messages"), ("o1", "messages"), ("o1", "chat"), ("m", "chat")):
            raw_body = (ok % (r"a \ud800 b \udc00\ud83d c \ud83d\ude00 \u0000", "")).replace('"m"', f'"{model}"').encode()
            reply = body(raw_body, door)
            expect(reply.status, 200, f"lone surrogates, {model} at {door}: {reply.text[:200]}")
            last = request("GET", one.url + "/_standin/last").body
            expect_true(rb"a \ud800 b \udc00\ud83d c \ud83d\ude00 \u0000" in last, f"they went out as they came, {model} at {door}: {last}")


def big_bodies():
    """More bodies than may be held: some get 503 at once, none is lost otherwise, and it recovers."""
    body = json.dumps(ask_body("messages", messages=[{"role": "user", "content": "x" * (31 << 20)}])).encode()
    with lead("one") as one, Serve({"one": one.speaks("anthropic")}, chain=["one"], more="workers: 1\nbody_memory: 100MiB\n") as s:
        def send(_):
            try:
                return request("POST", s.url + "/v1/messages", body, seconds=60).status
            except (ConnectionError, OSError) as e:
                return type(e).__name__
        one.faults("slow-first=1500ms")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            got = list(pool.map(send, range(8)))
        ok, refused = got.count(200), got.count(503) + sum(isinstance(g, str) for g in got)
        expect_true(ok >= 3 and ok + refused == 8 and refused >= 1, f"answers {got}")
        one.faults("none")
        expect(send(0), 200, "afterwards")
        expect_true(rss_mib(s) < 400 + 400 * SANITIZED, f"memory {rss_mib(s):.0f} MiB")


def many_workers_big_body():
    """The share of one of many workers still holds one body of the largest size."""
    body = json.dumps(ask_body("messages", messages=[{"role": "user", "content": "x" * (20 << 20)}])).encode()
    with lead("one") as one, Serve({"one": one.speaks("anthropic")}, chain=["one"], more="workers: 32\n") as s:
        expect(request("POST", s.url + "/v1/messages", body, seconds=60).status, 200, "20 MiB with 32 workers")


# ---- signals ---------------------------------------------------------------------------------------------

def write(path, text):
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(path + ".new", path)


class Load:
    """Clients that ask on and on; any answer that is not complete is a failure."""

    def __init__(self, url, clients=6, expected=WORDS):
        self.url, self.failed, self.count, self.over, self.expected = url, [], 0, False, expected
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(clients)]

    def run(self, i):
        door, stream = list(PATHS)[i % 3], i % 2 == 0
        while not self.over:
            try:
                done = Judged(ask(self.url, door, stream), door, stream).honest(words(self.expected))
                self.failed += [] if done else ["an error"]
            except Exception as e:
                self.failed.append(f"{door}: {type(e).__name__} {e}")
            self.count += 1

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.over = True
        for t in self.threads:
            t.join()


def reloads_under_load():
    with lead("one", rate=100) as one, lead("two") as two:
        with Serve({"one": one.speaks("anthropic"), "two": two.speaks("openai")}, chain=["one", "two/x"], more="workers: 2\nlog_requests: false\n") as s:
            with open(s.config, encoding="utf-8") as f:
                good = f.read()
            other = good.replace('["one", "two/x"]', '["two/y", "one"]')
            texts = [good, good + "nonsense: 1\n", other, "targets: [\n", good.replace("kind", "kinds", 1), other + "breaker: { failures: 7 }\n", "", good]
            for _ in range(3):
                ask(s.url, "messages")
            before, threads = fds(s), len(os.listdir(f"/proc/{s.p.pid}/task"))
            with Load(s.url) as load:
                for i in range(100):
                    write(s.config, texts[i % len(texts)])
                    s.p.send_signal(signal.SIGHUP)
                    time.sleep(0.03)
                write(s.config, good)
                s.p.send_signal(signal.SIGHUP)
                time.sleep(0.3)
            expect(load.failed[:5], [], f"failed of {load.count} requests")
            expect_true(load.count > 20, f"{load.count} requests")
            wait_until("descriptors are back", lambda: fds(s) <= before + 1)
            expect(len(os.listdir(f"/proc/{s.p.pid}/task")), threads, "threads")
            expect_true("reload_refused" in s.said() and "reloaded" in s.said(), "both kinds were seen")


def second_sigterm():
    with lead("one", 3000, rate=30) as one:
        s = Serve({"one": one.speaks("anthropic"), "two": one.speaks("openai")}, routes=[("o", ["two/x"]), ("*", ["one"])])
        cut = []

        def stream(model):
            try:
                cut.append(ask(s.url, "messages", True, model=model, max_tokens=4000).text[-100:])
            except (http.client.IncompleteRead, ConnectionError) as e:
                cut.append(e)

        threads = [threading.Thread(target=stream, args=(m,)) for m in ("m", "o")]
        for t in threads:
            t.start()
        wait_until("both stream", lambda: one.stats()["in_flight"] == 2)
        time.sleep(0.3)
        s.p.send_signal(signal.SIGTERM)
        s.wait_for("draining")
        time.sleep(0.5)
        expect(s.p.poll(), None, "it waits for the streams")
        try:
            dial(s.url).close()
            raise AssertionError("it still takes connections")
        except ConnectionRefusedError:
            pass
        s.p.send_signal(signal.SIGTERM)
        expect(s.p.wait(10), 0, "exit code")
        for t in threads:
            t.join()
        expect([type(c).__name__ for c in cut if isinstance(c, str)], [], f"streams that seemed to end well ({cut})")
        expect_true(not SANITIZER_WORDS.search(s.said()), s.said()[-3000:])


def keep_alive_over_sigterm():
    """What was already on its way at SIGTERM is still answered."""
    with lead("one") as one:
        with Serve({"one": one.speaks("anthropic")}, chain=["one"]) as s:
            message = wire()
            with dial(s.url) as c:
                c.sendall(message[:-5])
                time.sleep(0.2)
                s.p.send_signal(signal.SIGTERM)
                s.wait_for("draining")
                c.sendall(message[-5:])
                got = read_all(c)
            expect_true(got.startswith(b"HTTP/1.1 200") and b"Connection: close" in got, f"{got[:300]}")


def access_log_rotates():
    folder = tempfile.mkdtemp(prefix="hotspare-log-")
    path = os.path.join(folder, "access.log")
    with lead("one") as one, Serve({"one": one.speaks("anthropic")}, chain=["one"], more=f"access_log: {path}\nworkers: 2\n") as s:
        count = 0

        def lines(name):
            with open(name, encoding="utf-8") as f:
                return [json.loads(line) for line in f]

        ask(s.url, "messages")
        count += 1
        wait_until("the first line", lambda: len(lines(path)) == 1)
        before = fds(s)
        for turn in range(20):
            os.rename(path, f"{path}.{turn}")
            s.p.send_signal(signal.SIGUSR1)
            wait_until("a new file", lambda: os.path.exists(path))
            for _ in range(2):
                expect(ask(s.url, "messages").status, 200)
                count += 1
        wait_until("every line is somewhere", lambda: sum(len(lines(os.path.join(folder, n))) for n in os.listdir(folder)) == count)
        wait_until("the newest file has the last line", lambda: len(lines(path)) >= 1)
        wait_until(f"descriptors are back to {before}, not {fds(s)}", lambda: fds(s) <= before + 4, 3)
    shutil.rmtree(folder)


def several_workers():
    with lead("bad", fault="529") as bad, lead("one") as one:
        with Serve({"bad": bad.speaks("anthropic"), "one": one.speaks("openai")}, chain=["bad", "one/x"], more="workers: 4\nbreaker: { failures: 5, open: 60s }\n") as s:
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                got = list(pool.map(lambda i: ask(s.url, list(PATHS)[i % 3]).status, range(120)))
            expect(got.count(200), 120, "answers")
            expect_true(bad.stats()["requests"] <= 5 + 8, f"the breaker is shared: the dead lead was asked {bad.stats()['requests']} times")
            counted, until = None, time.monotonic() + 10
            while counted != (120, 120) and time.monotonic() < until:  # an answer's last byte is with its client before it is counted
                m = s.metrics()
                counted = sum(v for k, v in m.items() if k.startswith("hotspare_requests_total")), m['hotspare_attempts_total{target="one",result="ok"}']
            expect(counted, (120, 120), "requests and attempts over all workers")
            tasks = f"/proc/{s.p.pid}/task"
            busy = 0
            for t in os.listdir(tasks):
                with open(f"{tasks}/{t}/status", encoding="ascii") as f:
                    busy += int(re.search(r"voluntary_ctxt_switches:\s+(\d+)", f.read()).group(1)) > 5
            expect_true(busy >= 3, f"{busy} threads have worked")


# ---- TLS -------------------------------------------------------------------------------------------------

def tls_serve(folder, one, cert, label):
    more = f"tls: {{ cert: {folder}/{cert}.pem, key: {folder}/{cert}.key }}\n"
    return Serve({"one": one.speaks("anthropic")}, chain=["one"], more=more, label=label)


def tls_get(url, ca):
    """(status, serial number of the certificate)"""
    context = ssl.create_default_context(cafile=ca)
    parts = urllib.parse.urlsplit(url)
    with context.wrap_socket(dial(url), server_hostname=parts.hostname) as c:
        c.sendall(wire(more="Connection: close\r\n"))
        return int(read_all(c)[9:12]), c.getpeercert()["serialNumber"]


def tls_both_ways():
    folder = tempfile.mkdtemp(prefix="hotspare-tls-")
    for ca in ("ca", "stranger"):
        make_ca(folder, ca)
    make_cert(folder, "ca", "good", "IP:127.0.0.1")
    make_cert(folder, "ca", "wrongname", "DNS:elsewhere.example")
    make_cert(folder, "ca", "expired", "IP:127.0.0.1", days="-1")
    ca = os.path.join(folder, "ca.pem")
    with lead("one") as one, lead("spare") as spare, tls_serve(folder, one, "good", "tls") as good, \
            tls_serve(folder, one, "wrongname", "tls-wrongname") as wrongname, tls_serve(folder, one, "expired", "tls-expired") as expired:
        status, serial = tls_get(good.url, ca)
        expect(status, 200, "over TLS")
        targets = {name: {"kind": "anthropic", "url": up.url, "ca": os.path.join(folder, f"{by}.pem"), "key": "env:UP"}
                   for name, up, by in (("good", good, "ca"), ("badca", good, "stranger"), ("wrongname", wrongname, "ca"), ("expired", expired, "ca"))}
        targets["spare"] = spare.speaks("openai")
        with Serve(targets, routes=[(n, [n, "spare/x"]) for n in targets if n != "spare"], env={"UP": "canary-upstream-key"}) as s:
            for name in ("good", "badca", "wrongname", "expired", "good"):
                for stream in (False, True):
                    reply = ask(s.url, "messages", stream, model=name)
                    expect(Judged(reply, "messages", stream).honest(words(WORDS)), True, name)
                    expect(reply.headers["x-hotspare-served-by"], name if name == "good" else "spare", f"who answers behind {name}")
                    if name != "good":
                        expect(reply.headers["x-hotspare-switched"], f"{name}>spare; unreachable", name)
            expect(wrongname.metrics().get('hotspare_requests_total{api="anthropic-messages",outcome="ok",served_by="one"}', 0), 0, "requests behind a wrong name")
            ask(s.url, "messages", model="good")
            before, base = fds(s), rss_mib(s)
            for i in range(30):
                s.p.send_signal(signal.SIGHUP)
                time.sleep(0.03)
                ask(s.url, "messages", model="good")
            expect_true(fds(s) <= before + 6, f"descriptors after 30 reloads with a TLS target: {fds(s)}, before {before}")
            if not SANITIZED:
                expect_true(rss_mib(s) - base < 12, f"memory after 30 reloads with TLS targets: {rss_mib(s):.1f} MiB, before {base:.1f}")
        make_cert(folder, "ca", "good", "IP:127.0.0.1")
        good.p.send_signal(signal.SIGHUP)
        good.wait_for("reloaded")
        wait_until("the new certificate is shown", lambda: tls_get(good.url, ca)[1] != serial, 5)
        with open(os.path.join(folder, "good.pem"), "w", encoding="ascii") as f:
            f.write("nonsense")
        good.p.send_signal(signal.SIGHUP)
        good.wait_for("reload_refused")
        expect(tls_get(good.url, ca)[0], 200, "a broken certificate is refused, the old one stays")
    shutil.rmtree(folder)


# ---- time and errors -------------------------------------------------------------------------------------

def total_deadline():
    with lead("x", fault="silent") as x:
        targets = {n: x.speaks("openai" if n == "b" else "anthropic") for n in "abc"}
        with Serve(targets, chain=["a", "b/x", "c"], deadlines={"connect": "1s", "first_token": "2s", "stall": "2s", "total": "2s"}) as s:
            def timed(case):
                started = time.monotonic()
                reply = ask(s.url, *case)
                Judged(reply, *case).honest("")
                return reply.status, time.monotonic() - started
            with concurrent.futures.ThreadPoolExecutor(6) as pool:
                for status, took in pool.map(timed, [(d, st) for d in PATHS for st in (False, True)]):
                    expect_true(status >= 500 and 1 < took < 3, f"{status} after {took:.2f} s")


def pings(out):
    """Runs beside the others: it takes 11 s."""
    try:
        with lead("slow", fault="slow-first=11s") as slow, lead("dead", fault="silent") as dead:
            targets = {"slow": slow.speaks("anthropic"), "o": slow.speaks("openai"), "dead": dead.speaks("openai")}
            with Serve(targets, routes=[("slow", ["slow", "dead/x"]), ("o", ["o/x", "dead/x"]), ("dead", ["dead/x", "dead/y"])],
                       deadlines={"first_token": "12s", "stall": "12s", "total": "14s"}) as s:
                def one(case):
                    door, model = case
                    with dial(s.url, seconds=25) as c:
                        c.sendall(wire(door, model=model, stream=True, more="Connection: close\r\n"))
                        started = time.monotonic()
                        first = c.recv(65536)
                        expect_true(9 < time.monotonic() - started < 11 and first.startswith(b"HTTP/1.1 200"), f"{case}: a ping after 10 s: {first[:300]}")
                        expect_true(b"ping" in first or b"\n:" in first, f"{case}: {first[:600]}")
                        got = (first + read_all(c)).decode()
                        if model == "dead":
                            expect_true('"error"' in got and "message_stop" not in got and "[DONE]" not in got, f"{case}: {got[-400:]}")
                        else:
                            expect_true(f"w{WORDS}" in got and '"error"' not in got, f"{case}: {got[-400:]}")
                        expect_true(got.endswith("0\r\n\r\n"), f"{case}: the last chunk")
                with concurrent.futures.ThreadPoolExecutor(9) as pool:
                    list(pool.map(one, [(d, m) for d in PATHS for m in ("slow", "o", "dead")]))
    except Exception:
        out.append(traceback.format_exc())


def error_mapping():
    with lead("bad") as bad:
        with Serve({"a": dict(bad.speaks("anthropic"), key="env:UP"), "o": dict(bad.speaks("openai"), key="env:UP")}, routes=[("a*", ["a"]), ("o*", ["o/x"])],
                   env={"UP": "canary-upstream-key"}, more="breaker: { failures: 1000 }\n") as s:
            for fault, statuses in (("401", range(500, 600)), ("403", range(500, 600)), ("402", range(500, 600)), ("400", [400]), ("404", [404]),
                                    ("429,retry-after=90", [429]), ("529", [529, 503]), ("503,retry-after=77", [503, 529])):
                bad.faults(fault)
                for door in PATHS:
                    for model in ("a", "o"):
                        for stream in (False, True):
                            reply = ask(s.url, door, stream, model=model)
                            where = f"{fault} from {model} at {door}, stream {stream}: {reply.status} {reply.headers} {reply.text[:200]}"
                            Judged(reply, door, stream)
                            expect_true(reply.status in statuses, where)
                            expect_true((door, model) in (("messages", "a"), ("messages", "o"), ("chat", "o")) or reply.status != 529, where)
                            if "retry-after" in fault:
                                expect_true(abs(int(reply.headers.get("retry-after", 0)) - int(fault[-2:])) <= 1, where)
                            if reply.status == 400 and (door, model) not in (("messages", "a"), ("chat", "o")):  # those go back as they came
                                expect(reply.headers.get("x-should-retry"), "false", where)
                            expect_true(reply.headers["x-hotspare-attempts"] and reply.headers["x-hotspare-request-id"].startswith("req_hs"), where)
                            expect_true("canary" not in reply.text + str(reply.headers), where)
            expect_true("canary" not in s.said(), "no key in the log")


def cancelled_attempts_are_not_ok():
    with lead("slow", fault="silent") as slow, Serve({"slow": slow.speaks("anthropic")}, chain=["slow"]) as s:
        with dial(s.url) as c:
            c.sendall(wire())
            wait_until("it is asked", lambda: slow.stats()["requests"] == 1)
        line = json.loads(s.wait_for(r'^\{.*"client_gone".*$').group(0))
        expect(line["served_by"], None, "served by")
        expect(line["attempts"][0]["result"], "cancelled", "result of an attempt whose client left")
        expect('hotspare_attempts_total{target="slow",result="ok"}' in s.metrics(), False, "counted as ok")


# ---- the command line ------------------------------------------------------------------------------------

def run(*argv, env=None, stdin=None):
    return subprocess.run([BIN, *argv], capture_output=True, text=True, timeout=20, input=stdin, env=clean_env(**(env or {})))


def command_line():
    for argv in (["--help"], ["-h"], ["help"], ["serve", "--help"], ["standin", "--help"], ["config", "--help"], ["config", "check", "--help"], ["init", "--help"], ["version"], ["--version"]):
        done = run(*argv)
        expect_true(done.returncode == 0 and done.stdout and not done.stderr, f"{argv}: {done.returncode}, {done.stdout[:100]!r}, {done.stderr[:300]!r}")
    for argv in (["serve", "--nope"], ["serve", "extra"], ["serve", "--config"], ["standin", "--nope"], ["standin", "--fault", "nope"], ["standin", "--words", "x"], ["config"],
                 ["config", "nope"], ["config", "check", "--nope"], ["init", "--nope"], ["nope"]):
        done = run(*argv)
        expect_true(done.returncode == 64 and done.stderr and not done.stdout, f"{argv}: {done.returncode}, {done.stdout[:100]!r}, {done.stderr[:300]!r}")
    schema = json.loads(run("config", "schema").stdout)
    expect_true("targets" in schema["properties"], "the schema")
    expect_true("first_token" in run("config", "explain", "deadlines").stdout, "explain")
    expect_true(run("config", "explain", "deadlnes").returncode != 0, "explain of what is not there")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "hotspare.yaml")
        made = run("init", env={"ANTHROPIC_API_KEY": "canary-a", "OPENAI_API_KEY": "canary-o"})
        expect_true(made.returncode == 0 and "canary" not in made.stdout + made.stderr, f"init: {made.stderr}")
        write(path, made.stdout)
        env = {"ANTHROPIC_API_KEY": "canary-a", "OPENAI_API_KEY": "canary-o"}
        done = run("config", "check", "--config", path, env=env)
        expect(done.returncode, 0, f"check of what init wrote: {done.stdout} {done.stderr} {made.stdout}")
        shown = run("config", "show", "--config", path, env=env)
        expect_true(shown.returncode == 0 and "canary" not in shown.stdout + shown.stderr and "claude" in shown.stdout, f"show: {shown.stdout} {shown.stderr}")
        write(path, made.stdout + "nonsense: 1\n")
        expect(run("config", "check", "--config", path, env=env).returncode, 78, "check of a bad file")
        expect(run("serve", "--config", path, env=env).returncode, 78, "serve of a bad file")
        expect(run("serve", "--config", os.path.join(folder, "none.yaml")).returncode, 78, "serve of no file")
    with lead("one") as one, lead("other") as other:
        port = other.url.rsplit(":", 1)[1]
        expect(run("standin", "--listen", f"127.0.0.1:{port}").returncode, 69, "a stand-in at a port in use")
        with Serve({"one": one.speaks("anthropic")}, chain=["one"]) as s:
            done = run("serve", "--config", s.config, "--admin", f"127.0.0.1:{port}")
            expect_true(done.returncode == 69 and port in done.stderr, f"a port in use: {done.returncode} {done.stderr}")


SANITIZER_WORDS = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|Assertion .* failed")
CLAIMS = [
    (command_line, "every_command_helps_and_refuses_bad_flags_with_64"),
    (http_in_its_variety, "pipelining_head_expect_and_chunks_work"),
    (limits, "limits_are_told_and_lone_surrogates_pass"),
    (error_mapping, "errors_keep_their_meaning_and_hide_our_key"),
    (cancelled_attempts_are_not_ok, "an_attempt_whose_client_left_is_not_counted_as_ok"),
    (total_deadline, "all_targets_silent_is_an_error_within_the_total"),
    (client_storms, "storms_of_clients_that_leave_leave_nothing_behind"),
    (slow_readers, "slow_readers_hold_the_upstream_and_bound_memory"),
    (slow_reader_then_a_stall, "a_rest_of_the_reader_is_no_stall_and_a_stall_after_it_is"),
    (slow_reader_past_the_total, "the_total_passing_over_a_slow_reader_spins_nothing"),
    (big_bodies, "bodies_past_the_memory_bound_get_503_and_it_recovers"),
    (many_workers_big_body, "one_of_many_workers_still_holds_a_large_body"),
    (reloads_under_load, "a_hundred_reloads_under_load_fail_no_request"),
    (second_sigterm, "a_second_sigterm_cuts_streams_visibly"),
    (keep_alive_over_sigterm, "a_request_under_way_at_sigterm_is_answered"),
    (access_log_rotates, "sigusr1_rotates_the_access_log_and_keeps_no_descriptor"),
    (several_workers, "several_workers_share_the_breaker_and_add_up"),
    (tls_both_ways, "tls_in_and_out_and_no_key_for_a_stranger"),
    (every_fault, "every_fault_at_every_door_is_answered_or_told_honestly"),
]
slow_one = []
beside = threading.Thread(target=pings, args=(slow_one,))
chosen = sys.argv[1:]
if not chosen or "pings" in chosen:
    beside.start()
for work, name in CLAIMS:
    if chosen and work.__name__ not in chosen:
        continue
    began = time.monotonic()
    with claim(name):
        work()
    note(f"{time.monotonic() - began:.1f} s")
if beside.ident:
    beside.join()
    result("a_waiting_stream_gets_pings_and_then_content_or_an_error", not slow_one, "".join(slow_one))
finish()
