#!/usr/bin/env python3
"""The smaller doors: legacy prompts, text completions, counts of tokens, models, embeddings, and every base URL.

With HOTSPARE_CORPUS the recorded exchanges of these doors are replayed, all of them: what is not asked through a door
is counted and told."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import Serve, Standin, words  # noqa: E402
from talk import Raw, http_answer  # noqa: E402

CORPUS = os.environ.get("HOTSPARE_CORPUS")
CLAUDE = {"anthropic-version": "2023-06-01", "x-api-key": "k"}
HUMAN = "\n\nHuman: Count.\n\nAssistant:"
ASK = {"model": "claude-opus-4-6", "messages": [{"role": "user", "content": "hello there"}]}


def legacy(**more):
    return dict({"model": "claude-2.1", "prompt": HUMAN, "max_tokens_to_sample": 200}, **more)


def completions_of(reply):
    """The pieces of a stream, its stop_reason and stop; every event is a whole object of the same answer."""
    events = [(name, json.loads(data)) for name, data in sse_events(reply.text)]
    objects = [value for name, value in events if name == "completion"]
    for value in objects:
        expect(set(value), {"type", "id", "completion", "stop_reason", "stop", "model", "log_id"}, "members")
        expect((value["type"], value["id"], value["model"]), ("completion", objects[0]["id"], "claude-2.1"), "identity")
    expect([v["stop_reason"] for v in objects[:-1]], [None] * (len(objects) - 1), "stop_reason before the end")
    return "".join(v["completion"] for v in objects), objects[-1]["stop_reason"], objects[-1]["stop"]


# ---- /v1/complete ----

def legacy_prompts():
    for dialect in ("anthropic", "openai"):
        with Standin("dead", fault="529") as dead, Standin("spare", words=6) as spare:
            with Serve({"dead": dead.speaks("anthropic"), "spare": spare.speaks(dialect)}, chain=["dead", "spare/other"]) as s:
                whole = post_json(s.url + "/v1/complete", legacy(), CLAUDE)
                expect((whole.status, whole.json["completion"], whole.json["stop_reason"], whole.json["stop"], whole.json["model"]),
                       (200, words(6), "stop_sequence", "\n\nHuman:", "claude-2.1"), f"whole by {dialect}")
                expect_true(whole.json["id"].startswith("compl_"), f"id: {whole.json['id']}")
                expect(completions_of(post_json(s.url + "/v1/complete", legacy(stream=True), CLAUDE)), (words(6), "stop_sequence", "\n\nHuman:"), f"stream by {dialect}")
                expect(completions_of(post_json(s.url + "/v1/complete", legacy(stream=True, max_tokens_to_sample=3), CLAUDE))[1], "max_tokens", "stop_reason of a short one")
                reply = post_json(s.url + "/v1/complete", legacy(stop_sequences=["w3"]), CLAUDE)
                expect((reply.json["stop_reason"], spare.last().get("stop_sequences", spare.last().get("stop"))), ("stop_sequence", ["w3"]), "stop sequences pass")
                turns = "Be brief.\n\nHuman: One?\n\nAssistant: 1.\n\nHuman: Two?\n\nAssistant: It is"
                expect(post_json(s.url + "/v1/complete", legacy(prompt=turns, top_k=4, metadata={"user_id": "u"}), CLAUDE).status, 200, "turns")
                said = spare.last()
                flat = [(m["role"], m["content"] if isinstance(m["content"], str) else "".join(b["text"] for b in m["content"])) for m in said["messages"]]
                system = said.get("system") or flat.pop(0)[1]
                expect_true("Be brief." in json.dumps(system), f"system: {system}")
                expect(flat[:4], [("user", "One?"), ("assistant", "1."), ("user", "Two?"), ("assistant", "It is")], "turns as they were sent")


def plain_prompts():
    with Standin("one", words=4) as one:
        with Serve({"one": one.speaks("openai")}, routes=[("claude-*", ["one/small"]), ("named", ["one"])]) as s:
            reply = post_json(s.url + "/v1/complete", {"prompt": "Count."})
            expect((reply.status, reply.json["completion"], reply.json["type"]), (200, words(4), "completion"), "the answer")
            said = one.last()
            expect((said["messages"], said["max_tokens"], said["temperature"]), ([{"role": "user", "content": "Count."}], 100, 0.7), "defaults")
            expect(post_json(s.url + "/v1/complete", {"prompt": "Count.", "max_tokens": 2, "temperature": 0, "model": "named"}).json["stop_reason"], "max_tokens", "max_tokens counts")
            expect((one.last()["model"], one.last()["temperature"]), ("named", 0), "what was asked for")
            for temperature in (0, 2, 2.0):
                expect(post_json(s.url + "/v1/complete", {"prompt": "x", "temperature": temperature}).status, 200, f"temperature {temperature}")
            for bad, field in (({}, "prompt: Field required"), ({"prompt": ""}, "prompt: "), ({"prompt": " \n"}, "prompt: "), ({"prompt": 7}, "prompt: Must be a string"),
                               ({"prompt": "x", "max_tokens": 0}, "max_tokens: Must be a whole number, 1 or more"), ({"prompt": "x", "max_tokens": 1.5}, "max_tokens: "),
                               ({"prompt": "x", "max_tokens": "5"}, "max_tokens: "), ({"prompt": "x", "temperature": 2.1}, "temperature: Must be a number from 0 to 2"),
                               ({"prompt": "x", "temperature": -0.1}, "temperature: "), ({"prompt": "x", "temperature": "hot"}, "temperature: "),
                               ({"prompt": HUMAN}, "max_tokens_to_sample: Field required"), (legacy(max_tokens_to_sample=0), "max_tokens_to_sample: "),
                               (legacy(prompt="x"), "Human:"), (legacy(prompt="\n\nHuman: x"), "Assistant:"), (legacy(prompt="\n\nHuman:\n\nAssistant:"), "empty"),
                               (legacy(stop_sequences="x"), "stop_sequences"), ([], "object")):
                before = one.stats()["requests"]
                reply = post_json(s.url + "/v1/complete", bad)
                expect((reply.status, reply.json.get("type")), (400, "error"), f"status of {bad}")
                expect_true(reply.json["error"]["type"] == "invalid_request_error" and field in reply.json["error"]["message"], f"{bad}: {reply.text}")
                expect(one.stats()["requests"], before, f"requests upstream after {bad}")
            expect(post_json(s.url + "/v1/complete", legacy(model="nobody")).status, 404, "an unknown model")


# ---- /v1/completions ----

def recorded(protocol):
    folder = os.path.join(CORPUS, "corpus", protocol)
    for name in sorted(os.listdir(folder)):
        def read(file, at=os.path.join(folder, name)):
            path = os.path.join(at, file)
            if not os.path.exists(path):
                return None
            with open(path, "rb") as f:
                return f.read()
        yield name, read, json.loads(read("meta.json"))


# What a door that is answered by chats refuses by name, and for what.
REFUSED = {"openai--envoy--completion-bad-request--0": "max_tokens", "openai--envoy--completion-token-batch--0": "n"}


def same_shape(ours, theirs):
    """Every member that the recording has and that is not that provider's own."""
    own = {"system_fingerprint", "service_tier", "usage"}
    expect_true(set(theirs) - own <= set(ours), f"members: {sorted(ours)} beside {sorted(theirs)}")
    for a, b in zip(ours["choices"], theirs["choices"]):
        expect_true({"text", "index", "logprobs", "finish_reason"} <= set(a) and set(b) - {"stop_reason", "prompt_logprobs"} <= set(a), f"choice: {a} beside {b}")


def recorded_completions():
    asked = refused = alone = 0
    with Standin("one", words=5) as one:
        with Serve({"c": one.speaks("anthropic"), "o": one.speaks("openai")}, routes=[("claude-*", ["c"]), ("*", ["o"])]) as s:
            for name, read, meta in recorded("openai-completions"):
                sent = read("request.json")
                if sent is None:  # tier B: an answer alone; it teaches the shape, below
                    alone += 1
                    sent = json.dumps({"model": "x", "prompt": "Count.", "stream": read("response.sse") is not None}).encode()
                for model in ("claude-x", "other"):
                    body = dict(json.loads(sent), model=model)
                    reply = post_json(s.url + "/v1/completions", body)
                    if name in REFUSED:
                        refused += 1
                        expect((reply.status, reply.json["error"]["type"]), (400, "invalid_request_error"), name)
                        expect_true(reply.json["error"]["param"] in (REFUSED[name], "prompt"), f"{name}: {reply.text}")
                        expect(set(reply.json["error"]), {"message", "type", "param", "code"}, "members of an error")
                        continue
                    asked += 1
                    expect(reply.status, 200, f"{name} by {model}: {reply.text}")
                    if body.get("stream"):
                        chunks = [d for _, d in sse_events(reply.text)]
                        theirs = [d for _, d in sse_events(read("response.sse").decode())]
                        expect((chunks[-1], theirs[-1]), ("[DONE]", "[DONE]"), "the last line")
                        same_shape(json.loads(chunks[0]), json.loads(theirs[0]))
                        text = "".join(c["text"] for d in chunks[:-1] for c in json.loads(d)["choices"])
                    else:
                        same_shape(reply.json, json.loads(read("response.json")))
                        text = reply.json["choices"][0]["text"]
                    expect(text, words(5), f"{name} by {model}")
    note(f"openai-completions: {asked} asked over both upstreams, {refused} refused by name, {alone} recordings are answers alone")


def completions_usage_and_errors():
    with Standin("one", words=5) as one:
        with Serve({"c": one.speaks("anthropic"), "o": one.speaks("openai")}, routes=[("claude-*", ["c"]), ("m", ["o"])]) as s:
            for model in ("claude-x", "m"):
                body = {"model": model, "prompt": "Count.", "max_tokens": 3, "stop": ["q", "z"], "stream": True, "stream_options": {"include_usage": True}}
                chunks = [json.loads(d) for _, d in sse_events(post_json(s.url + "/v1/completions", body).text) if d != "[DONE]"]
                expect((chunks[-1]["choices"], chunks[-1]["usage"]["completion_tokens"]), ([], 3), f"the usage chunk of {model}")
                expect([c["usage"] for c in chunks[:-1]], [None] * (len(chunks) - 1), "usage in the others")
                expect(chunks[-2]["choices"][0]["finish_reason"], "length", "finish_reason")
                reply = post_json(s.url + "/v1/completions", {"model": model, "prompt": "Count.", "max_tokens": 50, "logprobs": 2})
                expect((reply.status, reply.headers.get("x-hotspare-lossy"), reply.json["choices"][0]["logprobs"]), (200, "logprobs", None), f"logprobs by {model}")
                for field, value in (("prompt", [1, 2]), ("prompt", [[1], [2]]), ("prompt", ["a", "b"]), ("suffix", "s"), ("echo", True), ("n", 2), ("best_of", 3)):
                    reply = post_json(s.url + "/v1/completions", dict({"model": model, "prompt": "x"}, **{field: value}))
                    expect((reply.status, reply.json["error"]["param"]), (400, field), f"{field}={value} by {model}")
            expect(post_json(s.url + "/v1/completions", {"model": "nobody", "prompt": "x"}).json["error"]["code"], "model_not_found", "an unknown model")


def sse(*datas):
    return "".join(f"data: {d if isinstance(d, str) else json.dumps(d)}\n\n" for d in datas).encode()


def text_chunk(text, index=0, finish=None):
    return {"id": "cmpl-1", "object": "text_completion", "created": 7, "model": "m", "choices": [{"index": index, "text": text, "logprobs": None, "finish_reason": finish}]}


def completions_pass():
    """A target that has this door gets the body byte for byte, whatever it asks for, and so comes the answer back."""
    bodies = (b'{ "model":"m", "prompt" : [1, 2,3], "n":2,\n"echo":true}', b'{"model":"m","prompt":["a","b"],"suffix":"s","best_of":3}')
    whole = b'{ "id":"cmpl-1","object":"text_completion","choices":[{"text":"a","index":0,"finish_reason":"stop"},{"text":"b","index":1,"finish_reason":"stop"}]}'
    stream = sse(text_chunk("one"), text_chunk("x", 1), text_chunk(" two", 0, "stop"), text_chunk("y", 1, "stop"), "[DONE]")
    with Raw(http_answer(whole)) as up:
        for kind in ("vllm", "llama.cpp", "ollama", "openai"):
            target = dict({"kind": kind, "url": up.url + "/v1"}, **({"key": "env:K"} if kind == "openai" else {}))
            model = "davinci-002" if kind == "openai" else "m"
            with Serve({"up": target}, chain=[f"up/{model}"], env={"K": "sk"}) as s:
                for body in bodies:
                    up.answer = http_answer(whole)
                    reply = request("POST", s.url + "/v1/completions", body, {"content-type": "application/json"})
                    expect((reply.status, reply.text), (200, whole.decode()), f"{kind}: the whole answer")
                    head, sent = up.seen[-1]
                    expect((head.split(b" ")[1], sent), (b"/v1/completions", body.replace(b'"model":"m"', b'"model":"%s"' % model.encode())), f"{kind}: what was asked")
                up.answer = http_answer(stream, "text/event-stream")
                reply = post_json(s.url + "/v1/completions", {"model": "m", "prompt": [1, 2], "n": 2, "stream": True})
                expect(reply.text, stream.decode(), f"{kind}: the stream")
        up.answer = http_answer(b'{"error":{"message":"no such thing","type":"invalid_request_error","param":null,"code":null}}', status=400)
        with Serve({"up": {"kind": "vllm", "url": up.url + "/v1"}}, chain=["up/m"]) as s:
            reply = post_json(s.url + "/v1/completions", {"model": "m", "prompt": [[1], [2]]})
            expect((reply.status, reply.json["error"]["message"]), (400, "no such thing"), "its own refusal")


def completions_go_on():
    """What a target with this door broke off is gone on with as a chat; what only that door can say is not."""
    cut = sse(text_chunk("w1 "), text_chunk("w2 "))
    with Raw(None) as up, Standin("spare", words=5) as spare:
        with Serve({"v": {"kind": "vllm", "url": up.url + "/v1"}, "spare": spare.speaks("openai")}, chain=["v/m", "spare/x"]) as s:
            up.answer = http_answer(cut, "text/event-stream")
            ask = {"model": "m", "prompt": "Count.", "stream": True}
            datas = [d for _, d in sse_events(post_json(s.url + "/v1/completions", ask).text)]
            chunks = [json.loads(d) for d in datas[:-1]]
            text = "".join(c["choices"][0]["text"] for c in chunks if c["choices"])
            expect((datas[-1], text.split()), ("[DONE]", ["w1", "w2", "w3", "w4", "w5"]), f"the joined answer of {datas}")
            expect({(c["id"], c["object"]) for c in chunks}, {("cmpl-1", "text_completion")}, "one answer")
            up.answer = http_answer(b"{}", status=503)
            reply = post_json(s.url + "/v1/completions", {"model": "m", "prompt": "Count."})
            expect((reply.status, reply.json["choices"][0]["text"], reply.headers.get("x-hotspare-served-by")), (200, words(5), "spare"), "answered as a chat")
            up.answer = http_answer(cut, "text/event-stream")
            reply = post_json(s.url + "/v1/completions", dict(ask, prompt=[1, 2]))
            expect_true("[DONE]" not in reply.text and '"error"' in reply.text, f"a cut answer to tokens: {reply.text}")


def recorded_completions_pass():
    asked = 0
    with Raw(None) as up:
        targets = {"openai": {"kind": "openai", "url": up.url + "/v1", "key": "env:K"}, "vllm": {"kind": "vllm", "url": up.url + "/v1"}}
        with Serve(targets, routes=[("*instruct*", ["openai"]), ("davinci-*", ["openai"]), ("babbage-*", ["openai"]), ("*", ["vllm"])], env={"K": "sk"}) as s:
            for name, read, meta in recorded("openai-completions"):
                sent, answer, stream = read("request.json"), read("response.json") or read("response.sse"), read("response.sse") is not None
                if sent is None:
                    continue
                asked += 1
                up.answer = http_answer(answer, "text/event-stream" if stream else "application/json", status=meta["status"])
                reply = request("POST", s.url + "/v1/completions", sent, {"content-type": "application/json"})
                expect((reply.status, reply.text.encode()), (meta["status"], answer), name)
                expect((up.seen[-1][0].split(b" ")[1], up.seen[-1][1]), (b"/v1/completions", sent), name)
    note(f"openai-completions: {asked} passed byte for byte, both ways")
    expect_true(asked >= 10, "recordings")


# ---- /v1/messages/count_tokens ----

def count_passes():
    sent = b'{ "messages":[{"role":"user","content":"hi"}],  "model":"claude-opus-4-6","novel":[1.50] }'
    answer = b'{"input_tokens":  1114, "context_management":{"original_input_tokens":1200}}'
    with Raw(http_answer(answer, more="request-id: req_9\r\n")) as up:
        with Serve({"up": {"kind": "anthropic", "url": up.url, "key": "env:K"}}, chain=["up"], env={"K": "sk-up"}) as s:
            reply = request("POST", s.url + "/v1/messages/count_tokens?beta=true", sent, dict(CLAUDE, **{"anthropic-beta": "new-2030-01-01"}))
            head, body = up.seen[0]
            expect((body, reply.status, reply.body), (sent, 200, answer), "both bodies")
            expect_true(head.startswith(b"POST /v1/messages/count_tokens?beta=true ") and b"anthropic-beta: new-2030-01-01" in head.lower(), f"head: {head}")
            expect_true(b"sk-up" in head and b"x-api-key: k\r" not in head.lower(), "the target's key and not the client's")
            expect((reply.headers.get("request-id"), reply.headers.get("x-hotspare-served-by"), reply.headers.get("x-hotspare-lossy")), ("req_9", "up", None), "headers")
        refusal = b'{"type":"error","error":{"type":"invalid_request_error","message":"messages: at least one message is required"}}'
        up.answer = http_answer(refusal, status=400)
        with Serve({"up": {"kind": "anthropic", "url": up.url, "key": "env:K"}}, chain=["up"], env={"K": "sk-up"}) as s:
            reply = post_json(s.url + "/v1/messages/count_tokens", ASK, CLAUDE)
            expect((reply.status, reply.body), (400, refusal), "the caller's own fault, as it came")
            for status in (401, 404, 429, 500, 529):
                up.answer = http_answer(b'{"type":"error","error":{"type":"api_error","message":"no"}}', status=status)
                estimated(post_json(s.url + "/v1/messages/count_tokens", ASK, CLAUDE), f"after {status}")
            for rubbish in (b"{}", b"[", b'{"input_tokens":null}', b'{"input_tokens":"9"}'):
                up.answer = http_answer(rubbish)
                estimated(post_json(s.url + "/v1/messages/count_tokens", ASK, CLAUDE), f"after {rubbish}")
            expect(request("GET", s.admin + "/api/status").json["answering"], "up", "a count says nothing about its target")


def estimated(reply, what):
    expect((reply.status, reply.headers.get("x-hotspare-lossy"), reply.headers.get("x-hotspare-served-by")), (200, "token_count", None), f"{what}: {reply.text}")
    expect_true(2 <= reply.json["input_tokens"] <= 20 and list(reply.json) == ["input_tokens"], f"{what}: {reply.text}")


def count_elsewhere():
    """A stand-in counts with its own tokenizer where it has a door for that."""
    chat = b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"A"},"finish_reason":"stop"}]}'

    def tokenize(head, body):
        return http_answer(chat if b"/chat/completions " in head else b'{"count":37,"max_model_len":4096,"tokens":[1,2],"token_strs":null}')
    rich = dict(ASK, system="Be brief.", tools=[{"name": "f", "description": "d", "input_schema": {"type": "object"}}])
    with Raw(tokenize) as vllm, Raw(http_answer(b'{"input_tokens":41}')) as llama, Standin("open", words=3) as other:
        targets = {"dead": {"kind": "anthropic", "url": refused_url(), "key": "env:K"}, "v": {"kind": "vllm", "url": vllm.url + "/v1"},
                   "l": {"kind": "llama.cpp", "url": llama.url + "/v1"}, "o": {"kind": "openai-compatible", "url": other.url + "/v1"}}
        routes = [("claude-v", ["v/open-model"]), ("claude-l", ["l/gguf"]), ("claude-o", ["o/x"]), ("claude-d", ["dead", "v/open-model"])]
        with Serve(targets, routes=routes, env={"K": "sk"}, more="breaker: { failures: 1 }\n") as s:
            reply = post_json(s.url + "/v1/messages/count_tokens", dict(rich, model="claude-v"), CLAUDE)
            expect((reply.json, reply.headers.get("x-hotspare-served-by"), reply.headers.get("x-hotspare-lossy")), ({"input_tokens": 37}, "v", None), "vLLM")
            head, body = vllm.seen[0]
            said = json.loads(body)
            expect((head.split(b" ")[1], said["model"], [m["role"] for m in said["messages"]], len(said["tools"])), (b"/tokenize", "open-model", ["system", "user"], 1), "what vLLM was asked")
            reply = post_json(s.url + "/v1/messages/count_tokens", dict(rich, model="claude-l"), CLAUDE)
            expect((reply.json, llama.seen[0][0].split(b" ")[1], json.loads(llama.seen[0][1])["model"]), ({"input_tokens": 41}, b"/v1/messages/count_tokens", "gguf"), "llama.cpp")
            estimated(post_json(s.url + "/v1/messages/count_tokens", dict(ASK, model="claude-o"), CLAUDE), "a server without such a door")
            expect(other.stats()["requests"], 0, "requests it got")
            more = post_json(s.url + "/v1/messages/count_tokens", dict(rich, model="claude-o", system="word " * 500), CLAUDE)
            expect_true(more.json["input_tokens"] > 500, f"system and tools count: {more.text}")
            estimated(post_json(s.url + "/v1/messages/count_tokens", dict(ASK, model="claude-d"), CLAUDE), "Claude is not reached")
            expect(post_json(s.url + "/v1/messages", dict(ASK, model="claude-d", max_tokens=5), CLAUDE).headers.get("x-hotspare-served-by"), "v", "who answers; the lead's circuit opens")
            expect(post_json(s.url + "/v1/messages/count_tokens", dict(rich, model="claude-d"), CLAUDE).json, {"input_tokens": 37}, "while the lead is down, who answers counts")
            for bad, field in ((dict(ASK, model="claude-o", messages=[]), "messages"), (dict(ASK, model="claude-o", messages="x"), "messages"), ({"model": "claude-o"}, "messages")):
                reply = post_json(s.url + "/v1/messages/count_tokens", bad, CLAUDE)
                expect((reply.status, reply.json["error"]["type"]), (400, "invalid_request_error"), f"{bad}")
                expect_true(field in reply.json["error"]["message"], reply.text)
            expect(post_json(s.url + "/v1/messages/count_tokens", dict(ASK, model="nobody"), CLAUDE).status, 404, "an unknown model")


def recorded_counts():
    with Raw(None) as up:
        targets = {"up": {"kind": "anthropic", "url": up.url, "key": "env:K"}, "dead": {"kind": "anthropic", "url": refused_url(), "key": "env:K"}}
        with Serve(targets, routes=[("up-*", ["up"]), ("*", ["dead"])], env={"K": "sk"}) as s:
            for name, read, meta in recorded("anthropic-count-tokens"):
                sent, told = json.loads(read("request.json")), json.loads(read("response.json"))["input_tokens"]
                up.answer = http_answer(read("response.json"))
                reply = post_json(s.url + "/v1/messages/count_tokens", dict(sent, model="up-" + sent["model"]), CLAUDE)
                expect((reply.status, reply.body), (200, read("response.json")), f"{name} passed through")
                mine = post_json(s.url + "/v1/messages/count_tokens", sent, CLAUDE).json["input_tokens"]
                note(f"{name}: {told} counted, {mine} estimated ({100 * (mine - told) / told:+.0f} %)")
                expect_true(abs(mine - told) <= max(0.10 * told, 4), f"{name}: {told} counted, {mine} estimated")


# ---- /v1/models ----

def models():
    with Standin("one", words=3) as one:
        targets = {"lead": one.speaks("anthropic"), "spare": one.speaks("openai")}
        routes = [("claude-z", ["lead", "spare/small-1"]), ("claude-*", ["lead", "spare/small-1"]), ("small-*", ["spare/small-1", "spare/org/small-2"]), ("exact", ["spare"])]
        with Serve(targets, routes=routes) as s:
            for path in ("/v1/models", "/models", "/v1/v1/models", "/v1/models/"):
                openai = request("GET", s.url + path, headers={"authorization": "Bearer k"})
                expect((openai.status, openai.json["object"]), (200, "list"), path)
            ids = [m["id"] for m in openai.json["data"]]
            expect(len(ids), len(set(ids)), "each once")
            expect((ids[0], ids[-1]), ("claude-z", "exact"), "in the order of the routes")
            expect_true("small-1" in ids and sum(i.startswith("claude-") for i in ids) > 5, f"ids: {ids}")
            expect(openai.json["data"][0], {"id": "claude-z", "object": "model", "created": 0, "owned_by": "lead, then spare/small-1"}, "one entry")
            for path, headers in (("/v1/models?limit=1000", {"anthropic-version": "2023-06-01"}), ("/v1/models?limit=1000", {"x-api-key": "k"}), ("/anthropic/v1/models?limit=1000", {})):
                claude = request("GET", s.url + path, headers=headers).json
                expect(([m["id"] for m in claude["data"]], claude["has_more"], claude["first_id"], claude["last_id"]), (ids, False, ids[0], ids[-1]), f"{path} {headers}")
            expect((claude["data"][0]["type"], claude["data"][0]["display_name"]), ("model", "claude-z (lead, then spare/small-1)"), "who stands behind")
            seen, after = [], ""
            while True:
                page = request("GET", s.url + f"/v1/models?limit=3{after}", headers=CLAUDE).json
                seen += [m["id"] for m in page["data"]]
                after = f"&after_id={page['last_id']}"
                if not page["has_more"]:
                    break
            expect(seen, ids, "page by page")
            back = request("GET", s.url + f"/v1/models?limit=2&before_id={ids[4]}", headers=CLAUDE).json
            expect(([m["id"] for m in back["data"]], back["has_more"]), (ids[2:4], True), "backwards")
            for query in ("limit=0", "limit=1001", "limit=x", "limit=", "after_id=nobody", "before_id=nobody"):
                reply = request("GET", s.url + f"/v1/models?{query}", headers=CLAUDE)
                expect((reply.status, reply.json["error"]["type"]), (400, "invalid_request_error"), query)
            one_model = request("GET", s.url + "/v1/models/claude-anything", headers=CLAUDE)
            expect((one_model.status, one_model.json["id"], one_model.json["type"]), (200, "claude-anything", "model"), "any name that a route takes")
            expect(request("GET", s.url + "/v1/models/small%2Dorg%2Fx").json["id"], "small-org/x", "an escaped id")
            expect(request("HEAD", s.url + "/v1/models/exact").status, 200, "HEAD")
            for headers, member in ((CLAUDE, "type"), ({"authorization": "Bearer k"}, "error")):
                reply = request("GET", s.url + "/v1/models/nobody", headers=headers)
                expect((reply.status, "nobody" in reply.text, member in reply.json), (404, True, True), f"an unknown one: {reply.text}")
                expect("type" in reply.json, member == "type", "the caller's dialect")
            expect(one.stats()["requests"], 0, "nobody was asked")


# ---- /v1/embeddings ----

VECTORS = b'{"object": "list", "data":[{"object":"embedding","index":0,"embedding":[0.10,-1e-3]}],"model":"e5","usage":{"prompt_tokens":3,"total_tokens":3}}\n'


def embeddings():
    sent = b'{"input": [[1,2]],  "model":"text-embedding-3-small","encoding_format":"base64","novel":1.50}'
    with Raw(http_answer(VECTORS, more="x-request-id: req_7\r\n")) as a, Raw(http_answer(VECTORS)) as b, Standin("claude", words=3) as claude:
        targets = {"c": claude.speaks("anthropic"), "a": {"kind": "vllm", "url": a.url + "/v1"}, "b": {"kind": "openai-compatible", "url": b.url + "/base/v1", "key": "env:K"}}
        routes = [("text-embedding-*", ["c", "a", "b"]), ("two", ["a/e5", "b/e6"]), ("alias", ["b/e5"]), ("claude-*", ["c"])]
        with Serve(targets, routes=routes, env={"K": "sk-b"}, more="breaker: { failures: 2 }\n") as s:
            reply = request("POST", s.url + "/v1/embeddings", sent, {"authorization": "Bearer k"})
            expect((reply.status, reply.body, a.seen[0][1], reply.headers.get("x-hotspare-served-by")), (200, VECTORS, sent, "a"), "byte for byte")
            expect((a.seen[0][0].split(b" ")[1], reply.headers.get("x-request-id")), (b"/v1/embeddings", "req_7"), "path and request id")
            expect_true(b"Bearer k" not in a.seen[0][0], "the client's key stays here")
            reply = request("POST", s.url + "/v1/embeddings", b'{"input":"x","model":"alias"}')
            expect((b.seen[0][0].split(b" ")[1], b.seen[0][1], b"Bearer sk-b" in b.seen[0][0]), (b"/base/v1/embeddings", b'{"input":"x","model":"e5"}', True), "a named model")
            a.answer = http_answer(b'{"error":{"message":"overloaded"}}', status=503)
            reply = request("POST", s.url + "/v1/embeddings", sent)
            expect((reply.status, reply.body, b.seen[-1][1], reply.headers.get("x-hotspare-attempts")), (200, VECTORS, sent, "2"), "the same model elsewhere")
            before = len(b.seen)
            reply = request("POST", s.url + "/v1/embeddings", b'{"input":"x","model":"two"}')
            expect((reply.status, reply.text, len(b.seen)), (503, '{"error":{"message":"overloaded"}}', before), "never with another model")
            for rubbish in (http_answer(b"<html>", "text/html"), http_answer(b"{}"), http_answer(b"[", more="x: y\r\n"), b"HTTP/1.1 200 OK\r\n\r\n"):
                a.answer = rubbish
                expect(request("POST", s.url + "/v1/embeddings", sent).body, VECTORS, f"after {rubbish}")
            a.answer = http_answer(VECTORS)
            reply = request("POST", s.url + "/v1/embeddings", b'{"input":"x","model":"claude-x"}')
            expect((reply.status, reply.json["error"]["type"]), (400, "invalid_request_error"), "Claude has none")
            expect_true("embeddings" in reply.json["error"]["message"] and "vllm" in reply.json["error"]["message"], reply.text)
            expect((claude.stats()["requests"], request("POST", s.url + "/v1/embeddings", b"{").status, request("POST", s.url + "/v1/embeddings", b'{"model":"nobody"}').status), (0, 400, 404), "bad requests")
            line = s.wait_for(r'^(\{.*"openai-embeddings".*"a".*\})$').group(1)
            expect_true("text-embedding-3-small" in line and "[1,2]" not in line, f"access log: {line}")


def recorded_embeddings():
    count = 0
    with Raw(None) as up:
        with Serve({"up": {"kind": "openai-compatible", "url": up.url + "/v1"}}, chain=["up"], more="breaker: { failures: 1000 }\n") as s:
            for name, read, meta in recorded("openai-embeddings"):
                sent, answer, status = read("request.json"), read("response.json"), meta["status"]
                up.answer = http_answer(answer, status=status)
                reply = request("POST", s.url + "/v1/embeddings", sent, {"content-type": "application/json"})
                expect(up.seen[-1][1], sent, f"{name}: the request")
                if status == 401:  # the gateway's key, not the caller's
                    expect((reply.status, "key" in reply.json["error"]["message"]), (502, True), f"{name}: {reply.text}")
                else:
                    expect((reply.status, reply.body == answer), (status, True), f"{name}: the answer")
                count += 1
    note(f"openai-embeddings: {count} replayed byte for byte")


# ---- where the doors stand ----

def base_urls():
    with Standin("one", words=3) as one, Raw(http_answer(VECTORS)) as vectors:
        with Serve({"one": one.speaks("openai"), "e": {"kind": "vllm", "url": vectors.url + "/v1"}}, routes=[("e5", ["e"]), ("*", ["one"])]) as s:
            bodies = {"/messages": dict(ASK, max_tokens=9), "/messages/count_tokens": ASK, "/complete": legacy(), "/chat/completions": ASK, "/completions": {"model": "m", "prompt": "x"}, "/embeddings": {"model": "e5", "input": "x"}}
            for door, body in bodies.items():
                for before in ("/v1", "", "/v1/v1", "/anthropic/v1", "/anthropic"):
                    for behind in ("", "?beta=true&x=/y", "/"):
                        reply = post_json(s.url + before + door + behind, body)
                        expect(reply.status, 200, f"POST {before}{door}{behind}: {reply.text}")
                for method in ("GET", "PUT", "DELETE"):
                    reply = request(method, s.url + "/v1" + door)
                    expect_true(reply.status == 405 and f"POST /v1{door}" in reply.text, f"{method} {door}: {reply.status} {reply.text}")
                    expect("type" in reply.json, door in ("/messages", "/messages/count_tokens", "/complete"), f"the dialect of {door}")
                for wrong in ("/api/v1" + door, "/v2" + door, "/v1" + door + "/x", "/v1/v1/v1" + door):
                    reply = post_json(s.url + wrong, body)
                    expect_true(reply.status == 404 and f"Did you mean /v1{door}?" in reply.text, f"POST {wrong}: {reply.status} {reply.text}")
            expect_true("send GET /v1/models" in post_json(s.url + "/v1/models", {}).text, "POST /v1/models")
            for path in ("/", "/api/hello"):
                expect((request("GET", s.url + path).status, request("HEAD", s.url + path).body), (200, b""), path)
            for path in ("/nothing", "/v1", "/v1/", "/messagesx", "/v1/mess"):
                expect_true("/v1/messages" in post_json(s.url + path, {}).text, path)


def leaving():
    """Clients that go away while their errand runs take it along."""
    hold, gone = threading.Event(), 0

    def slow(head, body):
        hold.wait(20)
        return http_answer(VECTORS)
    with Raw(slow) as up:
        with Serve({"v": {"kind": "vllm", "url": up.url + "/v1"}}, chain=["v"]) as s:
            host, port = s.url.removeprefix("http://").split(":")
            for path, body in (("/v1/embeddings", b'{"model":"m","input":"x"}'), ("/v1/messages/count_tokens", json.dumps(ASK).encode())):
                with socket.create_connection((host, int(port))) as c:
                    c.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                    end = time.monotonic() + 20
                    while not any(path.split("/")[2][:5] in str(h) or b"tokenize" in h for h, _ in up.seen):
                        expect_true(time.monotonic() < end, "the target is asked")
                        time.sleep(0.01)
                gone += 1
                s.wait_for("client_gone" + r"[\s\S]*client_gone" * (gone - 1))
                up.seen.clear()
            hold.set()


CASES = [(legacy_prompts, "legacy_claude_prompts_are_answered_by_either_upstream"), (plain_prompts, "the_plain_form_has_its_defaults_and_says_what_is_wrong"),
         (completions_usage_and_errors, "text_completions_tell_usage_and_refuse_by_name"), (completions_pass, "text_completions_pass_byte_for_byte_where_the_target_has_them"), (completions_go_on, "a_cut_text_completion_is_gone_on_with_as_a_chat"),
         (count_passes, "a_count_of_tokens_passes_or_is_estimated_and_said"),
         (count_elsewhere, "who_would_answer_counts_the_tokens"), (models, "models_are_listed_in_the_callers_dialect_with_who_stands_behind"),
         (embeddings, "embeddings_pass_and_never_change_their_model"), (base_urls, "each_door_stands_behind_each_base_url"), (leaving, "a_client_that_leaves_takes_its_errand_along")]
RECORDED = [(recorded_completions, "recorded_completions_are_answered_or_refused_by_name"), (recorded_completions_pass, "recorded_completions_pass_byte_for_byte"), (recorded_counts, "recorded_counts_pass_and_the_estimate_is_near"),
            (recorded_embeddings, "recorded_embeddings_pass_byte_for_byte")]
for work, name in CASES:
    with claim(name):
        work()
for work, name in RECORDED:
    if CORPUS:
        with claim(name):
            work()
    else:
        skip(name, "HOTSPARE_CORPUS is not set")
finish()
