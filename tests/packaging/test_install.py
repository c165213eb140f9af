#!/usr/bin/env python3
"""What a new user meets first: make install, the bootstrap, the manual page and the two READMEs. Prints TAP."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import ROOT  # noqa: E402

CATALOGUE = [f"opt/x/share/hotspare/catalogue/{name}.tsv" for name in ("gpus", "licences", "models", "prices", "quants")]
PROGRAM = os.path.join(ROOT, "build", "hotspare")


def run(argv, env=None, **more):
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, **more)


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def code_blocks(page):
    return re.findall(r"^```\w*\n(.*?)^```", page, re.S | re.M)


def shape(page):
    """Levels of headings, columns and rows of tables: what a translation may not change."""
    outside = re.sub(r"^```.*?^```", "", page, flags=re.S | re.M)
    return re.findall(r"^(#+) |^(\|)", outside, re.M), [len(re.findall(r"(?<!\\)\|", line)) for line in outside.splitlines() if line.startswith("|")]


def links(page):
    return [link for link in re.findall(r"\]\(([^)#]+)\)", page) if "://" not in link]


def commands(text):
    """Each `hotspare WORD [WORD]` a text shows."""
    return set(re.findall(r"(?:build/)?hotspare ((?:config )?[a-z][a-z-]*)(?=[ \n`>]|$)", text))


with claim("make_install_honours_destdir_and_prefix"):
    with tempfile.TemporaryDirectory() as folder:
        p = run(["make", "--no-print-directory", "install", f"DESTDIR={folder}", "PREFIX=/opt/x", "BOOTSTRAP=:"])
        expect_true(p.returncode == 0, p.stdout + p.stderr)
        found = sorted(os.path.relpath(os.path.join(d, f), folder) for d, _, files in os.walk(folder) for f in files)
        expect(found, sorted(["opt/x/bin/hotspare", "opt/x/share/man/man1/hotspare.1", "opt/x/share/hotspare/NOTICE"] + CATALOGUE), "files")
        plan = run([os.path.join(folder, "opt/x/bin/hotspare"), "plan", "llama-2-13b", "--cpu", "--ram", "64"], env=clean_env(HOME=folder))
        expect_true(plan.returncode == 0 and "fits" in plan.stdout, f"the facts are not in the program: {plan}")
        version = run([os.path.join(folder, "opt/x/bin/hotspare"), "version"])
        expect_true(version.returncode == 0 and version.stdout.startswith("hotspare "), f"hotspare version: {version}")

with claim("bootstrap_is_silent_when_nothing_is_missing"):
    p = run(["scripts/bootstrap", "build", "test"])
    expect((p.returncode, p.stdout, p.stderr), (0, "", ""), "what it did")

with claim("bootstrap_names_what_is_missing_and_changes_nothing_without_apt"):
    with tempfile.TemporaryDirectory() as folder:
        for tool in ("sh", "id", "ls", "cat", "env", "dirname", "mktemp", "rm"):
            os.symlink(shutil.which(tool), os.path.join(folder, tool))
        p = run(["/bin/sh", "scripts/bootstrap", "build"], env={"PATH": folder})
        expect(p.returncode, 69, "exit code")
        for package in ("meson", "ninja-build", "libuv1-dev", "libssl-dev", "libyaml-dev", "zlib1g-dev"):
            expect_true(f"{package}: " in p.stderr, f"{package} is not named:\n{p.stderr}")

with claim("both_readmes_have_the_same_shape_and_the_same_commands"):
    english, chinese = read("README.md"), read("README.zh-CN.md")
    expect(shape(chinese), shape(english), "headings and tables")
    expect(code_blocks(chinese), code_blocks(english), "code")
    expect(sorted(links(chinese) + ["README.zh-CN.md"]), sorted(links(english) + ["README.md"]), "links")

with claim("every_link_between_documents_leads_somewhere"):
    pages = ["README.md", "README.zh-CN.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "tests/README.md"]
    broken = [f"{page}: {link}" for page in pages for link in links(read(page)) if not os.path.exists(os.path.join(ROOT, os.path.dirname(page), link))]
    expect(broken, [], "broken links")

with claim("every_command_in_readme_and_manual_exists"):
    shown = set()
    for block in code_blocks(read("README.md")):
        shown |= commands(block)
    shown |= commands(read("man", "hotspare.1").replace("\\-", "-"))
    known = run([PROGRAM, "help"]).stdout
    for words_ in sorted(shown):
        verb = words_.split()[0]
        expect_true(re.search(rf"^  {verb}\b", known, re.M), f"`hotspare {words_}` is shown, and `hotspare help` does not know it")
    expect_true({"serve", "demo", "init", "standin", "config check"} <= shown, f"the search for commands finds too little: {shown}")

with claim("every_command_of_the_program_is_in_the_manual"):
    manual = read("man", "hotspare.1")
    for verb in re.findall(r"^  ([a-z]+) {2,}", run([PROGRAM, "help"]).stdout, re.M):
        expect_true(verb == "help" or f"hotspare {verb}" in manual, f"{verb} is not in man/hotspare.1")

with claim("the_example_configuration_of_the_readme_is_good"):
    text = [b for b in code_blocks(read("README.md")) if b.startswith("listen:")][0]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "hotspare.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        keys = {"TEAM_A_KEY": "k" * 32, "ANTHROPIC_API_KEY": "sk-ant-x", "OPENAI_API_KEY": "sk-x"}
        p = run([PROGRAM, "config", "check", path], env=clean_env(**keys))
        expect_true(p.returncode == 0, p.stdout + p.stderr)
        for argv in (["config", "show", path], ["config", "explain", "deadlines.first_token"], ["config", "schema"]):
            p = run([PROGRAM] + argv, env=clean_env(**keys))
            expect_true(p.returncode == 0 and p.stdout, f"hotspare {' '.join(argv)}: {p}")

with claim("the_manual_page_renders_without_a_warning"):
    if shutil.which("groff"):
        p = run(["groff", "-t", "-man", "-Tutf8", "-ww", "man/hotspare.1"])
        expect((p.returncode, p.stderr), (0, ""), "groff")
        expect_true("EXIT STATUS" in re.sub(r".\x08|\x1b\[[0-9;]*m", "", p.stdout), "the page is empty")
    else:
        note("no groff here: only the page's first macro was looked at")
        expect_true(".TH HOTSPARE 1" in read("man", "hotspare.1"), "no .TH line")

with claim("continuous_integration_runs_make_test_and_nothing_else_decides"):
    lines = [line for line in read(".ci", "run").splitlines() if line and not line.startswith("#")]
    expect(lines[-1], "exec make test", "last line of .ci/run")
finish()
