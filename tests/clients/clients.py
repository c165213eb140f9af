"""What the client tests share: where the pinned clients are, dead leads, a picture, and the harness."""
import base64
import contextlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
from harness import *  # noqa: E402,F401,F403 (the tests read it from here)
from harness import BIN, ROOT, Serve, Standin, clean_env, refused_url, result, words  # noqa: E402

INSTALLED = os.path.join(ROOT, "build", "clients")
PYTHON = os.path.join(INSTALLED, "python", "bin", "python")
MODULES = os.path.join(INSTALLED, "node", "node_modules")
MACHINE = {"x86_64": "x64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
NODE = os.path.join(MODULES, f"node-linux-{MACHINE}", "bin", "node")
CLAUDE = os.path.join(MODULES, "@anthropic-ai", f"claude-code-linux-{MACHINE}", "claude")
LOCUST = os.path.join(INSTALLED, "python", "bin", "locust")
GO_CLIENT = os.path.join(INSTALLED, "go", "clients")
JAVA_CLASSES = os.path.join(INSTALLED, "java", "classes")
JAVA_JARS = os.path.join(INSTALLED, "java", "jars")

WORDS = 12
SAW_ONE = " images=1"  # what a stand-in adds to its words when it was shown a picture
WEATHER = {"city": "Łódź", "days": 3}  # beyond ASCII on purpose: arguments travel through two dialects


def need(path):
    """Ends the test at once, as failed, when a client is not installed: `make test` installs them."""
    if not os.path.exists(path):
        print(f"not ok 1 - {os.path.relpath(path, ROOT)} is installed\n# run tests/clients/install.py\n1..1")
        sys.exit(1)


def in_venv():
    """Goes on in the venv's Python, where the SDKs are."""
    need(PYTHON)
    if os.path.realpath(sys.prefix) != os.path.realpath(os.path.dirname(os.path.dirname(PYTHON))):
        os.execve(PYTHON, [PYTHON, os.path.abspath(sys.argv[0])] + sys.argv[1:], dict(os.environ, HOTSPARE_BIN=BIN))


def png(width=2, height=2):
    """A valid picture, made here, so that no binary file is kept."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + b"\xff\x80\0" * width for _ in range(height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PNG_BASE64 = base64.b64encode(png()).decode()


@contextlib.contextmanager
def dead_lead(how, dialect):
    """The settings of a lead that cannot answer: nobody listens, or it answers with a fault. A fault with a place
    ("cut@6") strikes in the middle: of the words, or of the call where a tool is offered."""
    if how == "refused":
        yield {"kind": "standin", "url": refused_url(), "speaks": dialect}
    else:
        middle = {"rate": 400, "tools": {"get_weather": WEATHER}} if "@" in how else {}
        with Standin("lead", words=WORDS, fault=how, **middle) as lead:
            yield lead.speaks(dialect)


def fate_of(how):
    """A lead's end as part of a claim's name."""
    return how.replace("-", "_").replace("@", "_")


class Stage:
    """A lead that cannot answer and, behind it, stand-ins of the other side's dialect: one that answers (spare), one
    that calls a tool (caller; models named *-tools-*), and one that refuses everything (wrong; claude-wrong-*)."""

    def __init__(self, serve, spare, caller, fate):
        self.serve, self.spare, self.caller, self.fate = serve, spare, caller, fate

    def env(self):
        """What a client in another language needs to know, as its environment."""
        return clean_env(BASE_URL=self.serve.url, SPARE_URL=self.spare.url, CALLER_URL=self.caller.url, WORDS=words(WORDS), SAW_ONE=SAW_ONE,
                         PNG=PNG_BASE64, WEATHER=json.dumps(WEATHER))

    def run(self, argv, name):
        """Runs such a client to its end. Its lines "ok CLAIM" and "not ok CLAIM WHY" are handed on with the lead's fate
        in the name; in WHY, \\n stands for the end of a line."""
        p = subprocess.run(argv, env=self.env(), capture_output=True, text=True, timeout=120)
        seen = streams = 0
        for line in p.stdout.splitlines():
            m = re.match(r"(not )?ok (\w+)(?: (.*))?$", line)
            if m:
                seen += 1
                streams += "stream" in m.group(2)
                result(f"{m.group(2)}_with_lead_{self.fate}", not m.group(1), (m.group(3) or "").replace("\\n", "\n"))
        if p.returncode or not seen:
            result(f"{name}_runs_to_its_end_with_lead_{self.fate}", False, p.stdout + p.stderr + self.serve.said()[-3000:])
        self.check_seam(name, streams)

    def check_seam(self, name, streams):
        """Where the lead dies in mid-sentence: that each of the streamed claims had a seam in it."""
        if "cut" in self.fate:
            count = self.serve.metrics().get('hotspare_rescues_total{phase="mid_stream",result="ok"}', 0)
            result(f"{name}_was_given_streams_with_a_seam", count >= streams > 0, f"{streams} claims stream; streams gone on with: {count}")


@contextlib.contextmanager
def stage(how, client):
    """The stage for a client of the `client` dialect ("anthropic" or "openai"): whoever answers speaks the other one."""
    speaks, model, lead_model = ("openai", "gpt-spare", "") if client == "anthropic" else ("anthropic", "claude-spare", "/claude-lead")
    with dead_lead(how, "anthropic") as lead, Standin("wrong", fault="400") as wrong, Standin("spare", words=WORDS) as spare, Standin("caller", tools={"get_weather": WEATHER}, words=WORDS) as caller:
        with Serve({"lead": lead, "wrong": wrong.speaks("anthropic"), "spare": spare.speaks(speaks), "caller": caller.speaks(speaks)},
                   routes=[("claude-wrong-*", ["wrong", "spare/" + model]), ("*-tools-*", ["lead" + lead_model, "caller/" + model]), ("*", ["lead" + lead_model, "spare/" + model])],
                   more="breaker: { failures: 1000 }\n") as s:  # so that every stream meets the lead
            yield Stage(s, spare, caller, fate_of(how))


def node_script(name):
    """A script beside this file, copied to where Node finds the pinned modules: it looks from the script's own place."""
    for one in (name, "ts_check.mjs"):
        shutil.copy(os.path.join(HERE, one), os.path.dirname(MODULES))
    return os.path.join(os.path.dirname(MODULES), name)
