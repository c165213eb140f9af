#!/usr/bin/env python3
"""docs/capabilities.md is what the program prints, `config explain --chain` says the same of a configuration, and a running gateway does it."""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *  # noqa: E402,F403
from harness import BIN, Serve, Standin, clean_env, post_json  # noqa: E402
from talk import messages  # noqa: E402

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "capabilities.md")
CLIENTS = {"Claude's API": "A client of Claude's API", "chat completions": "A client of chat completions"}
TARGETS = {"openai": ("openai", "", "gpt-5.4"), "gemini": ("gemini", "", "gemini-3.5-flash"), "mistral": ("mistral", "", "mistral-large-2512"),
           "anthropic": ("anthropic", "", "claude-sonnet-4-6"), "ollama": ("ollama", "", "qwen3-coder"), "vllm": ("vllm", "", "qwen3-coder"),
           "DeepSeek": ("openai-compatible", "https://api.deepseek.com", "deepseek-v4"), "Groq": ("openai-compatible", "https://api.groq.com/openai/v1", "openai/gpt-oss-120b")}


def run(*argv, **env):
    return subprocess.run([BIN, "config", *argv], capture_output=True, text=True, timeout=60, env=clean_env(**env))


def cells(page):
    """(client, target) -> {feature: cell} of the page; what passes as it is has no column."""
    found = {}
    for title, text in re.findall(r"^## (A client[^\n]*)\n(.*?)(?=^## )", page, re.M | re.S):
        client = [c for c, begin in CLIENTS.items() if title.startswith(begin)][0]
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
        for at, target in enumerate(rows[0][2:], 2):
            found[client, target] = {r[0]: r[at] for r in rows[2:]}
    return found


def explained(text):
    """The same of `--chain`: its lists hold no comma but between features and between names in parentheses."""
    found, at = {}, None
    for line in text.splitlines():
        place = re.match(r"  \d+\. ([^/:]+)/", line)
        client = re.match(r"     a client of (.*), asked in [a-z-]+:", line)
        row = re.match(r"       (converted|degraded|refused): (.*)", line)
        if place:
            target = place.group(1)
        elif client:
            at = found[client.group(1), target] = {}
        elif row:
            for part in re.findall(r"[^,(]+(?:\([^)]*\))?(?:[^,]*)", row.group(2)):
                name, lossy = re.match(r" ?([^(]*?)(?: \(([^)]*)\))?$", part).groups()
                at[name] = {"converted": "converted", "refused": "**refused**", "degraded": f"degraded: `{lossy}`"}[row.group(1)]
    return found


with open(PAGE, encoding="utf-8") as f:
    page = f.read()

with claim("the_page_is_what_the_program_prints"):
    p = run("explain", "--capabilities")
    expect_true(p.returncode == 0 and p.stdout == page, "docs/capabilities.md is out of date: hotspare config explain --capabilities > docs/capabilities.md")
    expect_true(len(cells(page)) > 12 and all(len(c) > 20 for c in cells(page).values()), "its tables")

with claim("a_configured_chain_is_told_the_same"):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "c.yaml")
        with open(path, "w", encoding="ascii") as f:
            f.write("targets:\n" + "".join(f"  {n}: {{ kind: {kind}, {f'url: {url}, ' if url else ''}key: env:K }}\n" for n, (kind, url, _) in TARGETS.items()))
            f.write("models:\n  - match: '*'\n    chain: [ " + ", ".join(f"{n}/{model}" for n, (_, _, model) in TARGETS.items()) + " ]\n")
        p = run("explain", "--chain", path, K="x")
        expect(p.returncode, 0, p.stderr)
        told, table = explained(p.stdout), cells(page)
        expect({t for _, t in told}, set(TARGETS), "targets")
        for at, row in told.items():
            expect(row, table.get(at, {}), f"{at}")
        limits = {r[1]: r for r in re.findall(r"^(\| ([^|]+) \| `[^|]*` \| .*)$", page.split("## Limits")[1].split("## ")[0], re.M)}
        for line in re.findall(r"  \d+\. .*\n.*known from: .*", p.stdout):
            name, context, answer, source = re.match(r"  \d+\. ([^/]+)/.*context ([^,]+), answer ([^,]+),.*\n.*known from: (.*)", line).groups()
            expect_true(f"| {context} | {answer} |" in limits[name][0] and limits[name][0].endswith(f"| {source} |"), f"{line}: {limits[name][0]}")

with claim("a_running_gateway_does_what_the_page_says"):
    table = cells(page)["Claude's API", "openai-compatible"]
    expect((table["top_k"], table["PDF"], table["temperature"]), ("degraded: `top_k`", "**refused**", "converted"), "the page")
    with Standin("a", words=3) as a, Serve({"a": {"kind": "openai-compatible", "url": a.url + "/v1"}}, chain=["a/m"]) as s:
        expect(post_json(s.url + "/v1/messages", messages(top_k=5)).headers.get("x-hotspare-lossy"), "top_k", "top_k")
        expect(post_json(s.url + "/v1/messages", messages(temperature=0.5)).headers.get("x-hotspare-lossy"), None, "temperature")
        pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQ="}}
        reply = post_json(s.url + "/v1/messages", messages(messages=[{"role": "user", "content": [pdf]}]))
        expect_true(reply.status == 400 and "document" in reply.text, f"a PDF: {reply.status} {reply.text}")

with claim("a_bad_configuration_is_told_instead"):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "c.yaml")
        with open(path, "w", encoding="ascii") as f:
            f.write("targets: { a: { kind: gemin } }\n")
        p = run("explain", "--chain", path)
        expect_true((p.returncode, p.stdout) == (78, "") and "gemini" in p.stderr, f"{p}")
finish()
