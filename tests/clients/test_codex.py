#!/usr/bin/env python3
"""Codex CLI, unmodified and headless, writes a file through its own tool while its provider is gone.

Codex speaks Responses only. The stand-in that answers speaks each dialect in turn and asks for Codex's own tool;
Hotspare translates both ways. Codex runs in a clean home and a clean folder. Its program is an optional part of its
package: where npm left it out, the test skips.
"""
import contextlib
import glob
import tempfile

from clients import *

CODEX = glob.glob(os.path.join(MODULES, "@openai", f"codex-linux-{MACHINE}", "vendor", "*", "bin", "codex"))
CONTENT = "Written by Codex, told by a stand-in: ünïcode and all."
APIS = {"anthropic": {"speaks": "anthropic"}, "chat": {"speaks": "openai"}, "responses": {"speaks": "openai", "api": "responses"}}
CALL = {"exec_command": {"cmd": f"printf '%s' '{CONTENT}' >> answer.txt"}}  # a second call would show
CONFIG = """model = "gpt-5.6"
model_provider = "hotspare"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.hotspare]
name = "Hotspare"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "HOTSPARE_KEY"
request_max_retries = 0
stream_max_retries = 0
"""

if not CODEX:
    skip("codex", "not installed: npm left out the program for this machine, an optional part of @openai/codex")
    finish()


def upstream(standin, api):
    return {"kind": "standin", "url": standin.url, **APIS[api]}


def run_codex(base_url, folder):
    home, work = os.path.join(folder, "home"), os.path.join(folder, "work")
    os.makedirs(home)
    os.makedirs(work)
    with open(os.path.join(home, "config.toml"), "w", encoding="utf-8") as f:
        f.write(CONFIG.format(url=base_url))
    env = {"PATH": os.environ["PATH"], "HOME": home, "CODEX_HOME": home, "LANG": "C.UTF-8", "HOTSPARE_KEY": "sk-any"}
    argv = [CODEX[0], "exec", "--skip-git-repo-check", "--json", "--sandbox", "danger-full-access", "Write the file."]
    return subprocess.run(argv, cwd=work, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150)


def history(sent):
    """Calls and results in what the stand-in was asked last, whatever its dialect."""
    turns = sent.get("messages") or sent["input"]
    blocks = [b for m in turns if isinstance(m.get("content"), list) for b in m["content"]]
    calls = sum(i.get("type") == "function_call" for i in turns) + sum(len(m.get("tool_calls") or []) for m in turns) + sum(b["type"] == "tool_use" for b in blocks)
    results = sum(i.get("type") == "function_call_output" for i in turns) + sum(m.get("role") == "tool" for m in turns) + sum(b["type"] == "tool_result" for b in blocks)
    return calls, results


def story(spare_api, lead_of, preface=0):
    """lead_of() gives the lead's settings. preface: words that are said before the call."""
    folder = tempfile.mkdtemp(prefix="hotspare-codex-")
    try:
        with Standin("spare", words=WORDS, tools=CALL, more=["--preface", str(preface)]) as spare, lead_of() as lead:
            with Serve({"lead": lead, "spare": upstream(spare, spare_api)}, chain=["lead", "spare/spare-model"], deadlines={"first_token": "5s"}) as s:
                p = run_codex(s.url, folder)
                expect_true(p.returncode == 0, f"Codex ended with {p.returncode}:\n{p.stdout}\n{p.stderr}\n{s.said()}")
                with open(os.path.join(folder, "work", "answer.txt"), encoding="utf-8") as f:
                    expect(f.read(), CONTENT, "the file's content, written once")
                events = [json.loads(line) for line in p.stdout.splitlines()]
                said = [e["item"]["text"] for e in events if e["type"] == "item.completed" and e["item"]["type"] == "agent_message"]
                expect(said[-1], words(WORDS), "its last words")
                expect(said[:-1], [words(preface)] if preface else [], "its words before the call")
                expect(events[-1]["type"], "turn.completed", "how it ended")
                expect(history(spare.last()), (1, 1), "calls and results in the history")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


for api in APIS:
    with claim(f"codex_writes_a_file_told_by_{api}_with_lead_refused"):
        story(api, lambda: dead_lead("refused", "anthropic"))


@contextlib.contextmanager
def dying_lead(api, fault):
    """Says and does what the spare does, up to a place."""
    with Standin("lead", words=WORDS, rate=200, fault=fault, tools=CALL, more=["--preface", "6"]) as lead:
        yield upstream(lead, api)


# Messages: message_start, block start, ping, six words, block stop; then the call.
# Responses: created, in_progress, item, part, six words, three ends; then the call.
for lead_api, spare_api, where, fault in (("anthropic", "chat", "mid_sentence", "cut@6"), ("anthropic", "responses", "mid_call", "cut@14"),
                                          ("responses", "anthropic", "mid_sentence", "cut@8"), ("responses", "chat", "mid_call", "rst@15")):
    with claim(f"codex_writes_its_file_once_when_a_{lead_api}_lead_dies_in_{where}"):
        story(spare_api, lambda a=lead_api, f=fault: dying_lead(a, f), preface=6)
finish()
