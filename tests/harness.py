"""What the tests of the real binary share: processes of Hotspare, a configuration, and TAP.

    from harness import *
    with Standin("lead", fault="529") as lead, Standin("spare", words=20) as spare:
        with Serve({"lead": lead.speaks("anthropic"), "spare": spare.speaks("openai")}, chain=["lead", "spare/gpt-spare"]) as s:
            ...
    finish()

Standard library only. HOTSPARE_BIN names the binary (default build/hotspare). Everything a process says
is kept and shown when a test fails. Leaving a `with` sends SIGTERM and requires a clean end: exit code 0
and no word from a sanitizer.
"""
import contextlib
import glob
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.environ.get("HOTSPARE_BIN", os.path.join(ROOT, "build", "hotspare"))
START_SECONDS = 30
STOP_SECONDS = 30
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|ThreadSanitizer|Assertion .* failed")


# ---- TAP -----------------------------------------------------------------------------------------------

_results = {"count": 0, "failed": 0}
_alive = []  # processes of the running test, for its post-mortem


def note(text):
    for line in str(text).splitlines():
        print(f"# {line}", flush=True)


def result(claim, ok, why=""):
    """One TAP line."""
    _results["count"] += 1
    _results["failed"] += not ok
    print(f"{'ok' if ok else 'not ok'} {_results['count']} - {claim}", flush=True)
    if not ok and why:
        note(why)


def skip(claim, why):
    _results["count"] += 1
    print(f"ok {_results['count']} - {claim} # SKIP {why}", flush=True)


@contextlib.contextmanager
def claim(text):
    """Everything inside must hold; an exception is the failure, told with what the processes said."""
    try:
        yield
    except Exception:
        result(text, False, traceback.format_exc())
        for process in _alive:
            note(f"---- {process.label} said:")
            note(process.said()[-4000:])
    else:
        result(text, True)


def expect(value, wanted, what="value"):
    if value != wanted:
        raise AssertionError(f"{what}: wanted {wanted!r}, got {value!r}")


def expect_true(value, what):
    if not value:
        raise AssertionError(what)


def finish():
    print(f"1..{_results['count']}", flush=True)
    sys.exit(1 if _results["failed"] else 0)


def openssl(*argv, cwd):
    subprocess.run(["openssl", *argv], cwd=cwd, check=True, capture_output=True, timeout=30)


def make_ca(folder, name):
    """name.pem and name.key in the folder, good for two days."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-days", "2", "-keyout", f"{name}.key",
            "-out", f"{name}.pem", "-addext", "basicConstraints=critical,CA:TRUE", cwd=folder)


def make_cert(folder, ca, name, alt, days="2"):
    """The same, signed by `ca`; alt: "IP:127.0.0.1", "DNS:name"."""
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr", cwd=folder)
    with open(os.path.join(folder, f"{name}.ext"), "w", encoding="ascii") as f:
        f.write(f"subjectAltName={alt}\n")
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", days, "-extfile", f"{name}.ext", "-out", f"{name}.pem", cwd=folder)


def words(count):
    """What a stand-in answers when it is told to answer with `count` words."""
    return " ".join(f"w{i}" for i in range(1, count + 1))


# ---- processes -----------------------------------------------------------------------------------------

class Process:
    """One process of the binary under test, started, watched and ended."""

    def __init__(self, label, argv, env=None, cwd=None):
        self.label, self._lines, self._lock = label, [], threading.Lock()
        self.p = subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.p.stdout:
            with self._lock:
                self._lines.append(line)

    def said(self):
        with self._lock:
            return "".join(self._lines)

    def wait_for(self, pattern, seconds=START_SECONDS):
        """The first match of `pattern` in what it says."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            m = re.search(pattern, self.said(), re.M)
            if m:
                return m
            if self.p.poll() is not None:
                self._reader.join(2)
                m = re.search(pattern, self.said(), re.M)
                if m:
                    return m
                raise AssertionError(f"{self.label} ended with {self.p.returncode} before it said {pattern!r}:\n{self.said()}")
            time.sleep(0.01)
        raise AssertionError(f"{self.label} did not say {pattern!r} in {seconds} s:\n{self.said()}")

    def stop(self, seconds=STOP_SECONDS):
        """SIGTERM, and a clean end within `seconds`."""
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
        try:
            code = self.p.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.label} did not end {seconds} s after SIGTERM") from None
        self._reader.join(5)
        bad = SANITIZER.search(self.said())
        if code != 0 or bad:
            raise AssertionError(f"{self.label} ended with exit code {code}:\n{self.said()[-6000:]}")

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.p.pid, signal.SIGKILL)
        self.p.wait()

    def __enter__(self):
        _alive.append(self)
        return self

    def __exit__(self, kind, value, trace):
        _alive.remove(self)
        if kind is None:
            self.stop()
        else:
            note(f"---- {self.label} said:")
            note(self.said()[-4000:])
            self.kill()


class Standin(Process):
    """`hotspare standin`: a provider that answers "w1 w2 ... wN" and fails on demand."""

    def __init__(self, name, words=12, fault=None, tools=None, rate=None, first_token=None, more=()):
        argv = [BIN, "standin", "--listen", "127.0.0.1:0", "--name", name, "--words", str(words)]
        argv += ["--rate", str(rate)] if rate else []
        argv += ["--first-token", first_token] if first_token else []
        for spec in [fault] if isinstance(fault, str) else fault or []:
            argv += ["--fault", spec]
        for tool, value in (tools or {}).items():
            argv += ["--tool", f"{tool}={json.dumps(value)}"]
        super().__init__(f"standin {name}", argv + list(more), env=clean_env())
        self.name = name
        self.url = self.wait_for(r"listening on (http://\S+)").group(1)

    def speaks(self, dialect):
        return {"kind": "standin", "url": self.url, "speaks": dialect}

    def faults(self, text):
        """Changes the faults while it runs; "" takes all away."""
        return request("POST", self.url + "/_standin/faults", text.encode(), {"content-type": "text/plain"})

    def stats(self):
        return json.loads(request("GET", self.url + "/_standin/stats").body)

    def last(self):
        """The last model request it was sent: its JSON body."""
        return json.loads(request("GET", self.url + "/_standin/last").body)


class Serve(Process):
    """`hotspare serve` with a configuration made here.

    targets   name -> settings (Standin.speaks(), or a dict of its own)
    chain     for every model; or routes=[(match, chain), ...]
    """

    def __init__(self, targets, chain=None, routes=None, deadlines=None, more="", env=None, label="serve"):
        self.folder = tempfile.mkdtemp(prefix="hotspare-test-")
        self.config = os.path.join(self.folder, "hotspare.yaml")
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(yaml(targets, routes or [("*", chain)], deadlines or {}) + more)
            if "return:" not in more:
                f.write("return: { ramp: 0s }\n")  # most stories are about one request after another, not about the way back
        self.home = os.path.join(self.folder, "home")
        os.mkdir(self.home)
        super().__init__(label, [BIN, "serve", "--config", self.config], env=clean_env(HOME=self.home, **(env or {})), cwd=self.folder)
        self.url = self.wait_for(r"listening on (https?://\S+)").group(1)
        self.admin = self.wait_for(r"admin on (http://\S+)").group(1)

    def metrics(self):
        """name{labels} -> value"""
        found = re.findall(r"^([a-z_]+(?:\{[^}]*\})?) ([-+.0-9eE]+|NaN)$", request("GET", self.admin + "/metrics").text, re.M)
        return {name: float(value) for name, value in found}

    def __exit__(self, kind, value, trace):
        try:
            super().__exit__(kind, value, trace)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


class Troupe:
    """One run of `hotspare COMMAND`, which starts processes of its own: in a TMPDIR of its own, by which they are recognised."""

    def __init__(self, command, *arguments):
        self.tmp = tempfile.mkdtemp(prefix=f"hotspare-test-{command}-")
        self.p = subprocess.Popen([BIN, command, *arguments], env=clean_env(TMPDIR=self.tmp), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def processes(self):
        """Those of its children that run: pid -> command line."""
        found = {}
        for path in glob.glob("/proc/[0-9]*/environ"):
            folder = os.path.dirname(path)
            try:
                with open(path, "rb") as f:
                    if f"HOME={self.tmp}/".encode() not in f.read():
                        continue
                with open(folder + "/cmdline", "rb") as f:
                    found[int(os.path.basename(folder))] = f.read().replace(b"\0", b" ").decode()
            except OSError:
                continue  # it has ended meanwhile
        return found

    def wait_for_processes(self, count, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if len(self.processes()) == count:
                return
            time.sleep(0.02)
        raise AssertionError(f"wanted {count} processes, there are {self.processes()}")

    def end(self, seconds=60):
        """(exit code, stdout, stderr); whatever happened, no process and no file is left."""
        out, err = self.p.communicate(timeout=seconds)
        expect_true(not SANITIZER.search(err), err)
        self.wait_for_processes(0, 5)
        expect(os.listdir(self.tmp), [], "files left behind")
        os.rmdir(self.tmp)
        return self.p.returncode, out, err


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it ends while it is read
        return False


def yaml(targets, routes, deadlines):
    """JSON is YAML in flow style, so settings are written as JSON."""
    lines = ["listen: 127.0.0.1:0", "admin: 127.0.0.1:0", "targets:"]
    lines += [f"  {name}: {json.dumps(settings)}" for name, settings in targets.items()]
    lines += ["models:"]
    for match, chain in routes:
        lines += [f"  - match: {json.dumps(match)}", f"    chain: {json.dumps(chain)}"]
    if deadlines:
        lines += [f"deadlines: {json.dumps(deadlines)}"]
    return "\n".join(lines) + "\n"


def clean_env(**more):
    """The environment of a machine without any provider's key, so that a test sees only what it sets."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LC_ALL", "TMPDIR") or k.endswith("SAN_OPTIONS") or k == "ASAN_SYMBOLIZER_PATH"}
    return {**kept, "HOME": "/nonexistent", **more}


def refused_url():
    """An address where nobody listens: bound once, so the system gives it to nobody else soon."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{s.getsockname()[1]}"


# ---- a plain HTTP client -------------------------------------------------------------------------------

class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode(errors="replace")

    @property
    def json(self):
        return json.loads(self.body)


def request(method, url, body=None, headers=None, seconds=30):
    """One exchange on a connection of its own. Statuses are answers here, not exceptions."""
    parts = urllib.parse.urlsplit(url)
    c = http.client.HTTPConnection(parts.hostname, parts.port, timeout=seconds)
    try:
        path = parts.path or "/"
        c.request(method, path + (f"?{parts.query}" if parts.query else ""), body, headers or {})
        r = c.getresponse()
        return Reply(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())
    finally:
        c.close()


def post_json(url, value, headers=None, seconds=30):
    return request("POST", url, json.dumps(value).encode(), dict({"content-type": "application/json"}, **(headers or {})), seconds)


def sse_events(text):
    """[(event name, data)] of a whole stream."""
    out = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        name, data = "message", []
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
        if data:
            out.append((name, "\n".join(data)))
    return out
