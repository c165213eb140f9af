#!/usr/bin/env python3
"""Folders are layers: fails when an include points upward, or when a pure layer reaches for the world.

    check_layers.py [SRC]      SRC defaults to the repository's src/

Prints one line per offence, file:line first, and exits 1; prints nothing and exits 0 when all is well.
The rules are ARCHITECTURE.md's drawing; this table is their only machine-readable form.
"""
import os
import re
import sys

BELOW_SERVE = {"base", "json", "http", "chat", "dialect", "net", "conn", "relay"}
MAY_INCLUDE = {
    "base": {"base"},
    "json": {"base", "json"},
    "http": {"base", "http"},
    "chat": {"base", "chat"},
    "dialect": {"base", "json", "http", "chat", "dialect"},
    "net": {"base", "net"},
    "conn": {"base", "http", "net", "conn"},
    "relay": BELOW_SERVE,
    "local": {"base", "json", "local"},
    "serve": BELOW_SERVE | {"local", "serve"},
    "tools": BELOW_SERVE | {"serve", "local", "tools"},
    "lib": BELOW_SERVE | {"serve", "lib"},
}
PURE = {"json", "http", "chat", "dialect"}

# No socket, no clock, no threads, no files: what a pure layer may not even see.
IMPURE_HEADER = re.compile(
    r"^(time\.h|sys/(time|socket|un|epoll|eventfd|timerfd|stat|random|uio|wait|mman)\.h|net/.*|netinet/.*|"
    r"arpa/.*|netdb\.h|poll\.h|unistd\.h|fcntl\.h|signal\.h|pthread\.h|threads\.h|spawn\.h|"
    r"uv\.h|openssl/.*|yaml\.h|sqlite3\.h)$"
)
# The seam: these belong to src/net and nowhere else.
SOCKET_HEADER = re.compile(
    r"^(sys/(socket|un|epoll|eventfd|timerfd|random)\.h|netinet/.*|arpa/.*|netdb\.h|poll\.h|uv\.h|openssl/ssl\.h)$"
)
CLOCK_OR_DICE = re.compile(
    r"(?<![\w.>])(time|clock_gettime|gettimeofday|clock|rand|srand|random|srandom|drand48|getrandom|arc4random)\s*\("
)

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')
TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """The text with comments and literals blanked, line numbers kept."""
    return TOKEN.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def check_quoted(layer, name):
    target = name.split("/")[0]
    if "/" not in name:
        return f'"{name}" has no layer in its path; write "{layer}/{name}"'
    if target not in MAY_INCLUDE:
        return f'"{name}" is in no known layer'
    if target not in MAY_INCLUDE[layer]:
        return f'{layer} may not include {target} ("{name}"); only {" ".join(sorted(MAY_INCLUDE[layer]))}'
    if name.endswith("_internal.h") and target != layer:
        return f'"{name}" is internal to {target}'
    return None


def check_system(layer, name):
    if layer in PURE and IMPURE_HEADER.match(name):
        return f"{layer} is pure: <{name}> is not for it"
    if layer not in ("net", "base") and SOCKET_HEADER.match(name):
        return f"<{name}> belongs to src/net, the seam"
    return None


def check_file(layer, path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for number, line in enumerate(text.split("\n"), 1):
        m = INCLUDE.match(line)
        if not m:
            continue
        said = check_quoted(layer, m.group(1)) if m.group(1) else check_system(layer, m.group(2))
        if said:
            yield number, said
    if layer != "net":
        for number, line in enumerate(code_only(text).split("\n"), 1):
            m = CLOCK_OR_DICE.search(line)
            if m:
                yield number, f"{m.group(1)}() is the seam's: ask src/net for time and randomness"


def check_tree(src):
    offences = []
    for folder, _, files in sorted(os.walk(src)):
        layer = os.path.relpath(folder, src).split(os.sep)[0]
        for name in sorted(files):
            path = os.path.join(folder, name)
            if not name.endswith((".c", ".h")) or layer == ".":
                continue  # main.c sits above all layers
            if layer not in MAY_INCLUDE:
                offences.append(f"{path}:1: folder {layer} is no layer; add it to check_layers.py and ARCHITECTURE.md")
                continue
            offences += [f"{path}:{n}: {said}" for n, said in check_file(layer, path)]
    return offences


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    src = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "..", "src")
    offences = check_tree(os.path.normpath(src))
    for line in offences:
        print(line)
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
