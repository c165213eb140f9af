#!/usr/bin/env python3
"""`hotspare probe` asks stand-ins with planted gaps: each is found, and nothing else; what it stored changes what the
chain sends, as the upstream sees it; and no damaged file stops a gateway."""
import contextlib
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *  # noqa: E402,F403
from harness import Serve, Standin, refused_url, words  # noqa: E402
from probing import Config, TOOLS, WORDS, findings, state  # noqa: E402
from talk import chat, chat_text, messages, messages_text  # noqa: E402

CHAT_ONLY = ("stream-options", "stream-usage")
PIXEL = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
# gap -> where it shows at the two doors, and what the file says of it
GAPS = {"stream": "stream=no", "stream-end": "stream=no", "stream-options": "stream_options=no", "stream-usage": None, "tools": "tools=no",
        "tool-calls": "tools=no", "forced-tool": "forced_tool=no", "parallel-tools": None, "images": "images=no", "pdf": "pdf=no",
        "json-schema": "json_schema=no", "stop": "stop=no", "max-tokens": None, "thinking": None, "prefill": "prefill=no"}


@contextlib.contextmanager
def lacking(*gaps, tools=True):
    more = ["--lacks", ",".join(gaps)] if gaps else []
    with Standin("it", words=WORDS, tools=TOOLS if tools else None, more=more) as s:
        with Config({"m": s.speaks("anthropic"), "c": s.speaks("openai")}, ["m/x", "c/x"]) as config:
            yield s, config


def ask(gateway, **more):
    return post_json(gateway.url + "/v1/messages", messages(**more))


# ---- what is found ----

with lacking() as (s, config), claim("a_complete_stand_in_has_no_finding"):
    code, found, said = config.probe("--all")
    expect((code, findings(found["m"]), findings(found["c"])), (0, [], []), "code and findings")
    expect("no" in [f.split("=")[1] for line in config.kept().values() for f in line[4].split(",")], False, "a lack is stored")
    for target in found.values():
        expect([r["name"] for r in target["doors"][0]["rows"] if r["state"] == "unclear"], [], "unclear")

for gap, fact in GAPS.items():
    with lacking(gap) as (s, config), claim("exactly_this_is_found: " + gap):
        code, found, said = config.probe("--all")
        expect(code, 1, "exit code")
        for name in ("m", "c"):
            planted = [gap] if name == "c" or gap not in CHAT_ONLY else []
            expect(findings(found[name]), planted, name)
            lacks = [f for f in config.kept()[name][4].split(",") if f.endswith("=no")]
            own = {"thinking": "reasoning_effort=no" if name == "c" else "thinking=no"}.get(gap, fact)
            if gap == "stream-end" and name == "c":
                own = None  # a chat stream has told its reason to stop: the gateway reads it to its end
            expect(lacks, [own] if planted and own else [], name + " stored")

with lacking("images", "tools", "stop") as (s, config), claim("several_gaps_are_several_findings"):
    code, found, said = config.probe("--all")
    for name in ("m", "c"):
        expect(sorted(findings(found[name])), ["images", "stop", "tools"], name)

with lacking("images", "forced-tool") as (s, config), claim("the_table_tells_state_and_reason"):
    done = config.run("probe", "c/x")
    expect(done.returncode, 1, "exit code")
    for line in (r"images +refused +400: image input is not supported by this model; the gateway asks another target",
                 r"forced-tool +degraded +400: tool_choice: only auto and none are supported; it is asked another way: tool_choice"):
        expect_true(re.search(f"^  {line}$", done.stdout, re.M), done.stdout)
    expect_true(re.search(r"^  text +works", done.stdout, re.M), done.stdout)

# ---- what it changes ----

def pictures(gateway):
    body = messages()
    body["messages"][0]["content"] = [PIXEL, {"type": "text", "text": "look"}]
    return post_json(gateway.url + "/v1/messages", body)


def asked_for(standin, call):
    """How many requests a call makes there, and the reply."""
    before = standin.stats()["requests"]
    reply = call()
    return standin.stats()["requests"] - before, reply


with lacking("images", "json-schema") as (s, config), Standin("able", words=WORDS) as able, \
        claim("the_chain_does_what_was_found_out"):
    config.probe("m")
    own = {"m": s.speaks("anthropic"), "able": able.speaks("anthropic")}
    with Serve(own, chain=["m/x", "able/x"], more=config.more()) as g:
        count, reply = asked_for(s, lambda: pictures(g))
        expect((count, reply.status, reply.headers.get("x-hotspare-served-by")), (0, 200, "able"), "a picture in the target's own format")
    speaks = {"c": s.speaks("openai"), "able": able.speaks("openai")}
    schema = {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}
    with Serve(speaks, chain=["c/x", "able/x"]) as g:
        expect(asked_for(s, lambda: pictures(g))[0], 1, "unprobed: asked for what it refuses")
        ask(g, **schema)
        expect(s.last()["response_format"]["type"], "json_schema", "unprobed: asked for a format it ignores")
    expect(config.probe("c")[0], 1, "exit code")
    with Serve(speaks, chain=["c/x", "able/x"], more=config.more()) as g:
        count, reply = asked_for(s, lambda: pictures(g))
        expect((count, reply.status, reply.headers.get("x-hotspare-served-by")), (0, 200, "able"), "a picture")
        reply = ask(g, **schema)
        expect((reply.headers.get("x-hotspare-served-by"), reply.headers.get("x-hotspare-lossy")), ("c", "output_format"), "a format")
        expect_true("json_schema" not in json.dumps(s.last().get("response_format")), "a schema was sent")

with lacking("stream") as (s, config), claim("who_does_not_stream_is_asked_whole_and_clients_get_a_stream"):
    config.probe("--all")
    for name in ("m", "c"):
        speaks = {name: s.speaks("anthropic" if name == "m" else "openai")}
        with Serve(speaks, chain=[name + "/x"]) as g:
            expect_true(not messages_text(ask(g, stream=True))[1], "unprobed: no stream")
        with Serve(speaks, chain=[name + "/x"], more=config.more()) as g:
            reply = ask(g, stream=True)
            expect(messages_text(reply), (words(WORDS), True), "the stream")
            expect(reply.headers.get("x-hotspare-served-by"), name, "served by")
            expect(s.last().get("stream", False), False, "asked to stream")

with lacking("tool-calls") as (s, config), Standin("able", words=WORDS, tools=TOOLS) as able:
    with claim("who_never_calls_tools_is_passed_over_while_another_can"):
        config.probe("--all")
        tools = [{"name": n, "input_schema": {"type": "object"}} for n in TOOLS]
        speaks = {"m": s.speaks("anthropic"), "able": able.speaks("anthropic")}
        with Serve(speaks, chain=["m/x", "able/x"], more=config.more()) as g:
            expect(ask(g).headers.get("x-hotspare-served-by"), "m", "without tools")
            expect(ask(g, tools=tools).json["stop_reason"], "tool_use", "with tools")
        with Serve({"m": speaks["m"]}, chain=["m/x"], more=config.more()) as g:
            expect(ask(g, tools=tools).status, 200, "the last one left")

with lacking("stop") as (s, config), claim("bytes_do_not_pass_where_they_ask_for_what_is_lacking"):
    config.probe("m")
    with Serve({"m": s.speaks("anthropic")}, chain=["m/x"], more=config.more()) as g:
        reply = ask(g, stop_sequences=["w7"])
        expect((reply.status, reply.headers.get("x-hotspare-lossy")), (200, "stop_sequences"), "answer")
        expect_true("stop_sequences" not in s.last(), "stop sequences were sent")

with lacking("images") as (s, config), claim("old_findings_and_other_addresses_are_not_believed"):
    config.probe("c")
    path = os.path.join(config.state, "capabilities")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    then = str(int((time.time() - 31 * 86400) * 1e6))
    for other in (text.replace(config.kept()["c"][3], then), text.replace("http://127.0.0.1:", "http://127.0.0.2:")):
        with open(path, "w", encoding="utf-8") as f:
            f.write(other)
        with Serve({"c": s.speaks("openai")}, chain=["c/x"], more=config.more()) as g:
            expect(asked_for(s, lambda: pictures(g))[0], 1, "presumed again")

# ---- what is told of it elsewhere ----

with Standin("slow", words=WORDS, rate=200, first_token="100ms", more=["--lacks", "stop"]) as s, \
        Config({"c": s.speaks("openai")}, ["c/x"]) as config:
    with claim("explain_says_what_was_probed_and_when"):
        presumed = config.run("config", "explain", "targets.c").stdout
        expect_true(re.search(r"^c/x can carry\n(?:.*\n)*  stop +yes +presumed: ", presumed, re.M), presumed)
        config.probe("c")
        day = time.strftime("%Y-%m-%d", time.gmtime())
        told = config.run("config", "explain", "targets.c").stdout
        expect_true(re.search(rf"^  stop +no +probed {day}$", told, re.M) or day != time.strftime("%Y-%m-%d", time.gmtime()), told)
    with claim("explain_chain_goes_by_what_was_probed"):
        told = config.run("config", "explain", "--chain").stdout
        expect_true(re.search(r"^  1\. c/x: kind .*\n     known from: .*\n     probed \d{4}-\d\d-\d\d: (.*, )?stop=no(, .*)?$", told, re.M), told)
        expect_true("chat completions, asked in openai-chat: as it is, but written anew where" in told, told)
        expect_true(re.search(r"degraded: (.*, )?stop sequence \(stop_sequences\)", told), told)
        os.rename(config.state, config.state + ".away")
        told = config.run("config", "explain", "--chain").stdout
        os.rename(config.state + ".away", config.state)
        expect_true("probed" not in told and not re.search(r"degraded: (.*, )?stop sequence \(stop_sequences\)", told), told)
    with claim("matrix_shows_what_the_probe_measured"):
        done = config.run("matrix", "--json")
        rows = [r for r in json.loads(done.stdout)["rows"] if r["kind"] == "live"]
        expect([(r["provider"], r["model"]) for r in rows], [("c", "x")], "rows")
        first, speed = rows[0]["first_token_seconds"], rows[0]["tokens_per_second"]
        expect((first["basis"], speed["basis"], first["as_of"]), ("measured", "measured", speed["as_of"]), "basis")
        expect_true(re.fullmatch(r"\d{4}-\d\d-\d\d", first["as_of"]) and first["as_of"] in rows[0]["when"], rows[0])
        expect_true(first["value"] >= 0.1 and 0 < speed["value"] < 400, rows[0])
        expect(rows[0]["usd_per_million_in"], None, "no price is made up")

# ---- native Messages ----

with Standin("it", words=WORDS, tools=TOOLS) as s, Config({"v": {"kind": "vllm", "url": s.url}}, ["v/x"]) as config:
    with claim("a_messages_door_of_its_own_is_used_once_it_has_been_probed"):
        thinks = {"metadata": {"user_id": "u"}}
        with Serve({"v": {"kind": "vllm", "url": s.url}}, chain=["v/x"]) as g:
            ask(g, **thinks)
            expect_true("metadata" not in s.last(), "translated before")
        code, found, said = config.probe("v")
        expect((code, len(found["v"]["doors"]), found["v"]["facts"]["messages"]), (0, 2, True), "both doors")
        with Serve({"v": {"kind": "vllm", "url": s.url}}, chain=["v/x"], more=config.more()) as g:
            expect(messages_text(ask(g, stream=True, **thinks)), (words(WORDS), True), "answer")
            expect(s.last().get("metadata"), {"user_id": "u"}, "as it came")
            expect(chat_text(post_json(g.url + "/v1/chat/completions", chat()))[0], words(WORDS), "its Chat door still")

# ---- money, plans and trouble ----

with Standin("it", words=WORDS) as s:
    hosted = {"kind": "openai", "url": s.url + "/v1", "key": "env:PROBE_KEY", "plain_http": True}
    env = {"PROBE_KEY": "sk-probe-secret-0123456789"}
    with Config({"o": hosted}, ["o/gpt-5.6"]) as config:
        with claim("a_dry_run_asks_nothing_and_tells_the_price"):
            done = config.run("probe", "o", "--dry-run", env=env)
            expect((done.returncode, s.stats()["requests"]), (0, 0), "code and requests")
            expect_true(re.search(r"o/gpt-5.6: at most \d+ calls, \d+ tokens in and \d+ out: ", done.stdout), done.stdout)
        with claim("what_costs_money_wants_a_yes"):
            done = config.run("probe", "o", env=env)
            expect((done.returncode, s.stats()["requests"]), (64, 0), "code and requests")
            expect_true("--yes" in done.stderr, done.stderr)
        with claim("the_spend_cap_ends_it_and_the_key_is_never_shown"):
            done = config.run("probe", "o", "--yes", "--price", "1,2", "--spend-cap", "2000", "--json", env=env)
            target = json.loads(done.stdout)["targets"][0]
            expect_true(0 < target["tokens_in"] + target["tokens_out"] <= 2000, target)
            expect(state(target, "long-context"), "unclear", "what is too dear")
            expect_true(env["PROBE_KEY"] not in done.stdout + done.stderr, "the key")

with Config({"gone": {"kind": "standin", "url": refused_url(), "speaks": "openai"}}, ["gone/x"]) as config:
    with claim("a_target_that_is_not_there_is_told_and_nothing_stored"):
        code, found, said = config.probe("gone")
        expect((code, found["gone"]["state"]), (69, "no answer"), "code and state")
        expect_true(not os.path.exists(os.path.join(config.state, "capabilities")), "stored")
    with claim("usage_errors"):
        for args in ((), ("gone", "--all"), ("nobody",), ("--all", "--spend-cap", "x"), ("--all", "--context", "9")):
            expect(config.run("probe", *args).returncode, 64, args)

with lacking("images") as (s, config), claim("a_damaged_file_is_told_and_costs_no_more_than_itself"):
    config.probe("c")
    path = os.path.join(config.state, "capabilities")
    with open(path, "rb") as f:
        good = f.read()
    lines = good.split(b"\n")
    for text, believed in ((b"\0\xff" * 500, False), (b"hotspare capabilities 2\n" + lines[1] + b"\n", False),
                           (good + b"half\ta line", True), (lines[0] + b"\n" + b"x" * 9000 + b"\n" + lines[1] + b"\n", True),
                           (good.replace(b"images=no", b"hearing=no,images=no"), True), (b"", False)):
        with open(path, "wb") as f:
            f.write(text)
        with Serve({"c": s.speaks("openai")}, chain=["c/x"], more=config.more()) as g:
            expect(asked_for(s, lambda: pictures(g))[0], 0 if believed else 1, text[:40])
            damaged = "hearing" not in text.decode(errors="replace")
            expect("capabilities_file_damaged" in g.said(), damaged, text[:40])

finish()
