#!/usr/bin/env python3
"""hotspare connect as a user calls it: the lines for every client, run as printed where a shell can, in a clean home."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import BIN  # noqa: E402

URL = "http://127.0.0.1:4321"
SDKS = ("python", "typescript", "go", "java")


def connect(*argv):
    with tempfile.TemporaryDirectory() as home:
        p = subprocess.run([BIN, "connect", *argv], env=clean_env(HOME=home, ANTHROPIC_API_KEY="sk-secret", OPENAI_API_KEY="sk-secret"),
                           cwd=home, capture_output=True, text=True, timeout=60)
        expect(os.listdir(home), [], "what it wrote")
        expect_true("sk-secret" not in p.stdout + p.stderr, "a key was printed")
        return p


def lines(*argv):
    p = connect(*argv)
    expect(p.returncode, 0, f"exit code of connect {argv}: {p.stderr}")
    return p.stdout


def environment(script, *names):
    """What a shell that ran the lines gives to the programs it starts."""
    p = subprocess.run(["bash", "-euc", script + "\nenv"], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=60)
    expect(p.returncode, 0, f"the shell: {p.stderr}")
    found = dict(line.split("=", 1) for line in p.stdout.splitlines() if "=" in line)
    return tuple(found.get(name) for name in names)


with claim("sdks_get_the_base_url_in_their_own_form"):
    for form in (URL, URL + "/", URL + "/v1", URL + "/v1/"):
        for sdk in SDKS:
            expect(environment(lines("anthropic-" + sdk, "--url", form), "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"), (URL, "any"), f"{sdk} {form}")
            expect(environment(lines("openai-" + sdk, "--url", form), "OPENAI_BASE_URL", "OPENAI_API_KEY"), (URL + "/v1", "any"), f"{sdk} {form}")

with claim("claude_code_gets_its_variables_and_model"):
    said = lines("claude-code", "--url", URL, "--model", "claude-x")
    expect(environment(said.replace("claude --model", "echo"), "ANTHROPIC_BASE_URL"), (URL,), "base URL")
    expect(said.splitlines()[-1], "claude --model claude-x", "how it is started")

with claim("opencode_gets_a_whole_file"):
    value = json.loads(lines("opencode", "--url", URL, "--model", "claude-x"))
    expect((value["provider"]["anthropic"]["options"]["baseURL"], value["model"]), (URL + "/v1", "anthropic/claude-x"), "the file")

with claim("settings_files_are_printed_as_the_client_reads_them"):
    import tomllib
    value = tomllib.loads(lines("codex", "--url", URL))
    expect((value["model_provider"], value["model_providers"]["hotspare"]["base_url"], "model" in value), ("hotspare", URL + "/v1", False), "codex")
    expect(json.loads(lines("zed", "--url", URL)), {"language_models": {"anthropic": {"api_url": URL}}}, "zed")
    said = lines("continue", "--url", URL, "--model", "claude-x")
    expect_true(f'apiBase: "{URL}/v1/"' in said and 'model: "claude-x"' in said and "\nmodels:\n  - name:" in said, said)

with claim("lines_for_a_program_are_whole"):
    said = lines("vercel-ai-sdk", "--url", URL, "--model", "claude-x")
    expect(said.splitlines(), ['import { createAnthropic } from "@ai-sdk/anthropic";', f'const anthropic = createAnthropic({{ baseURL: "{URL}/v1" }});',
                               'const model = anthropic("claude-x");'], "vercel-ai-sdk")
    for client in ("langchain", "llamaindex"):
        compile(lines(client, "--url", URL, "--model", "claude-x"), client, "exec")
        expect_true(f'(model="claude-x", base_url="{URL}")' in lines(client, "--url", URL, "--model", "claude-x"), client)

with claim("the_printed_curl_line_is_answered"):
    with Standin("lead") as lead, Serve({"lead": lead.speaks("anthropic")}, chain=["lead"]) as s:
        script = lines("curl", "--url", s.url, "--model", "claude-x")
        p = subprocess.run(["bash", "-euc", script], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=60)
        expect(p.returncode, 0, f"curl: {p.stderr}")
        expect(json.loads(p.stdout)["content"][0]["text"], words(12), "the answer")

with claim("every_listed_client_has_lines_and_json"):
    names = [line.split()[0] for line in lines("--list").splitlines()]
    expect(len(names), 21, "clients")
    for name in names:
        said = json.loads(lines(name, "--url", URL, "--model", "m", "--json"))
        expect((said["schema"], said["client"], said["url"]), ("hotspare.connect/1", name, URL), name)
        expect(said["lines"], lines(name, "--url", URL, "--model", "m"), "lines")
        expect_true(said["source"] and URL in said["lines"] and said["lines"].endswith("\n"), f"{name}: {said}")

with claim("a_missing_model_is_said"):
    expect_true("give --model" in connect("curl").stderr, "no word about the model")
    expect_true("give --model" not in connect("openai-go").stderr, "a word about a model that the lines do not name")

with claim("mistakes_are_refused"):
    for argv in (["emacs"], ["curl", "more"], ["curl", "--url", "127.0.0.1:1"], ["curl", "--url", "http:///v1"], ["curl", "--url", "http://a/v1;id"],
                 ["curl", "--url", "http://" + "a" * 600], ["curl", "--model", "x';id"], ["curl", "--model", ""]):
        p = connect(*argv)
        expect((p.returncode, p.stdout), (64, ""), f"{argv}")
        expect_true(p.stderr, f"{argv}: not a word")

finish()
