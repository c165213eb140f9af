#!/usr/bin/env python3
"""Claude Code, unmodified and headless, writes a file through its own tool while Claude is gone.

The stand-in speaks OpenAI chat and asks for the Write tool; Hotspare translates both ways. Claude Code
runs in a clean home and a clean folder, with nothing of this machine's settings.
"""
import contextlib

from clients import *

need(CLAUDE)
CONTENT = "Written by Claude Code,\ntold by a stand-in: \"ünïcode\" \\ and all.\n"


def run_claude(base_url, folder, connected=False):
    """connected: the base URL comes from the settings file that hotspare connect writes, not from the environment."""
    home = os.path.join(folder, "home")
    work = os.path.join(folder, "work")
    env = {"PATH": os.environ["PATH"], "HOME": home, "CLAUDE_CONFIG_DIR": os.path.join(home, ".claude"), "LANG": "C.UTF-8",
           "ANTHROPIC_BASE_URL": base_url, "ANTHROPIC_API_KEY": "sk-any", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
           "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1"}
    if connected:
        env["ANTHROPIC_BASE_URL"] = refused_url()  # the file's word counts
        subprocess.run([BIN, "connect", "claude-code", "--write", "--yes", "--url", base_url], env=env, check=True, capture_output=True, timeout=60)
    argv = [CLAUDE, "-p", "Write the file.", "--permission-mode", "acceptEdits", "--allowedTools", "Write", "--output-format", "json"]
    return subprocess.run(argv, cwd=work, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150)


def story(targets_of, deadlines, preface=0, connected=False):
    """One run; targets_of(path) gives the lead's settings. preface: words the stand-in says before it calls the tool."""
    folder = tempfile.mkdtemp(prefix="hotspare-claude-")
    try:
        os.makedirs(os.path.join(folder, "home", ".claude"))
        os.makedirs(os.path.join(folder, "work"))
        path = os.path.join(folder, "work", "answer.txt")
        with Standin("spare", words=WORDS, tools={"Write": {"file_path": path, "content": CONTENT}}, more=["--preface", str(preface)]) as spare, targets_of(path) as lead:
            with Serve({"lead": lead, "spare": spare.speaks("openai")}, chain=["lead", "spare/gpt-spare"], deadlines=deadlines) as s:
                p = run_claude(s.url, folder, connected)
                expect_true(p.returncode == 0, f"Claude Code ended with {p.returncode}:\n{p.stdout}\n{p.stderr}\n{s.said()}")
                with open(path, encoding="utf-8") as f:
                    expect(f.read(), CONTENT, "the file's content")
                said = json.loads(p.stdout)
                expect((said["is_error"], said["subtype"], said["result"]), (False, "success", words(WORDS)), "how it ended")
                expect(said["permission_denials"], [], "denials")
                sent = spare.last()
                expect(sum(m["role"] == "tool" for m in sent["messages"]), 1, "results of the tool the stand-in saw")
                expect(sum(len(m.get("tool_calls") or []) for m in sent["messages"]), 1, "calls in the history: the file was written once")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


for how in ("refused", "529", "org-disabled", "silent"):
    fate = how.replace("-", "_")
    with claim(f"claude_code_writes_a_file_with_lead_{fate}"):
        story(lambda _, how=how: dead_lead(how, "anthropic"), {"first_token": "2s"})


with claim("claude_code_finds_the_gateway_in_the_settings_that_connect_wrote"):
    story(lambda _: dead_lead("refused", "anthropic"), {"first_token": "2s"}, connected=True)


@contextlib.contextmanager
def dying_lead(path, fault):
    """Says and does what the spare does, up to a place."""
    with Standin("lead", words=WORDS, rate=200, fault=fault, tools={"Write": {"file_path": path, "content": CONTENT}}, more=["--preface", "6"]) as lead:
        yield lead.speaks("anthropic")


# message_start, block start, ping, six words, block stop; then the call
for where, fault in (("mid_sentence", "cut@6"), ("mid_call", "cut@14"), ("mid_call_with_a_reset", "rst@15")):
    with claim(f"claude_code_writes_its_file_once_when_the_lead_dies_in_{where}"):
        story(lambda path, fault=fault: dying_lead(path, fault), {"first_token": "2s"}, preface=6)
finish()
