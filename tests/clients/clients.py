"""What the client tests share: where the pinned clients are, dead leads, a picture, and the harness."""
import base64
import contextlib
import os
import struct
import sys
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
from harness import *  # noqa: E402,F401,F403 (the tests read it from here)
from harness import BIN, ROOT, Standin, refused_url  # noqa: E402

INSTALLED = os.path.join(ROOT, "build", "clients")
PYTHON = os.path.join(INSTALLED, "python", "bin", "python")
MODULES = os.path.join(INSTALLED, "node", "node_modules")
MACHINE = {"x86_64": "x64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
NODE = os.path.join(MODULES, f"node-linux-{MACHINE}", "bin", "node")
CLAUDE = os.path.join(MODULES, "@anthropic-ai", f"claude-code-linux-{MACHINE}", "claude")
LOCUST = os.path.join(INSTALLED, "python", "bin", "locust")

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
