#!/usr/bin/env python3
"""The Anthropic and OpenAI Python SDKs, unmodified, at the smaller doors: counts, models, legacy prompts, embeddings."""
from clients import *

in_venv()
import anthropic  # noqa: E402
import openai  # noqa: E402

sys.path.insert(0, os.path.join(HERE, "..", "wire"))
from talk import Raw, http_answer  # noqa: E402

ASK = [{"role": "user", "content": "Count."}]
TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}
VECTOR = [0.5, -0.25, 1.0]
PROMPT = "\n\nHuman: Count.\n\nAssistant:"


def counts(client):
    bare = client.messages.count_tokens(model="claude-opus-5-5", messages=ASK).input_tokens
    more = client.messages.count_tokens(model="claude-opus-5-5", messages=ASK, system="Be brief.", tools=[TOOL]).input_tokens
    expect_true(0 < bare < 30 and more > bare + 400, f"{bare} and {more} tokens")
    expect(client.beta.messages.count_tokens(model="claude-opus-5-5", messages=ASK).input_tokens, bare, "the beta door")
    try:
        client.messages.count_tokens(model="claude-opus-5-5", messages=[])
    except anthropic.BadRequestError as e:
        expect(e.body["error"]["type"], "invalid_request_error", "error type")
    else:
        raise AssertionError("no message was counted")


def claude_models(client):
    ids = [m.id for m in client.models.list(limit=2)]  # page after page
    expect((len(ids), len(set(ids))), (8, 8), f"models: {ids}")
    one = client.models.retrieve("claude-opus-5-5")
    expect((one.id, one.type, one.display_name), ("claude-opus-5-5", "model", "claude-opus-5-5 (dead, then spare/gpt-spare)"), "one model")
    try:
        client.models.retrieve("nobody")
    except anthropic.NotFoundError as e:
        expect(e.body["error"]["type"], "not_found_error", "error type")
    else:
        raise AssertionError("nobody was found")


def legacy(client):
    """The SDK has lost this door's methods; what it has left is its own post() and its stream of events."""
    ask = {"model": "claude-2.1", "prompt": PROMPT, "max_tokens_to_sample": 200}
    whole = client.post("/v1/complete", cast_to=object, body=ask)
    expect((whole["completion"], whole["stop_reason"], whole["type"], whole["model"]), (words(WORDS), "stop_sequence", "completion", "claude-2.1"), "whole")
    try:
        client.post("/v1/complete", cast_to=object, body=dict(ask, prompt="Count."))
    except anthropic.BadRequestError as e:
        expect_true("Human:" in e.message, e.message)
    else:
        raise AssertionError("a prompt without turns was let through")


def openai_models(client):
    models = client.models.list().data
    expect_true(len(models) == 9 and all(m.object == "model" and "spare" in m.owned_by or m.id == "embed" for m in models), f"models: {models}")
    expect(client.models.retrieve("claude-opus-5-5").owned_by, "dead, then spare/gpt-spare", "one model")
    try:
        client.models.retrieve("nobody")
    except openai.NotFoundError as e:
        expect(e.code, "model_not_found", "code")
    else:
        raise AssertionError("nobody was found")


def vectors(client, up):
    answer = client.embeddings.create(model="embed", input=["Count."])
    expect((answer.data[0].embedding, answer.usage.total_tokens), (VECTOR, 2), "the vector")
    expect(json.loads(up.seen[-1][1])["encoding_format"], "base64", "what the SDK asks for by itself")
    try:
        client.embeddings.create(model="claude-x", input="x")
    except openai.BadRequestError as e:
        expect_true("embeddings" in e.message, e.message)
    else:
        raise AssertionError("Claude made a vector")


def text_completions(client):
    chunks = list(client.completions.create(model="claude-x", prompt=["Count."], max_tokens=5, stream=True, stream_options={"include_usage": True}))
    expect(("".join(c.text for k in chunks for c in k.choices), chunks[-1].usage.completion_tokens), (words(5), 5), "streamed")
    for wrong in ({"prompt": [1, 2]}, {"prompt": "x", "echo": True}, {"prompt": "x", "n": 2}, {"prompt": "x", "suffix": "s"}):
        try:
            client.completions.create(model="claude-x", **wrong)
        except openai.BadRequestError as e:
            expect_true(e.param in wrong, f"{wrong}: {e.body}")
        else:
            raise AssertionError(f"{wrong} was let through")


encoded = base64.b64encode(struct.pack("<3f", *VECTOR)).decode()
embedding = json.dumps({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": encoded}], "model": "embed", "usage": {"prompt_tokens": 2, "total_tokens": 2}}).encode()
with Standin("spare", words=WORDS) as spare, Raw(http_answer(embedding)) as up:
    targets = {"dead": {"kind": "anthropic", "url": refused_url(), "key": "env:K"}, "spare": spare.speaks("anthropic"), "up": {"kind": "vllm", "url": up.url + "/v1"}}
    with Serve(targets, routes=[("claude-*", ["dead", "spare/gpt-spare"]), ("embed", ["up"])], env={"K": "sk-x"}) as s:
        for base in ("", "/anthropic"):
            claude = anthropic.Anthropic(base_url=s.url + base, api_key="sk-any", max_retries=0, timeout=30)
            with claim(f"anthropic_python_counts_tokens_at_{base or 'root'}"):
                counts(claude)
            with claim(f"anthropic_python_legacy_prompts_at_{base or 'root'}"):
                legacy(claude)
        with claim("openai_python_embeddings"):
            vectors(openai.OpenAI(base_url=s.url + "/v1", api_key="sk-any", max_retries=0, timeout=30), up)
        with claim("openai_python_models"):
            openai_models(openai.OpenAI(base_url=s.url + "/v1", api_key="sk-any", max_retries=0, timeout=30))
        with claim("openai_python_text_completions"):
            text_completions(openai.OpenAI(base_url=s.url, api_key="sk-any", max_retries=0, timeout=30))
    with Serve(targets, routes=[("claude-*", ["dead", "spare/gpt-spare"])], env={"K": "sk-x"}) as s:
        with claim("anthropic_python_models_page_by_page"):
            claude_models(anthropic.Anthropic(base_url=s.url, api_key="sk-any", max_retries=0, timeout=30))
finish()
