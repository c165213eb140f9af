#!/usr/bin/env python3
"""hotspare connect --write and disconnect: settings files of every shape are changed in place and come back byte for byte,
also when the run was killed in between, when the file was edited afterwards, and without any gateway."""
import os
import stat
import sys
import tomllib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import BIN  # noqa: E402

URL = "http://gw-1.internal.example.com:8484"
BOM = b"\xef\xbb\xbf"
STATE = ".local/state/hotspare/connect"
FILES = {"claude-code": ".claude/settings.json", "codex": ".codex/config.toml", "continue": ".continue/config.yaml",
         "opencode": ".config/opencode/opencode.json", "zed": ".config/zed/settings.json", "cline": ".cline/data/settings/providers.json"}
CLINE = b'{"version":1,"providers":{"anthropic":{"settings":{"provider":"anthropic","apiKey":"sk-ant-0123456789"},"updatedAt":"2026-01-01T00:00:00Z"}}}'


class Home:
    """A home folder that is thrown away; files are told by their path in it."""

    def __init__(self):
        self.at = tempfile.mkdtemp(prefix="hotspare-home-")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.at)

    def path(self, name):
        return os.path.join(self.at, name)

    def put(self, name, data, mode=0o644):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as f:
            f.write(data)
        os.chmod(self.path(name), mode)

    def get(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def everything(self):
        """Every file, link and folder but what is remembered: name, kind and mode, content."""
        found = {}
        for folder, folders, names in os.walk(self.at):
            for name in folders + names:
                path = os.path.join(folder, name)
                st = os.lstat(path)
                content = os.readlink(path) if stat.S_ISLNK(st.st_mode) else None
                if stat.S_ISREG(st.st_mode):
                    with open(path, "rb") as f:
                        content = f.read()
                relative = os.path.relpath(path, self.at)
                if not (STATE + "/").startswith(relative + "/") and not relative.startswith(STATE + "/"):
                    found[relative] = (st.st_mode, content)
        return found

    def remembered(self):
        try:
            return sorted(n for n in os.listdir(self.path(STATE)) if n != "lock")
        except FileNotFoundError:
            return []

    def run(self, *argv, env=None, cwd_of=None, **more):
        p = subprocess.run([BIN, *argv], env=clean_env(HOME=self.at, **(env or {})), cwd=cwd_of or self.at, capture_output=True, timeout=120,
                           stdin=subprocess.DEVNULL, **more)
        p.out, p.err = p.stdout.decode(), p.stderr.decode()
        expect_true(not SANITIZER.search(p.err), p.err)
        return p

    def good(self, *argv, **more):
        p = self.run(*argv, **more)
        expect(p.returncode, 0, f"{argv}: {p.out}{p.err}")
        return p

    def connect(self, client, *argv, model="claude-x", url=URL):
        return self.good("connect", client, "--write", "--yes", "--url", url, *(["--model", model] if model else []), *argv)


def jsonc(data):
    """JSON with comments and trailing commas, read another way than the program does."""
    text = data.decode("utf-8-sig")
    text = re.sub(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', lambda m: m.group(1) or " ", text, flags=re.S)
    text = re.sub(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])', lambda m: m.group(1) or "", text, flags=re.S)
    return json.loads(text) if text.strip() else {}


def merged(old, path, value):
    """`old` with a value set; the rest as it was."""
    new = dict(old)
    new[path[0]] = value if len(path) == 1 else merged(new.get(path[0], {}), path[1:], value)
    return new


def reads(client, data):
    return tomllib.loads(data.decode("utf-8-sig").replace("\r\n", "\n")) if client == "codex" else jsonc(data)


WANTS = {
    "claude-code": [(("env", "ANTHROPIC_BASE_URL"), URL), (("model",), "claude-x")],
    "opencode": [(("provider", "anthropic", "options", "baseURL"), URL + "/v1"), (("model",), "anthropic/claude-x")],
    "zed": [(("language_models", "anthropic", "api_url"), URL)],
    "cline": [(("providers", "anthropic", "settings", "baseUrl"), URL), (("providers", "anthropic", "settings", "model"), "claude-x")],
    "codex": [(("model_provider",), "hotspare"), (("model",), "claude-x")] +
             [(("model_providers", "hotspare", k), v) for k, v in (("name", "Hotspare"), ("base_url", URL + "/v1"), ("env_key", "OPENAI_API_KEY"), ("wire_api", "responses"))],
}

JSON_SHAPES = [
    b"{}", b"{}\n", b"{ }", b"{\n}\n", b"\n\n{\n\n}\n\n",
    b'{"a":1}', b'{ "a": 1, "env": {"X": "y"} }', b'{"env": {"X": "y"},"model":"opus"}\n', b'{"env":{}}', b'{\n  "env": {}\n}\n',
    b'{\n  "a": [1, 2],\n  "env": {\n    "ANTHROPIC_BASE_URL": "http://old",\n    "Z": "z"\n  },\n  "model": null\n}\n',
    b'{\n\t"a": {\n\t\t"b": "c"\n\t}\n}', b'{\n    "a": "quote \\" // no comment, \\u00e9 {",\n    "provider": {"anthropic": {"npm": "x"}}\n    }',
    b'{\n  "a": 12345678901234567890, "b": 1e400,\n  "language_models": {\n    "anthropic": {\n      "version": "1"\n    }\n  }\n}\n',
    '{\n  "ключ": "значение", "emoji": "🎈"\n}\n'.encode(),
]
JSONC_SHAPES = [
    b"// nothing yet\n", b"/* a */ {} // b", b"{ // open\n}\n", b'{\n  // theme\n  "theme": "One", // dark\n}\n',
    b'{\n  "a": 1 // last, without a comma\n  // and more\n}\n', b'{ "a": [1, 2,], /* x */ "b": {"c": "d",}, }',
    b'{\n  "language_models": { /* mine */ },\n  "provider": {\n    // c\n    "anthropic": { "options": { "baseURL": "x", }, },\n  },\n}',
]
TOML_SHAPES = [
    b"", b"# only a comment", b'model = "gpt-5"\n', b'model = "gpt-5"', b'# top\n\n[profiles.x]\nmodel = "o3"\n',
    b'model_provider = "openai" # mine\n"quoted key" = 1\na.b.c = [1,\n  2, # two\n  { x = "]" },\n]\n\n[mcp_servers.y]\nargs = ["a", \'b\\\']\nenv = { T = "x" }\n',
    b'text = """\n[model_providers.hotspare]\nmodel = "no"\n"""\ns = """a""""\nt = \'\'\'b\'\'\'\'\nd = 1979-05-27 07:32:00\ne = 1979-05-27T00:32:00.999-07:00\nf = -inf\n',
    b'[model_providers.other]\nname = "o"\n[model_providers.hotspare]\nbase_url = "http://old"\nextra = true\n[[list]]\nk = 1\n[[list]]\nk = 2',
    b"[ model_providers . hotspare ]\n'name' = 'mine'\n",
]
YAML_SHAPES = [
    b"", b"# only a comment\n", b"name: me\nversion: 0.0.1\nschema: v1\n", b"name: me\nversion: 0.0.1\nschema: v1", b"name: me\nmodels:\n",
    b"name: me\nmodels: # mine\n  # first\n  - name: A\n    provider: openai\n    apiKey: k\nrules:\n  - x\n",
    b"models:\n- name: A\n  provider: openai\n- name: B\nname: me\n", b"---\nname: me\nmodels:\n    - name: A\n      roles: [chat, edit]\n",
    'name: "ü: #"\nprompts:\n  - name: Hotspare\n    prompt: |\n      models:\n        - name: Hotspare\nmodels:\n  - uses: a/b\n'.encode(),
]


def variants(shapes):
    for shape in shapes:
        yield shape
        if b"\n" in shape:
            yield shape.replace(b"\n", b"\r\n")
        if shape:
            yield BOM + shape


SHAPES = {"claude-code": list(variants(JSON_SHAPES)) + [b"", b"\n"], "opencode": JSON_SHAPES + list(variants(JSONC_SHAPES)) + [b""],
          "zed": JSON_SHAPES[-2:] + JSONC_SHAPES, "codex": list(variants(TOML_SHAPES)),
          "continue": [s for s in variants(YAML_SHAPES)], "cline": list(variants([CLINE, CLINE.replace(b",", b",\n ")]))}


def check_values(client, before, after):
    if client == "continue":
        lines = after.decode("utf-8-sig").splitlines()
        at = next(i for i, line in enumerate(lines) if re.fullmatch(r' *- name: "Hotspare"', line))
        expect([line.strip() for line in lines[at + 1:at + 5]],
               ['provider: "anthropic"', 'model: "claude-x"', f'apiBase: "{URL}/v1/"', 'apiKey: "${{ secrets.ANTHROPIC_API_KEY }}"'], "the item")
        old = before.decode("utf-8-sig").splitlines()
        expect([line for line in lines if line in old], old, "the lines that were there")
        return
    wanted = reads(client, before)
    for path, value in WANTS[client]:
        wanted = merged(wanted, path, value)
    expect(reads(client, after), wanted, f"what {client} reads from {after!r}")


for client, file in FILES.items():
    with claim(f"{client.replace('-', '_')}_files_of_every_shape_are_set_and_come_back_byte_for_byte"):
        for i, shape in enumerate(SHAPES[client]):
            with Home() as home:
                home.put(file, shape, 0o640)
                before = home.everything()
                said = home.connect(client)
                after = home.get(file)
                check_values(client, shape, after)
                crlf = after.count(b"\r\n")
                expect(crlf == after.count(b"\n") if b"\r\n" in shape else crlf == 0, True, f"line ends of {after!r}")
                expect(after.startswith(BOM), shape.startswith(BOM), "the byte order mark")
                expect(stat.S_IMODE(os.stat(home.path(file)).st_mode), 0o640, "mode")
                expect_true(said.out.startswith(f"--- {home.path(file)}\n+++ "), said.out)
                if i % 4 == 0:
                    expect(home.connect(client).out, "", "what a second time shows")
                    expect(home.get(file), after, "the file after a second time")
                home.good("disconnect", client)
                expect(home.everything(), before, f"{shape!r} after disconnect")
                expect(home.remembered(), [], "what is remembered")

with claim("a_file_and_folders_that_were_not_there_go_again"):
    for client, file in FILES.items():
        if client == "cline":
            continue
        with Home() as home:
            before = home.everything()
            home.connect(client)
            check_values(client, b"", home.get(file) if client != "continue" else home.get(file))
            expect(stat.S_IMODE(os.stat(home.path(file)).st_mode), 0o600, "mode")
            home.good("disconnect", client)
            expect({k: v for k, v in home.everything().items() if not k.startswith(".local")}, before, "what is left")

with claim("a_symbolic_link_stays_one_and_its_file_is_changed"):
    with Home() as home:
        home.put("dotfiles/claude.json", b'{"a": 1}')
        os.makedirs(home.path(".claude"))
        os.symlink("../dotfiles/claude.json", home.path(".claude/settings.json"))
        before = home.everything()
        home.connect("claude-code")
        expect_true(os.path.islink(home.path(".claude/settings.json")), "the link is gone")
        check_values("claude-code", b'{"a": 1}', home.get("dotfiles/claude.json"))
        home.good("disconnect", "claude-code")
        expect(home.everything(), before, "after disconnect")

with claim("a_large_file_is_changed_and_a_huge_one_refused"):
    with Home() as home:
        large = b'{\n  "x": [' + b",".join(b'"%07d"' % n for n in range(100000)) + b']\n}\n'
        home.put(FILES["claude-code"], large)
        home.connect("claude-code")
        check_values("claude-code", large, home.get(FILES["claude-code"]))
        home.good("disconnect", "claude-code")
        expect_true(home.get(FILES["claude-code"]) == large, "the large file is another")
        huge = b'{"x": "' + b"a" * (9 << 20) + b'"}'
        home.put(FILES["claude-code"], huge)
        p = home.run("connect", "claude-code", "--write", "--yes", "--url", URL)
        expect((p.returncode, home.get(FILES["claude-code"]) == huge), (73, True), "a huge file")

REFUSED = {
    "claude-code": [(b'{"a": 1,}', ":1:9:"), (b'{\n  // x\n}', ":2:3:"), (b"[]", ":1:1:"), (b'{"env": 3}', ":1:9:"), (BOM + b'{"a" 1}', ":1:6:"), (b'{"a":1,"a":2}', ":1:8:")],
    "zed": [(b'{\n "a": /* no end\n}', ":2:7:"), (b'{"language_models": []}', ":1:21:"), (b'{,}', ":1:2:")],
    "codex": [(b"a = \n", ":1:5:"), (b'a = "x\n', ":1:7:"), (b"ok = 1\n[x\n", ":2:3:"), (b"a = 1 b = 2\n", ":1:7:"), (b'model_providers = { x = { name = "y" } }\n', ":1:1:"),
              (b'[model_providers]\nhotspare.name = "x"\n', ":2:1:"), (b"a = [1, 2\n", ":2:1:")],
    "continue": [(b"a: [1\n", ":2:1:"), (b"models: [a]\n", ":1:9:"), (b"{models: []}\n", ":1:1:"), (b"- a\n", ":1:1:"), (b"a: 1\n---\nb: 2\n", ":2:1:"),
                 (b"models:\n  - name: Hotspare\n", ":2:11:"), (b"a: 1\n...\n", ":3:1:"), (b"models: none\n", ":1:9:")],
    "cline": [(b'{"version":1,"providers":{}}', ":1:26:")],
}
with claim("what_cannot_be_read_or_is_in_the_way_is_refused_with_its_place_and_the_lines"):
    for client, cases in REFUSED.items():
        for data, place in cases:
            with Home() as home:
                home.put(FILES[client], data)
                before = home.everything()
                p = home.run("connect", client, "--write", "--yes", "--url", URL, "--model", "m")
                expect((p.returncode, home.everything() == before, home.remembered()), (65, True, []), f"{client} {data!r}: {p.err}")
                expect_true(home.path(FILES[client]) + place in p.err, f"{client} {data!r}: wanted {place} in {p.err}")
                expect_true(URL in p.out and "By hand" in p.err, f"no lines: {p.out}{p.err}")

with claim("a_read_only_file_or_one_with_two_names_is_left_alone"):
    with Home() as home:
        home.put(FILES["zed"], b"{}", 0o444)
        before = home.everything()
        p = home.run("connect", "zed", "--write", "--yes")
        expect((p.returncode, home.everything()), (73, before), p.err)
        expect_true("read-only" in p.err, p.err)
        os.chmod(home.path(FILES["zed"]), 0o600)
        os.link(home.path(FILES["zed"]), home.path("other"))
        expect(home.run("connect", "zed", "--write", "--yes").returncode, 73, "a file with two names")
        os.unlink(home.path(FILES["zed"]))
        os.symlink("nowhere", home.path(FILES["zed"]))
        expect(home.run("connect", "zed", "--write", "--yes").returncode, 73, "a link to nothing")

with claim("nothing_is_written_without_a_yes_or_with_dry_run"):
    with Home() as home:
        home.put(FILES["codex"], b"a = 1\n")
        before = home.everything()
        dry = home.good("connect", "codex", "--write", "--dry-run", "--url", URL)
        expect_true("+model_provider" in dry.out, dry.out)
        expect(home.run("connect", "codex", "--write", "--url", URL).returncode, 64, "nobody to ask")
        expect((home.everything(), home.remembered()), (before, []), "what was written")
        home.connect("codex")
        after = home.everything()
        expect_true("-model_provider" in home.good("disconnect", "codex", "--dry-run").out, "no diff")
        expect(home.everything(), after, "after a dry disconnect")

with claim("json_tells_what_was_done"):
    with Home() as home:
        home.put(FILES["zed"], b"{}")
        base = {"schema": "hotspare.change/1", "client": "zed", "url": URL, "file": home.path(FILES["zed"])}
        for argv, differs, written in ((["connect", "zed", "--write", "--dry-run", "--url", URL], True, False), (["connect", "zed", "--write", "--yes", "--url", URL], True, True),
                                       (["connect", "zed", "--write", "--yes", "--url", URL], False, False), (["disconnect", "zed", "--dry-run"], True, False),
                                       (["disconnect", "--all"], True, True)):
            said = json.loads(home.good(*argv, "--json").out)
            diff = said.pop("diff")
            expect(said, {**base, "command": argv[0], "differs": differs, "written": written}, f"{argv}")
            expect(diff.startswith("--- "), differs, "the diff")
        expect(home.good("disconnect", "--all", "--json").out, "", "with nothing to undo")
        home.connect("zed")
        listed = json.loads(home.good("connect", "--json").out)
        expect((listed["schema"], len(listed["clients"])), ("hotspare.clients/1", 21), "the list")
        expect({c["client"]: (c["state"], c.get("url")) for c in listed["clients"] if c["client"] in ("zed", "codex", "curl")},
               {"zed": ("connected", URL), "codex": ("not_connected", None), "curl": ("by_hand", None)}, "states")

with claim("a_file_that_changes_while_the_question_waits_is_left"):
    import pty
    with Home() as home:
        home.put(FILES["zed"], b"{}")
        lead, follow = pty.openpty()
        p = subprocess.Popen([BIN, "connect", "zed", "--write"], env=clean_env(HOME=home.at), stdin=follow, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        asked = ""
        while not asked.endswith("[y/N] "):
            letter = p.stderr.read(1)
            expect_true(letter, f"it ended: {asked}")
            asked += letter
        home.put(FILES["zed"], b'{"theirs": 1}')
        os.write(lead, b"y\n")
        out, err = p.communicate(timeout=60)
        expect((p.returncode, home.get(FILES["zed"]), "in the meantime" in err), (73, b'{"theirs": 1}', True), err)

with claim("a_terminal_is_asked"):
    import pty
    for answer, status in (("y\n", 0), ("n\n", 1), ("\n", 1)):
        with Home() as home:
            home.put(FILES["zed"], b"{}")
            lead, follow = pty.openpty()
            os.write(lead, answer.encode())
            p = subprocess.run([BIN, "connect", "zed", "--write"], env=clean_env(HOME=home.at), stdin=follow, capture_output=True, text=True, timeout=60)
            os.close(lead)
            os.close(follow)
            expect((p.returncode, home.get(FILES["zed"]) == b"{}"), (status, status != 0), p.stderr)

with claim("no_secret_of_the_file_is_shown"):
    secrets = ["sk-ant-api03-AAAA", "hunter2", "ghp_0123456789abcdefghij", "user:pass", "plainwordkey", "0b5e8c1a-44f1"]
    for client, data in (("claude-code", '{\n  "apiKeyHelper": "plainwordkey",\n  "env": {\n    "MY_TOKEN": "hunter2", "H": "sk-ant-api03-AAAA",\n    "PROXY": "http://user:pass@proxy",\n    "x": "ghp_0123456789abcdefghij",\n    "u": "0b5e8c1a-44f1-4a0e-9c3b-5d1f2e3a4b5c"\n  }\n}\n'),
                         ("claude-code", '{"env":{"ANTHROPIC_API_KEY":"hunter2","y":"sk-ant-api03-AAAA"},"password":"plainwordkey"}'),
                         ("codex", 'experimental_bearer_token = "hunter2"\nhttp_headers = { "Authorization" = "plainwordkey" }\n[a]\nk = "ghp_0123456789abcdefghij"'),
                         ("continue", "models:\n  - name: A\n    apiKey: hunter2\n    env: { SECRET: plainwordkey }\n")):
        with Home() as home:
            home.put(FILES[client], data.encode())
            said = home.connect(client)
            told = said.out + said.err
            told += home.good("disconnect", client, "--dry-run").out
            expect_true("***" in told and URL in said.out and "claude-x" in said.out, told)
            for secret in secrets:
                expect_true(secret not in told, f"{secret} in {told}")

with claim("names_of_models_are_no_secrets"):
    for model in ("claude-sonnet-4-5-20250929", "anthropic/claude-opus-4-1", "Qwen/Qwen3-Coder-480B-A35B-Instruct", "gpt-5.5-codex-mini"):
        with Home() as home:
            home.put(FILES["opencode"], b'{"model": "%s"}' % model.encode())
            told = home.connect("opencode", model=model).out
            expect((told.count(model), "***" in told), (2, False), told)

with claim("edits_made_afterwards_stay_and_only_ours_goes"):
    with Home() as home:  # as Claude Code does it: written anew, in its own style
        home.put(FILES["claude-code"], b'{"model":"opus","env":{"A":"b"}}')
        home.connect("claude-code")
        value = json.loads(home.get(FILES["claude-code"]))
        value["permissions"] = {"allow": ["Bash"]}
        home.put(FILES["claude-code"], json.dumps(value, indent=4).encode())
        home.good("disconnect", "claude-code")
        expect(json.loads(home.get(FILES["claude-code"])), {"model": "opus", "env": {"A": "b"}, "permissions": {"allow": ["Bash"]}}, "what is left")
        expect(home.remembered(), [], "what is remembered")
    with Home() as home:  # a value of ours that somebody changed is theirs; what was made for ours goes
        home.put(FILES["opencode"], b'// mine\n{\n  "a": 1\n}\n')
        home.connect("opencode")
        data = home.get(FILES["opencode"]).replace(b"anthropic/claude-x", b"anthropic/other").replace(b'"a": 1', b'"a": 2')
        home.put(FILES["opencode"], data)
        p = home.good("disconnect", "opencode")
        expect(home.get(FILES["opencode"]), b'// mine\n{\n  "a": 2,\n  "model": "anthropic/other"\n}\n', "what is left")
        expect_true("1 of our values" in p.err and "opencode.json" in p.err, p.err)
    with Home() as home:  # members beside ours, in objects that were made for ours
        home.put(FILES["zed"], b'{\n  "theme": "One"\n}\n')
        home.connect("zed")
        home.put(FILES["zed"], home.get(FILES["zed"]).replace(b'"anthropic": {', b'"google": { "x": 1 },\n    "anthropic": { // here'))
        home.good("disconnect", "zed")
        expect(jsonc(home.get(FILES["zed"])), {"theme": "One", "language_models": {"google": {"x": 1}, "anthropic": {}}}, "what is left")
    for client, old, new in (("codex", b'b = 1\n[t]\nc = 2\n', b'[t]\nc = 3 # changed\n'), ("continue", b"name: me\nmodels:\n  - name: A\nrules: []\n", b"rules: [x]\n")):
        with Home() as home:
            home.put(FILES[client], old)
            home.connect(client)
            home.put(FILES[client], home.get(FILES[client]).replace(old.splitlines(True)[-1], new.splitlines(True)[-1]))
            home.good("disconnect", client)
            expect(home.get(FILES[client]), old.replace(old.splitlines(True)[-1], new.splitlines(True)[-1]), f"{client}: what is left")

with claim("lines_of_ours_edited_beyond_recognition_are_told_and_left"):
    for client in ("codex", "continue"):
        with Home() as home:
            home.put(FILES[client], b"")
            home.connect(client)
            edited = home.get(FILES[client]).replace(b"gw-1", b"gw-2")
            home.put(FILES[client], edited)
            p = home.run("disconnect", client)
            expect((p.returncode, home.get(FILES[client]), len(home.remembered())), (65, edited, 3), p.err)
            expect_true("By hand: remove" in p.err, p.err)
    with Home() as home:
        home.put(FILES["claude-code"], b"{}")
        home.connect("claude-code")
        home.put(FILES["claude-code"], b'{"env": ')
        p = home.run("disconnect", "claude-code")
        expect((p.returncode, home.get(FILES["claude-code"])), (65, b'{"env": '), p.err)
        expect_true(":1:9:" in p.err, p.err)

with claim("another_address_later_still_comes_back_to_the_beginning"):
    for client, file in FILES.items():
        with Home() as home:
            start = CLINE if client == "cline" else SHAPES[client][2]
            home.put(file, start)
            home.connect(client, url="http://first:1")
            home.connect(client, url="http://second:2", model="other")
            expect_true(b"http://second:2" in home.get(file) and b"http://first:1" not in home.get(file), home.get(file))
            expect(len(home.remembered()), 3, f"what is remembered: {home.remembered()}")
            home.good("disconnect", client)
            expect(home.get(file), start, client)

with claim("an_edit_between_two_connects_is_kept"):
    with Home() as home:
        home.put(FILES["claude-code"], b'{\n  "a": 1\n}\n')
        home.connect("claude-code", url="http://first:1")
        home.put(FILES["claude-code"], home.get(FILES["claude-code"]).replace(b'"a": 1', b'"a": 2'))
        home.connect("claude-code")
        home.good("disconnect", "claude-code")
        expect(home.get(FILES["claude-code"]), b'{\n  "a": 2\n}\n', "what is left")

with claim("disconnect_all_takes_everything_back_and_is_harmless_when_there_is_nothing"):
    with Home() as home:
        for client, file in FILES.items():
            home.put(file, CLINE if client == "cline" else SHAPES[client][2])
        before = home.everything()
        for client in FILES:
            home.connect(client)
        home.good("disconnect", "--all")
        expect((home.everything(), home.remembered()), (before, []), "after disconnect --all")
        expect(home.good("disconnect", "--all").out, "", "a second time")
        expect_true("nothing to undo" in home.good("disconnect", "codex").err, "no word")
        expect_true("unset ANTHROPIC_BASE_URL" in home.good("disconnect", "anthropic-python").err, "no word by hand")

with claim("a_file_deleted_afterwards_is_no_trouble_and_its_old_content_is_kept"):
    with Home() as home:
        home.put(FILES["zed"], b'{"a": 1}')
        home.connect("zed")
        os.unlink(home.path(FILES["zed"]))
        p = home.good("disconnect", "zed")
        copy = home.remembered()
        expect((len(copy), home.get(os.path.join(STATE, copy[0])), home.path(os.path.join(STATE, copy[0])) in p.err), (1, b'{"a": 1}', True), p.err)

with claim("what_is_remembered_is_private_and_a_damaged_copy_is_not_written_back"):
    with Home() as home:
        home.put(FILES["claude-code"], b'{"env": {"K": "secret"}}')
        home.connect("claude-code")
        after = home.get(FILES["claude-code"])
        expect(stat.S_IMODE(os.stat(home.path(STATE)).st_mode), 0o700, "the folder's mode")
        for name in home.remembered():
            expect(stat.S_IMODE(os.stat(home.path(os.path.join(STATE, name))).st_mode), 0o600, name)
        copy = next(n for n in home.remembered() if ".before-" in n)
        home.put(os.path.join(STATE, copy), b"{}", 0o600)
        p = home.run("disconnect", "claude-code")
        expect((p.returncode, home.get(FILES["claude-code"])), (65, after), p.err)
        expect_true("digest" in p.err and "By hand" in p.err, p.err)
        os.unlink(home.path(os.path.join(STATE, "lock")))
        os.symlink("nowhere", home.path(os.path.join(STATE, "lock")))
        p = home.run("disconnect", "claude-code")
        expect((p.returncode, "By hand" in p.err), (73, True), p.err)

with claim("two_runs_at_once_do_not_mix"):
    import fcntl
    with Home() as home:
        home.put(FILES["zed"], b"{}")
        home.good("connect", "zed", "--write", "--yes")
        with open(home.path(os.path.join(STATE, "lock")), "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            p = home.run("disconnect", "zed")
            expect(p.returncode, 73, p.err)
            expect_true("at work" in p.err, p.err)

# Dies right before the n-th of the calls that leave a trace on disk.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
static int left = -1;
static void step(void)
{
    if (left < 0)
        left = atoi(getenv("DIE_AT"));
    if (--left == 0)
        (void)kill(getpid(), SIGKILL);
}
#define WRAP(type, name, takes, gives) \
    type name takes { type(*real) takes; *(void **)&real = dlsym(RTLD_NEXT, #name); step(); return real gives; }
WRAP(int, rename, (const char *a, const char *b), (a, b))
WRAP(int, unlink, (const char *a), (a))
WRAP(int, rmdir, (const char *a), (a))
WRAP(int, fsync, (int a), (a))
WRAP(int, mkdir, (const char *a, unsigned b), (a, b))
WRAP(ssize_t, write, (int a, const void *b, size_t c), (a, b, c))
WRAP(int, fchmod, (int a, unsigned b), (a, b))
"""


def killed_everywhere(shim, home_of, argv, allowed, settle):
    """Runs argv once for each step at which it may die; returns the number of steps."""
    for at in range(1, 200):
        with home_of() as home:
            p = home.run(*argv, env={"LD_PRELOAD": shim, "DIE_AT": str(at)})
            content = home.get(FILES["claude-code"]) if os.path.exists(home.path(FILES["claude-code"])) else None
            expect_true(content in allowed, f"step {at}: half a file: {content!r}")
            settle(home, at)
            if p.returncode == 0:
                return at
            expect(p.returncode, -signal.SIGKILL, f"step {at}: {p.err}")
    raise AssertionError("it never ended")


with claim("killed_at_any_step_it_leaves_the_old_file_or_the_new_and_disconnect_mends"), tempfile.TemporaryDirectory() as folder:
    shim = os.path.join(folder, "shim.so")
    with open(shim + ".c", "w") as f:
        f.write(SHIM)
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-w", "-o", shim, shim + ".c", "-ldl"], check=True)
    OLD = b'{\n  "env": {\n    "A": "b"\n  }\n}\n'
    with Home() as home:
        home.put(FILES["claude-code"], OLD)
        home.connect("claude-code")
        NEW = home.get(FILES["claude-code"])

    def fresh():
        home = Home()
        home.put(FILES["claude-code"], OLD)
        return home

    def connected():
        home = fresh()
        home.connect("claude-code")
        return home

    def mended(home, at):
        home.good("disconnect", "claude-code")
        expect(home.get(FILES["claude-code"]), OLD, f"step {at}, after disconnect")
        if at % 4:
            return
        home.connect("claude-code")
        expect(home.get(FILES["claude-code"]), NEW, f"step {at}, connected again")
        home.good("disconnect", "claude-code")
        expect(set(home.everything()), {".claude", FILES["claude-code"]}, f"step {at}: what is left beside the file")

    write = ["connect", "claude-code", "--write", "--yes", "--url", URL, "--model", "claude-x"]
    steps = killed_everywhere(shim, fresh, write, (OLD, NEW), mended)
    expect_true(steps > 12, f"only {steps} steps: the shim was not there")
    expect_true(killed_everywhere(shim, connected, ["disconnect", "claude-code"], (OLD, NEW), mended) > 6, "too few steps")
    again = NEW.replace(URL.encode(), b"http://second:2")
    killed_everywhere(shim, connected, [*write[:-3], "http://second:2", "--model", "claude-x"], (NEW, again), mended)

    def nothing_left(home, at):
        home.good("disconnect", "claude-code")
        expect_true(not os.path.exists(home.path(FILES["claude-code"])), f"step {at}: the new file stays")
    killed_everywhere(shim, Home, [*write[:-2]], (None, b'{\n  "env": {\n    "ANTHROPIC_BASE_URL": "%s"\n  }\n}\n' % URL.encode()), nothing_left)

with claim("the_list_tells_each_clients_state"):
    with Home() as home:
        home.put(FILES["zed"], b"{}")
        home.put(FILES["codex"], b"")
        home.connect("zed")
        states = dict(line.split(None, 1) for line in home.good("connect").out.splitlines())
        expect_true(states["zed"].startswith(f"connected to {URL}"), states["zed"])
        expect_true(states["codex"].startswith("not connected; file found:"), states["codex"])
        expect_true(states["claude-code"].startswith("not connected; no file yet:"), states["claude-code"])
        expect_true(states["cursor"].startswith("by hand:"), states["cursor"])
        home.put(FILES["zed"], home.get(FILES["zed"]) + b"\n")
        expect_true("edited since" in home.good("connect").out, "no word of the edit")

with claim("folders_named_by_the_clients_own_variables_and_file_are_used"):
    for client, name, value, file in (("claude-code", "CLAUDE_CONFIG_DIR", "cc", "cc/settings.json"), ("codex", "CODEX_HOME", "cx", "cx/config.toml"),
                                      ("zed", "XDG_CONFIG_HOME", "xdg", "xdg/zed/settings.json")):
        with Home() as home:
            home.put(file, b"")
            home.good("connect", client, "--write", "--yes", env={name: home.path(value)})
            expect_true(home.get(file), "nothing written")
            home.good("disconnect", client)  # found by what is remembered, not by the variable
            expect(home.get(file), b"", "after disconnect")
    with Home() as home:
        home.put(".config/opencode/opencode.jsonc", b"// c\n{}\n")
        home.connect("opencode")
        expect_true(b"baseURL" in home.get(".config/opencode/opencode.jsonc"), "the .jsonc was not taken")
        home.good("disconnect", "opencode")
        home.put("project/.claude/settings.json", b"{}")
        home.connect("claude-code", "--file", home.path("project/.claude/settings.json"))
        p = home.run("connect", "claude-code", "--write", "--yes", "--file", home.path(FILES["claude-code"]))
        expect((p.returncode, "first hotspare disconnect" in p.err), (65, True), p.err)
        home.good("disconnect", "claude-code")
        expect(home.get("project/.claude/settings.json"), b"{}", "the project's file")

with claim("a_relative_path_and_a_file_that_is_not_there_are_remembered_whole"):
    with Home() as home:
        home.good("connect", "zed", "--write", "--yes", "--file", "here.json")
        home.good("disconnect", "zed", cwd_of="/")
        expect_true(not os.path.exists(home.path("here.json")), "it stays")

with claim("control_characters_of_the_file_do_not_reach_the_terminal"):
    with Home() as home:
        home.put(FILES["codex"], b"a = 'x' # \x1b[31mred\x07\n")
        out = home.connect("codex").out
        expect_true("\x1b" not in out and "\x07" not in out and "?[31mred?" in out, repr(out))

with claim("mistakes_are_refused"):
    with Home() as home:
        for argv in (["disconnect"], ["disconnect", "emacs"], ["disconnect", "zed", "--all"], ["disconnect", "--write"], ["connect", "cursor", "--write"],
                     ["connect", "continue", "--write", "--yes"], ["connect", "zed", "--write", "--url", "x"]):
            p = home.run(*argv)
            expect(p.returncode, 64, f"{argv}: {p.err}")
            expect_true(p.err, f"{argv}: not a word")
        expect(home.everything(), {}, "what was written")

finish()
