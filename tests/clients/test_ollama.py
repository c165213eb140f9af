#!/usr/bin/env python3
"""The real Ollama as the stand-in of last resort, with a model that counts (counting_model.py), so that each answer is known
to the word: started by the first request that needs it, behind every door, with tools, thinking and embeddings; it goes on
with sentences exactly where the lead stopped, refuses what does not fit, and is gone with the gateway, its runners too.

Building Ollama takes minutes, so `make test` does not: `make test-ollama` does, and then runs this."""
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from clients import *  # noqa: E402,F403
from clients import HERE, INSTALLED  # noqa: E402

OLLAMA = os.path.join(INSTALLED, "ollama", "ollama")
PYTHON_GGUF = os.path.join(INSTALLED, "llama", "bin", "python")
ALL = words(40)  # all that the model says
TOOLS = [{"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}}}]
LOOK = [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": TOOLS[0]["input_schema"]}}]
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


def wait_until(what, check, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if check():
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


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


def dead(dialect="anthropic"):
    return {"kind": "standin", "url": refused_url(), "speaks": dialect}


def messages(s, stream, text="hi", **more):
    body = {"model": "claude-x", "max_tokens": 200, "stream": stream, "messages": [{"role": "user", "content": text}]}
    return post_json(s.url + "/v1/messages", dict(body, **more), {"anthropic-version": "2023-06-01"}, seconds=120)


def chat(s, stream, text="hi", **more):
    body = {"model": "gpt-x", "stream": stream, "messages": [{"role": "user", "content": text}]}
    return post_json(s.url + "/v1/chat/completions", dict(body, **more), seconds=120)


def responses(s, stream, text="hi", **more):
    return post_json(s.url + "/v1/responses", dict({"model": "gpt-x", "stream": stream, "input": text}, **more), seconds=120)


def completion(s, stream, text="hi", **more):
    return post_json(s.url + "/v1/completions", dict({"model": "gpt-x", "max_tokens": 200, "stream": stream, "prompt": text}, **more), seconds=120)


def chunks(r):
    events = [d for _, d in sse_events(r.text)]
    expect(events[-1], "[DONE]", f"last event of {r.text[-400:]}")
    return [c for d in events[:-1] for c in json.loads(d)["choices"]]


def messages_text(r):
    events = [(n, json.loads(d)) for n, d in sse_events(r.text)]
    expect(events[-1][0], "message_stop", f"last event of {r.text[-400:]}")
    return "".join(d["delta"].get("text", "") for n, d in events if n == "content_block_delta")


def chat_text(r):
    return "".join(c["delta"].get("content") or "" for c in chunks(r))


def responses_text(r):
    events = [(n, json.loads(d)) for n, d in sse_events(r.text)]
    expect(events[-1][0], "response.completed", f"last event of {r.text[-400:]}")
    return "".join(d["delta"] for n, d in events if n == "response.output_text.delta")


def completion_text(r):
    return "".join(c["text"] for c in chunks(r))


def message_said(r):
    return "".join(b.get("text", "") for b in r.json["content"])


DOORS = (("Messages", messages, messages_text, message_said),
         ("chat", chat, chat_text, lambda r: r.json["choices"][0]["message"]["content"]),
         ("Responses", responses, responses_text, lambda r: "".join(c["text"] for o in r.json["output"] for c in o.get("content", []))),
         ("completions", completion, completion_text, lambda r: r.json["choices"][0]["text"]))


def engine(s):
    return request("GET", s.admin + "/api/status").json["engines"][0]


def loaded(s):
    """What Ollama itself says it has loaded."""
    return request("GET", f"http://127.0.0.1:{engine(s)['port']}/api/ps").json["models"]


def served_by(r):
    return r.headers.get("x-hotspare-served-by")


def descendants(pid):
    found = [pid]
    for p in found:
        for task in os.listdir(f"/proc/{p}/task"):
            with open(f"/proc/{p}/task/{task}/children") as f:
                found += [int(c) for c in f.read().split()]
    return found


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def doors(s):
    for door, ask, text_of, said in DOORS:
        with claim(f"the real Ollama answers whole and streamed behind the {door} door"):
            r = ask(s, False)
            expect((r.status, served_by(r), said(r)), (200, "mine", ALL), r.text)
            expect(text_of(ask(s, True)), ALL, "streamed")


def limits(s):
    with claim("the number of tokens, a stop sequence, and usage, as Ollama counts them"):
        r = messages(s, False, max_tokens=5)
        expect((message_said(r), r.json["stop_reason"], r.json["usage"]["output_tokens"]), (words(5), "max_tokens", 5), r.text)
        r = messages(s, False, stop_sequences=["w4"])
        expect(message_said(r).strip(), words(3), r.text)
        expect(messages_text(messages(s, True, stop_sequences=["w4"])).strip(), words(3), "streamed")
        r = chat(s, False, max_completion_tokens=5)
        expect((r.json["choices"][0]["message"]["content"], r.json["choices"][0]["finish_reason"]), (words(5), "length"), r.text)


def tools(s):
    with claim("a tool is called by the real Ollama, whole and streamed, and its result is answered (Messages and chat door)"):
        r = messages(s, False, tools=TOOLS)
        call = r.json["content"][-1]
        expect((r.json["stop_reason"], call["type"], call["name"], call["input"]), ("tool_use", "tool_use", "look", {"q": "a"}), r.text)
        r = messages(s, True, tools=TOOLS)
        parts = [json.loads(d)["delta"].get("partial_json", "") for n, d in sse_events(r.text) if n == "content_block_delta"]
        expect(json.loads("".join(parts)), {"q": "a"}, r.text)
        expect_true('"stop_reason":"tool_use"' in r.text, r.text)
        talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [call]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "found"}]}]
        expect(message_said(messages(s, False, tools=TOOLS, messages=talk)), ALL, "after the result")
        r = chat(s, False, tools=LOOK)
        choice = r.json["choices"][0]
        expect((choice["finish_reason"], json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"])), ("tool_calls", {"q": "a"}), r.text)
        expect(chat(s, False, tools=LOOK, tool_choice="none").json["choices"][0]["finish_reason"], "stop", "no tool may be called")
        calls = [t["function"] for c in chunks(chat(s, True, tools=LOOK)) for t in c["delta"].get("tool_calls", [])]
        expect((calls[0]["name"], json.loads("".join(f.get("arguments", "") for f in calls))), ("look", {"q": "a"}), "streamed")


def others(s):
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
    with claim("after kill -9 of the gateway Ollama is gone, and each of its runners"):
        every = descendants(engine(s)["pid"])
        expect_true(len(every) >= 2, f"processes: {every}")
        os.kill(s.p.pid, signal.SIGKILL)
        s.p.wait()
        s.stop = lambda: None
        wait_until("all gone", lambda: not any(is_alive(p) for p in every))


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

for door, ask, text_of, _ in DOORS[:3]:
    for dialect in ("anthropic", "openai"):
        with claim(f"a sentence that a lead speaking {dialect} began is gone on with by Ollama, to the word ({door} door)"):
            with Standin("lead", words=12, fault="cut@6", rate=400) as lead, serve(lead.speaks(dialect)) as s:
                expect(text_of(ask(s, True)), ALL, "the whole")
                expect(s.metrics().get('hotspare_rescues_total{phase="mid_stream",result="ok"}'), 1, "rescues")
                s.wait_for(r'"splices":1.*"splice_style":"native"')

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
