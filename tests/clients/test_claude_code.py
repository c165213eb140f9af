#!/usr/bin/env python3
"""Claude Code, unmodified and headless, writes a file through its own tool while Claude is gone.

The stand-in speaks OpenAI chat and asks for the Write tool; Hotspare translates both ways. Claude Code
runs in a clean home and a clean folder, with nothing of this machine's settings.
"""
from clients import *

need(CLAUDE)
CONTENT = "Written by Claude Code,\ntold by a stand-in: \"ünïcode\" \\ and all.\n"


def run_claude(base_url, folder):
    home = os.path.join(folder, "home")
    work = os.path.join(folder, "work")
    env = {"PATH": os.environ["PATH"], "HOME": home, "CLAUDE_CONFIG_DIR": os.path.join(home, ".claude"), "LANG": "C.UTF-8",
           "ANTHROPIC_BASE_URL": base_url, "ANTHROPIC_API_KEY": "sk-any", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
           "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1"}
    argv = [CLAUDE, "-p", "Write the file.", "--permission-mode", "acceptEdits", "--allowedTools", "Write", "--output-format", "json"]
    return subprocess.run(argv, cwd=work, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150)


def story(targets_of, deadlines):
    """One run; targets_of(spare) gives the lead's settings."""
    folder = tempfile.mkdtemp(prefix="hotspare-claude-")
    try:
        os.makedirs(os.path.join(folder, "home", ".claude"))
        os.makedirs(os.path.join(folder, "work"))
        path = os.path.join(folder, "work", "answer.txt")
        with Standin("spare", words=WORDS, tools={"Write": {"file_path": path, "content": CONTENT}}) as spare, targets_of() as lead:
            with Serve({"lead": lead, "spare": spare.speaks("openai")}, chain=["lead", "spare/gpt-spare"], deadlines=deadlines) as s:
                p = run_claude(s.url, folder)
                expect_true(p.returncode == 0, f"Claude Code ended with {p.returncode}:\n{p.stdout}\n{p.stderr}\n{s.said()}")
                with open(path, encoding="utf-8") as f:
                    expect(f.read(), CONTENT, "the file's content")
                said = json.loads(p.stdout)
                expect((said["is_error"], said["subtype"], said["result"]), (False, "success", words(WORDS)), "how it ended")
                expect(said["permission_denials"], [], "denials")
                sent = spare.last()
                expect_true(any(m["role"] == "tool" for m in sent["messages"]), "the stand-in never saw the tool's result")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


for how in ("refused", "529", "org-disabled", "silent"):
    fate = how.replace("-", "_")
    with claim(f"claude_code_writes_a_file_with_lead_{fate}"):
        story(lambda how=how: dead_lead(how, "anthropic"), {"first_token": "2s"})
finish()
