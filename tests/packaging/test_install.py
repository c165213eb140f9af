#!/usr/bin/env python3
"""What a new user meets first: make install, the library, the bootstrap, the manual pages and the two READMEs. Prints TAP."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import ROOT  # noqa: E402

CATALOGUE = [f"opt/x/share/hotspare/catalogue/{name}.tsv" for name in ("gpus", "licences", "models", "prices", "quants")]
LIBRARY = ["opt/x/include/hotspare.h", "opt/x/lib/libhotspare.a", "opt/x/lib/libhotspare.so", "opt/x/lib/libhotspare.so.0", "opt/x/lib/libhotspare.so.0.1.0",
           "opt/x/lib/pkgconfig/hotspare.pc", "opt/x/share/man/man3/libhotspare.3", "opt/x/share/hotspare/examples/chat.c"]
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
        expect(found, sorted(["opt/x/bin/hotspare", "opt/x/share/man/man1/hotspare.1", "opt/x/share/hotspare/NOTICE"] + CATALOGUE + LIBRARY), "files")
        plan = run([os.path.join(folder, "opt/x/bin/hotspare"), "plan", "llama-2-13b", "--cpu", "--ram", "64"], env=clean_env(HOME=folder))
        expect_true(plan.returncode == 0 and "fits" in plan.stdout, f"the facts are not in the program: {plan}")
        version = run([os.path.join(folder, "opt/x/bin/hotspare"), "version"])
        expect_true(version.returncode == 0 and version.stdout.startswith("hotspare "), f"hotspare version: {version}")
        p = run(["make", "--no-print-directory", "uninstall", f"DESTDIR={folder}", "PREFIX=/opt/x", "BOOTSTRAP=:"])
        expect((p.returncode, [f for _, _, files in os.walk(folder) for f in files]), (0, []), "what uninstall leaves")


def installed(folder):
    """The library where pkg-config finds it; returns a caller of pkg-config."""
    p = run(["make", "--no-print-directory", "install", f"PREFIX={folder}", "BOOTSTRAP=:"])
    expect_true(p.returncode == 0, p.stdout + p.stderr)

    def flags(*argv):
        p = run(["pkg-config", *argv, "hotspare"], env=clean_env(PKG_CONFIG_PATH=f"{folder}/lib/pkgconfig"))
        expect((p.returncode, p.stderr), (0, ""), "pkg-config")
        return p.stdout.split()
    return flags


def chat(folder, program, lead, spare):
    """The example between two stand-ins: what it says on stdout and on stderr."""
    path = os.path.join(folder, "hotspare.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(yaml({"lead": lead.speaks("anthropic"), "spare": spare.speaks("openai")}, [("*", ["lead", "spare/gpt-spare"])], {}))
    p = run([program, path], env=clean_env(HOME=folder, LD_LIBRARY_PATH=f"{folder}/lib"), input="hello\n")
    expect(p.returncode, 0, p.stderr)
    return p.stdout, p.stderr


with claim("the_example_builds_against_the_installed_library_alone_and_outlives_a_cut"):
    with tempfile.TemporaryDirectory() as folder, \
            Standin("lead", words=30, fault="cut@8", tools={"local_time": {}}) as lead, Standin("spare", words=30, tools={"local_time": {}}) as spare:
        flags = installed(folder)
        program, source = os.path.join(folder, "chat"), os.path.join(folder, "share/hotspare/examples/chat.c")
        cc = ["cc", "-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", source, "-o", program]
        for linked in ("shared", "static"):
            if linked == "static":
                for name in ("libhotspare.so", "libhotspare.so.0", "libhotspare.so.0.1.0"):
                    os.remove(os.path.join(folder, "lib", name))
            p = run(cc + flags("--cflags", "--libs", *(["--static"] if linked == "static" else [])))
            expect((p.returncode, p.stderr), (0, ""), f"compiler, {linked}")
            out, err = chat(folder, program, lead, spare)
            expect(out, words(30) + "\n", f"one sentence from both, {linked}")
            expect_true(re.search(r"^> \[local_time: \d{4}-.*\]$", err, re.M) and "[lead: broken_stream; spare goes on]" in err, err)

with claim("the_header_is_c99_and_cplusplus"):
    with tempfile.TemporaryDirectory() as folder:
        use = "#include \"hotspare.h\"\nint main(void) { hs_options o = hs_options(); return (int)o.size; }\n"
        for compiler, language, text in (("cc", ["-x", "c", "-std=c99"], use.replace("hs_options()", "{ 0 }")), ("clang-14", ["-x", "c++", "-std=c++11"], use)):
            if not shutil.which(compiler):
                note(f"no {compiler} here")
                continue
            p = run([compiler, *language, "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-I", "src/lib", "-"], input=text)
            expect((p.returncode, p.stderr), (0, ""), compiler)

with claim("the_library_exports_what_its_header_declares_and_its_manual_describes"):
    declared = sorted(re.findall(r"^HS_API .*?(hs_\w+)\(", read("src", "lib", "hotspare.h"), re.M))
    expect_true(5 < len(declared) <= 15, f"functions: {declared}")
    for argv, name in ((["nm", "-D"], "libhotspare.so"), (["nm", "--extern-only"], "libhotspare.a")):
        p = run(argv + ["--defined-only", os.path.join(ROOT, "build/release/src/lib", name)])
        expect(sorted(re.findall(r" [A-Z] (\w+)$", p.stdout, re.M)), declared, name)
    manual = read("man", "libhotspare.3")
    expect([name for name in declared if name + "(" not in manual], [], "not in the manual")

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

with claim("the_image_has_the_libraries_that_the_program_is_linked_with_and_a_version"):
    image = read("Dockerfile")
    version = re.search(r"version: '([0-9.]+)'", read("meson.build")).group(1)
    expect(set(re.findall(r"REGISTRY/hotspare:(\S+)", image + read("docs", "deploying.md"))), {version}, "versions in the examples")
    if shutil.which("dpkg-query"):
        linked = set(re.findall(r"^\t(\S+) =>", run(["ldd", PROGRAM]).stdout, re.M))
        packages = re.findall(r"install -y --no-install-recommends (.*?)\s*\\?$", image, re.M)[-1].split()
        held = {os.path.basename(file) for package in packages + ["libc6"] for file in run(["dpkg-query", "-L", package]).stdout.split()}
        expect_true(len(linked) > 4, f"ldd tells too little: {linked}")
        expect(sorted(linked - held), [], "libraries that none of the image's packages holds")
    else:
        note("no dpkg-query here: the packages were not looked into")

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

with claim("the_manual_pages_render_without_a_warning"):
    for page, title, heading in (("hotspare.1", ".TH HOTSPARE 1", "EXIT STATUS"), ("libhotspare.3", ".TH LIBHOTSPARE 3", "SEE ALSO")):
        if shutil.which("groff"):
            p = run(["groff", "-t", "-man", "-Tutf8", "-ww", f"man/{page}"])
            expect((p.returncode, p.stderr), (0, ""), page)
            expect_true(heading in re.sub(r".\x08|\x1b\[[0-9;]*m", "", p.stdout), f"{page} is empty")
        else:
            note("no groff here: only the page's first macro was looked at")
            expect_true(title in read("man", page), f"no .TH line in {page}")

with claim("continuous_integration_runs_make_test_and_nothing_else_decides"):
    lines = [line for line in read(".ci", "run").splitlines() if line and not line.startswith("#")]
    expect(lines[-1], "exec make test", "last line of .ci/run")
finish()
