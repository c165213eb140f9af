#!/usr/bin/env python3
"""The real Ollama as the stand-in of last resort, with a model that counts (counting_model.py), so that each answer is known
to the word: started by the first request that needs it, behind every door, with tools, thinking and embeddings; it goes on
with sentences exactly where the lead stopped, refuses what does not fit, and is gone with the gateway, its runners too.

Building Ollama takes minutes, so `make test` does not: `make test-ollama` does, and then runs this."""
import atexit
import os
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from engines import *  # noqa: E402,F403
from clients import HERE, INSTALLED  # noqa: E402

OLLAMA = os.path.join(INSTALLED, "ollama", "ollama")
PYTHON_GGUF = os.path.join(INSTALLED, "llama", "bin", "python")
# The last message decides what the model is asked to say; an assistant's last message is left open, to be gone on with.
TEMPLATE = ("{{- $last := len (slice .Messages 1) }}{{- range $i, $m := .Messages }}<{{ .Role }}>%s{{ .Content }}"
            "{{ range .ToolCalls }}{{ .Function.Name }}{{ .Function.Arguments }}{{ end }}"
            "{{- if eq $i $last }}{{ if eq .Role \"user\" }}{{ if $.Tools }}<call>%s{{ else }}<assistant>{{ end }}"
            "{{ else if eq .Role \"tool\" }}<assistant>{{ end }}{{ end }}{{ end }}"
            "{{ if false }}{\"name\": \"\", \"arguments\": {}}{{ end }}")
THINKS = ("{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}", "{{ else if $.Think }}<think>")

if not os.path.exists(OLLAMA):
    skip("the real Ollama", "not built: `make test-ollama` builds it")
    finish()

folder = tempfile.TemporaryDirectory(prefix="hotspare-ollama-")
MODELS = os.path.join(folder.name, "models")
ENGINE = {"PATH": os.path.dirname(OLLAMA) + ":" + os.environ["PATH"], "OLLAMA_MODELS": MODELS, "ANTHROPIC_API_KEY": "sk-secret"}


def create(name, file, template=None):
    with open(os.path.join(folder.name, "Modelfile"), "w") as f:
        f.write(f"FROM {file}\n" + (f'TEMPLATE """{template}"""\n' if template else ""))
    subprocess.run([OLLAMA, "create", name, "-f", f.name], check=True, capture_output=True, env=dict(CREATOR))


with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    CREATOR = clean_env(HOME=folder.name, OLLAMA_MODELS=MODELS, OLLAMA_HOST=f"127.0.0.1:{free.getsockname()[1]}")
creator = subprocess.Popen([OLLAMA, "serve"], env=CREATOR, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
atexit.register(creator.kill)
wait_until("Ollama answers", lambda: request("GET", f"http://{CREATOR['OLLAMA_HOST']}/api/version").status == 200)
for file, more in (("counts.gguf", []), ("embeds.gguf", ["--embeds"])):
    subprocess.run([PYTHON_GGUF, os.path.join(HERE, "counting_model.py"), os.path.join(folder.name, file)] + more, check=True)
create("counts", os.path.join(folder.name, "counts.gguf"), TEMPLATE % ("", ""))
create("thinks", os.path.join(folder.name, "counts.gguf"), TEMPLATE % THINKS)
create("embeds", os.path.join(folder.name, "embeds.gguf"))
creator.terminate()
creator.wait()


def serve(lead, model="counts", spare=None, **more):
    mine = dict({"kind": "ollama", "model": model, "start": "on-demand"}, **more)
    targets = {"claude": lead, "mine": mine, **({"spare": spare} if spare else {})}
    chain = ["claude", "mine"] + (["spare/x"] if spare else [])
    return Serve(targets, routes=[("e", ["mine/embeds"]), ("*", chain)], more="state_dir: .\n", env=ENGINE)


def loaded(s):
    """What Ollama itself says it has loaded."""
    return request("GET", f"http://127.0.0.1:{engine(s)['port']}/api/ps").json["models"]


def others(s):
    with claim("a tool whose schema Ollama could not read is called all the same"):
        schema = {"type": ["object", "null"], "properties": {"q": True, "r": {"type": "object", "properties": {"s": True}}}, "required": ["q"]}
        r = messages(s, False, tools=[{"name": "look", "input_schema": schema}])
        expect((r.status, r.json["content"][-1]["input"]), (200, {"q": "a"}), r.text)
        chat = {"model": "counts", "messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function", "function": {"name": "look", "parameters": schema}}]}
        r = post_json(s.url + "/v1/chat/completions", chat)
        expect((r.status, json.loads(r.json["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])), (200, {"q": "a"}), r.text)
    with claim("Ollama makes a chat of a text completion's prompt; a prompt of tokens it refuses, and the caller hears so"):
        expect(completion(s, False, text="hi").json["choices"][0]["text"], ALL, "a text")
        r = completion(s, False, text=[5, 6])
        expect((r.status, "prompt" in r.json["error"]["message"]), (400, True), r.text)
    with claim("embeddings come from the real Ollama; a count of tokens, which it has not, is estimated and said"):
        r = post_json(s.url + "/v1/embeddings", {"model": "e", "input": ["hi", "w1"]}, seconds=120)
        expect((r.status, served_by(r), [len(d["embedding"]) for d in r.json["data"]]), (200, "mine", [256, 256]), r.text[:300])
        r = post_json(s.url + "/v1/messages/count_tokens", {"model": "claude-x", "messages": [{"role": "user", "content": "hi"}]}, {"anthropic-version": "2023-06-01"})
        expect((r.status, r.headers.get("x-hotspare-lossy")), (200, "token_count"), r.text)


def ends(s):
    with claim("a runner of Ollama that is killed is started anew by Ollama, and nobody notices"):
        pid = engine(s)["pid"]
        runners = descendants(pid)[1:]
        expect_true(runners, "Ollama runs models in processes of their own")
        for p in runners:
            os.kill(p, signal.SIGKILL)
        r = messages(s, False, text="once more")
        expect((r.status, message_said(r)), (200, ALL), r.text)
        expect(engine(s)["starts"], 1, "starts of Ollama itself")
    leaves_nothing(s, "after kill -9 of the gateway Ollama is gone, and each of its runners")


with claim("the first failing Claude request starts Ollama, and its stream is answered by it"):
    with serve(dead()) as s:
        expect(engine(s)["state"], "off", "before")
        expect(messages_text(messages(s, True)), ALL, "what it says")
        e = engine(s)
        expect((e["state"], e["starts"], e["failures"]), ("ready", 1, 0), "engine")
        with open(f"/proc/{e['pid']}/environ") as f:
            expect_true("secret" not in f.read(), "no key in its environment")
        for story in (doors, limits, tools, others, ends):
            story(s)

goes_on("Ollama", serve)

with claim("a context that is configured is the one Ollama loads the model with, also for chat clients; what does not fit is answered elsewhere"):
    with Standin("spare", words=4) as spare, serve(dead(), context=512, spare=spare.speaks("anthropic")) as s:
        expect(message_said(messages(s, False)), ALL, "what fits")
        expect([(m["name"], m["context_length"]) for m in loaded(s)], [("counts:latest", 512)], "loaded")
        expect(chat(s, False).json["choices"][0]["message"]["content"], ALL, "a chat client")
        expect([m["context_length"] for m in loaded(s)], [512], "loaded, still")
        r = messages(s, True, text="\u0141" * 400)  # two tokens each, and few by any estimate
        expect((messages_text(r), served_by(r)), (words(4), "spare"), r.text)
        s.wait_for(r"attempt_failed.*target=mine cause=context_exceeded status=400")

with claim("a model that Ollama has not is told as such, and another target answers"):
    with Standin("spare", words=4) as spare, serve(dead(), model="nothere", spare=spare.speaks("anthropic")) as s:
        r = messages(s, False)
        expect((message_said(r), served_by(r)), (words(4), "spare"), r.text)
        s.wait_for(r"attempt_failed.*target=mine cause=model_gone status=404")

with claim("a model that thinks: its thinking arrives as such, and not when thinking is off"):
    with serve(dead(), model="thinks") as s:
        r = messages(s, True)
        thought = "".join(json.loads(d)["delta"].get("thinking", "") for n, d in sse_events(r.text) if n == "content_block_delta")
        expect((thought, messages_text(r)), ("Hm, so", ALL), r.text[:600])
        expect("thinking" in messages(s, True, thinking={"type": "disabled"}).text, False, "thinking when it is off")
        r = messages(s, False, thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000)
        expect((r.status, [b["type"] for b in r.json["content"]], message_said(r)), (200, ["thinking", "text"], ALL), r.text)
        r = chat(s, False, reasoning_effort="high")
        expect((r.status, served_by(r)), (200, "mine"), r.text)

with claim("an Ollama that nobody uses is unloaded, its runners too, and started again when it is needed"):
    with serve(dead(), idle="1s") as s:
        messages(s, False)
        every = descendants(engine(s)["pid"])
        wait_until("it is off", lambda: engine(s)["state"] == "off")
        wait_until("its processes are gone", lambda: not any(is_alive(p) for p in every))
        expect(message_said(messages(s, False, text="again")), ALL, "started again")
        expect(engine(s)["starts"], 2, "starts")

finish()
