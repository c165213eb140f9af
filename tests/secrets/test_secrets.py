#!/usr/bin/env python3
"""No secret leaves: canary keys and prompts go in everywhere, faults included, and are then looked for.

Searched: all that `serve`, `config show`, `config check` and `init` print, the access log, metrics and
status pages, every header and error body a client is given, every file written under HOME, the command
line of every process of this machine and the environment of every child. In each form a careless
program could leave them: as they are, in halves, base64 at any offset, percent-encoded, hexadecimal,
JSON-escaped.
"""
import base64
import glob
import os
import secrets
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import BIN, Serve, Standin  # noqa: E402
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
from clouds import ACCESS, SECRET, SESSION, Bedrock, Vertex  # noqa: E402
from providers import Azure, Gemini  # noqa: E402

FAULTS = ["401", "403", "org-disabled", "credit", "429", "500", "529", "html", "garbage", "reset", "silent"]


def canary(name):
    """Long enough not to occur by chance, with bytes that every encoding writes differently."""
    return f"sk-ant-{name}+{secrets.token_hex(10)}/{secrets.token_hex(10)}=={name[::-1]}"


CLIENT_KEY, WRONG_KEY, LEAD_KEY, SPARE_KEY, FILE_KEY = (canary(n) for n in ("client", "wrong", "lead", "spare", "file"))
PROMPT, ANSWERED = canary("prompt"), canary("toolresult")
SECRETS = {"client key": CLIENT_KEY, "refused key": WRONG_KEY, "lead's key": LEAD_KEY, "stand-in's key": SPARE_KEY,
           "key from a file": FILE_KEY, "prompt": PROMPT, "tool result": ANSWERED}


def forms(secret):
    raw = secret.encode()
    half = len(raw) // 2
    yield "as it is", raw
    yield "first half", raw[:half]
    yield "second half", raw[half:]
    yield "percent-encoded", urllib.parse.quote(secret, safe="").encode()
    yield "hexadecimal", raw.hex().encode()
    yield "JSON-escaped", json.dumps(secret).replace("/", "\\/").strip('"').encode()
    for offset in range(3):  # base64 depends on where in a longer text the secret begins
        coded = base64.b64encode(b"\0" * offset + raw)
        yield f"base64 at offset {offset}", coded[4 if offset else 0:-4].rstrip(b"=")


def forms_of(named):
    return [(f"{who}, {how}", needle) for who, secret in named.items() for how, needle in forms(secret)]


FORMS = forms_of(SECRETS)


def search(places, wanted=FORMS):
    """places: name -> bytes. Every hit."""
    return [f"{place}: {what}" for place, text in places.items() for what, needle in wanted if needle in text]


def body(model, **more):
    return dict({"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": f"Remember {PROMPT}."}]}, **more)


def with_tool_result(model):
    return body(model, tools=[{"name": "t", "input_schema": {"type": "object"}}], messages=[
        {"role": "user", "content": PROMPT}, {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "t", "input": {"q": PROMPT}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": ANSWERED}]}])


def remember(places, name, reply):
    places[f"reply {name}"] = reply.body + b"\n" + "\n".join(f"{k}: {v}" for k, v in reply.headers.items()).encode()


def talk(s, places, fault):
    """One round of good and bad requests; what came back is kept."""
    mine = {"x-api-key": CLIENT_KEY}
    for model in ("claude-x", "claude-alone"):
        remember(places, f"{fault} {model}", post_json(s.url + "/v1/messages", body(model), mine))
        remember(places, f"{fault} {model} stream", post_json(s.url + "/v1/messages", body(model, stream=True), mine))
    remember(places, f"{fault} tool result", post_json(s.url + "/v1/messages", with_tool_result("claude-x"), mine))
    remember(places, f"{fault} chat", post_json(s.url + "/v1/chat/completions", {"model": "claude-alone", "messages": [{"role": "user", "content": PROMPT}]},
                                                {"authorization": f"Bearer {CLIENT_KEY}"}))


def talk_badly(s, places):
    """Requests that are refused: what is said about them must not repeat them."""
    mine = {"x-api-key": CLIENT_KEY}
    broken = json.dumps(body("claude-x")).encode()[:-20]
    remember(places, "refused key", post_json(s.url + "/v1/messages", body("claude-x"), {"x-api-key": WRONG_KEY}))
    remember(places, "refused bearer", post_json(s.url + "/v1/messages", body("claude-x"), {"authorization": f"Bearer {WRONG_KEY}"}))
    remember(places, "broken JSON", request("POST", s.url + "/v1/messages", broken, dict(mine, **{"content-type": "application/json"})))
    remember(places, "wrong type", post_json(s.url + "/v1/messages", {"model": "claude-x", "max_tokens": 5, "messages": PROMPT}, mine))
    remember(places, "key in the query", post_json(s.url + "/v1/messages?key=" + urllib.parse.quote(CLIENT_KEY, safe=""), body("claude-x"), mine))
    remember(places, "wrong path", post_json(s.url + "/v1/nothing?prompt=" + urllib.parse.quote(PROMPT, safe=""), body("claude-x"), mine))


def pages(s, places):
    for path in ("/metrics", "/api/status", "/readyz", "/livez"):
        reply = request("GET", s.admin + path)
        places[f"admin {path}"] = reply.body + repr(reply.headers).encode()


def children_of(pid):
    out = []
    for stat in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            with open(stat, encoding="utf-8", errors="replace") as f:
                if int(f.read().rsplit(")", 1)[1].split()[1]) == pid:
                    out.append(int(stat.split("/")[2]))
    return out


def processes(s, places):
    """Command lines of all, environments of the children; not of ourselves: we made the canaries."""
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        with contextlib.suppress(OSError), open(path, "rb") as f:
            places[path] = f.read()
    for pid in children_of(s.p.pid):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as f:
            places[f"environment of child {pid}"] = f.read()


def written(s, places):
    for folder, _, files in os.walk(s.folder):
        for name in files:
            if name not in ("hotspare.yaml", "key.txt"):
                with open(os.path.join(folder, name), "rb") as f:
                    places[f"file {name}"] = f.read()


def printed_configuration(s, env, places):
    for argv in (["config", "show", "--config", s.config], ["config", "check", s.config], ["init"]):
        p = subprocess.run([BIN] + argv, env=env, capture_output=True, timeout=30)
        places["hotspare " + " ".join(argv[:2])] = p.stdout + p.stderr


def search_finds_each_form():
    for what, needle in FORMS:
        expect_true(search({"x": b"....." + needle + b"....."}), f"{what} is not found")
    expect(search({"x": b"nothing of the kind"}), [], "hits in harmless text")


def scan():
    places = {}
    keys = {"TEAM_KEY": CLIENT_KEY, "LEAD_KEY": LEAD_KEY, "SPARE_KEY": SPARE_KEY, "ANTHROPIC_API_KEY": LEAD_KEY, "OPENAI_API_KEY": SPARE_KEY}
    with tempfile.TemporaryDirectory() as folder:
        key_file = os.path.join(folder, "key.txt")
        with open(os.open(key_file, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as f:
            f.write(FILE_KEY + "\n")
        with Standin("lead") as lead, Standin("spare") as spare:
            targets = {"lead": dict(lead.speaks("anthropic"), key="env:LEAD_KEY"), "spare": dict(spare.speaks("openai"), key="env:SPARE_KEY"),
                       "other": dict(lead.speaks("anthropic"), key=f"file:{key_file}")}
            routes = [("claude-alone", ["lead", "other"]), ("*", ["lead", "spare/gpt-x"])]
            with Serve(targets, routes=routes, deadlines={"first_token": "1s", "stall": "2s", "total": "4s"}, more="keys: { team: env:TEAM_KEY }\n", env=keys) as s:
                good = post_json(s.url + "/v1/messages", body("claude-x"), {"x-api-key": CLIENT_KEY})
                expect(good.status, 200, f"status before any fault ({good.text})")
                expect(post_json(s.url + "/v1/messages", body("claude-x"), {"x-api-key": WRONG_KEY}).status, 401, "status for a wrong key")
                for fault in FAULTS:
                    expect_true(lead.faults(fault).status in (200, 204), f"the stand-in refused fault {fault}")
                    talk(s, places, fault)
                talk_badly(s, places)
                pages(s, places)
                processes(s, places)
                printed_configuration(s, clean_env(**keys), places)
                s.stop()
                places["what serve printed"] = s.said().encode()
                written(s, places)
    expect_true(places["what serve printed"], "serve printed nothing: nothing was searched")
    note(f"{len(places)} places searched for {len(FORMS)} forms of {len(SECRETS)} secrets")
    hits = search(places)
    expect_true(not hits, "found:\n  " + "\n  ".join(hits))


def talk_to_clouds(s, places, aws, gcp):
    """Every way in which their credentials are used, refused and not to be had."""
    for mode in ("good", "throttled", "crc", "throttlingException"):
        aws.mode = mode
        aws.go.set()
        for more in ({}, {"stream": True}):
            remember(places, f"bedrock {mode} {more}", post_json(s.url + "/v1/messages", body("claude-aws", **more)))
    for mode in ("refused", "down", "good"):
        gcp.token_mode = mode
        for more in ({}, {"stream": True}):
            remember(places, f"vertex {mode} {more}", post_json(s.url + "/v1/messages", body("claude-gcp", **more)))
    gcp.mode = "revoked"
    remember(places, "vertex revoked", post_json(s.url + "/v1/messages", body("claude-gcp")))


def scan_providers():
    """Keys in headers of their own, used and refused."""
    places = {}
    with Gemini() as gemini, Azure("/openai/v1/chat/completions") as azure, Gemini() as wrong:
        wrong.key = "another"
        env = {"GEMINI_KEY": Gemini.key, "AZURE_KEY": Azure.key}
        targets = {"gemini": gemini.settings(key="env:GEMINI_KEY"), "azure": azure.settings(key="env:AZURE_KEY"), "wrong": wrong.settings(key="env:GEMINI_KEY")}
        routes = [("claude-gemini", ["gemini/gemini-3.5-flash"]), ("claude-wrong", ["wrong/gemini-3.5-flash"]), ("*", ["azure/gpt-x"])]
        with Serve(targets, routes=routes, env=env, more="breaker: { open: 100ms, max_open: 100ms }\n") as s:
            for mode in ("good", "busy", "blocked", "filtered", "limited"):
                gemini.mode = azure.mode = mode
                for model in ("claude-gemini", "claude-azure", "claude-wrong"):
                    for more in ({}, {"stream": True}):
                        remember(places, f"{model} {mode} {more}", post_json(s.url + "/v1/messages", body(model, **more)))
            pages(s, places)
            processes(s, places)
            printed_configuration(s, clean_env(**env), places)
            s.stop()
            places["what serve printed"] = s.said().encode()
            written(s, places)
        expect_true(gemini.seen and azure.seen and wrong.seen, "not every provider was asked")
    wanted = forms_of({"Gemini's key": Gemini.key, "Azure's key": Azure.key})
    note(f"{len(places)} places searched for {len(wanted)} forms of the providers' keys")
    hits = search(places, wanted)
    expect_true(not hits, "found:\n  " + "\n  ".join(hits))


def scan_clouds():
    places = {}
    with tempfile.TemporaryDirectory() as folder, Bedrock() as aws, Bedrock() as wrong, Vertex() as gcp:
        wrong.key = "another"  # refuses what is signed
        routes = [("claude-aws", ["aws/claude-x"]), ("claude-wrong", ["wrong/claude-x"]), ("*", ["gcp/claude-x"])]
        targets = {"aws": aws.settings(), "wrong": wrong.settings(), "gcp": gcp.settings(folder)}
        with Serve(targets, routes=routes, env=aws.env, more="breaker: { open: 100ms, max_open: 100ms }\n") as s:
            talk_to_clouds(s, places, aws, gcp)
            remember(places, "bedrock, a refused signature", post_json(s.url + "/v1/messages", body("claude-wrong")))
            pages(s, places)
            processes(s, places)
            printed_configuration(s, clean_env(**aws.env), places)
            s.stop()
            places["what serve printed"] = s.said().encode()
            written(s, places)
        expect_true(aws.seen and wrong.seen and gcp.asked(), "not every cloud was asked")
        key_lines = {f"line {i} of the service account's key": line for i, line in enumerate(gcp.private.splitlines()[1:-1])}
        signatures = {f"signature {i}": r["fields"]["authorization"].split("Signature=")[1] for i, r in enumerate(aws.seen)}
        assertions = {f"assertion {i}": r["body"].decode().split("assertion=")[1] for i, r in enumerate(gcp.seen) if r["target"] == "/token"}
        tokens = {f"access token {i}": token for i, token in enumerate(gcp.tokens)}
        wanted = forms_of({"secret access key": SECRET, "session token": SESSION, "access key id": ACCESS, **key_lines, **signatures, **assertions, **tokens})
    note(f"{len(places)} places searched for {len(wanted)} forms of the clouds' credentials")
    hits = search(places, wanted)
    expect_true(not hits, "found:\n  " + "\n  ".join(hits))


with claim("the_search_finds_every_form_of_a_secret"):
    search_finds_each_form()
with claim("no_secret_in_logs_metrics_replies_files_or_processes"):
    scan()
with claim("no_credential_of_a_cloud_either"):
    scan_clouds()
with claim("nor_a_key_that_goes_in_a_header_of_its_own"):
    scan_providers()
finish()
