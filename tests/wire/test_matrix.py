#!/usr/bin/env python3
"""hotspare matrix: the source's rows and their successors, forms of output, questions by flags, live numbers."""
import csv
import io
import os
import sys
import xml.dom.minidom

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import *  # noqa: E402,F403
from harness import BIN  # noqa: E402
from talk import *  # noqa: E402,F403


def run(*argv):
    return subprocess.run([BIN, "matrix", *argv], env=clean_env(), capture_output=True, text=True, timeout=60)


def rows(*argv):
    p = run(*argv, "--json")
    expect(p.returncode, 0, p.stderr)
    document = json.loads(p.stdout)
    expect(document["schema"], "hotspare.matrix/1")
    return document["rows"]


def named(table, part):
    return [r for r in table if part in r["model"]][0]


with claim("the_sources_rows_stand_beside_their_successors_and_every_value_says_where_it_is_from"):
    table = rows()
    expect({r["stands_for"] for r in table} - {None}, {"GPT-4 class", "Mistral 7B", "Llama 2 13B"}, "rows of the source")
    expect_true(len(table) > 15, "successors")
    for r in table:
        for key, v in r.items():
            if isinstance(v, dict):
                expect_true(v["basis"] in ("listed", "estimated") and v["as_of"] and v["value"] > 0, f"{r['model']} {key}: {v}")
        if r["kind"] == "cloud":
            expect((r["total_seconds"], r["first_token_seconds"], r["tokens_per_second"]), (None, None, None), "latency nobody measured")
            expect(r["usd_per_million_in"]["basis"], "listed")
        else:
            expect_true(r["total_seconds"]["basis"] == "estimated" and r["total_seconds"]["least"] < r["total_seconds"]["value"] < r["total_seconds"]["most"], f"{r}")

with claim("listed_prices_are_those_of_the_table_and_blended_by_the_ratio"):
    for ratio in (2, 10):
        r = named(rows("--in-out-ratio", str(ratio)), "claude-sonnet-5")
        expect((r["usd_per_million_in"]["value"], r["usd_per_million_out"]["value"]), (2, 10))
        expect(round(r["usd_per_million_blended"]["value"], 4), round((2 * ratio + 10) / (ratio + 1), 4), "blended")

with claim("rent_and_volume_decide_what_own_cards_cost"):
    once, twice = (named(rows("--price-per-gpu-hour", usd), "gpt-oss-120b mxfp4")["usd_per_million_blended"]["value"] for usd in ("1", "2"))
    expect(round(twice / once, 6), 2.0, "twice the rent")
    few = named(rows("--price-per-gpu-hour", "2", "--tokens-per-day", "1000000"), "gpt-oss-120b mxfp4")
    expect(round(few["usd_per_million_blended"]["value"], 3), 48.0, "24 hours of 2 USD for one million tokens")
    many = named(rows("--price-per-gpu-hour", "2", "--tokens-per-day", "1000000000"), "gpt-oss-120b mxfp4")
    expect(round(few["usd_per_day"]["value"], 3), 48.0, "a day of own cards")
    hosted = named(rows("--tokens-per-day", "5000000", "--in-out-ratio", "4"), "claude-sonnet-5")
    expect((round(hosted["usd_per_day"]["value"], 4), hosted["usd_per_day"]["basis"]), (5 * (4 * 2 + 10) / 5, "listed"), "a day of a hosted model")
    expect(named(rows(), "claude-sonnet-5")["usd_per_day"], None, "no volume, no day")
    sets = many["usd_per_million_blended"]["value"] * 1000 / 48
    need = 1e9 / 3 / (many["tokens_per_second_all"]["value"] * 86400)
    expect(round(sets), -(-need // 1), "sets of cards for the answers")

with claim("the_order_follows_the_question"):
    def key(name, table):
        return [r[name]["value"] for r in table if r[name]]
    cost, fast, good = key("usd_per_million_blended", rows("--for", "cost")), key("total_seconds", rows("--for", "latency")), key("swe_bench_verified", rows("--for", "quality"))
    expect((cost, fast, good), (sorted(cost), sorted(fast), sorted(good, reverse=True)), "order")
    free = rows("--for", "open-source")
    expect({r["kind"] for r in free}, {"own", "cloud"}, "open weights, own and hosted")
    expect({r["provider"] for r in free if r["kind"] == "cloud"}, {"mistral", "deepseek", "groq", "aws-bedrock"}, "hosted ones")

with claim("other_cards_change_what_fits"):
    table = rows("--gpu", "L4")
    r = named(table, "gpt-oss-120b mxfp4")
    expect((r["total_seconds"], "does not fit" in r["when"]), (None, True), "120b on 24 GiB")
    expect_true(named(table, "Mistral-7B-Instruct")["total_seconds"], "7b on 24 GiB")

with claim("csv_and_table_hold_the_same_rows"):
    table, sheet = rows(), list(csv.DictReader(io.StringIO(run("--csv").stdout)))
    expect([r["model"] for r in sheet], [r["model"] for r in table], "rows")
    expect(float(named(sheet, "claude-sonnet-5")["usd_per_million_out"]), 10.0)
    expect(named(sheet, "claude-sonnet-5")["total_seconds"], "", "a blank")
    expect_true(all(r["model"] in run().stdout for r in table if len(r["model"]) < 30), "the table for people")
    expect_true(len(rows("--all")) > 110, "--all")

with claim("the_picture_is_good_xml_with_a_point_for_each_price_time_and_speed"):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m.svg")
        expect(run("--svg", path).returncode, 0)
        dots = len(xml.dom.minidom.parse(path).getElementsByTagName("circle"))
        shown = ("usd_per_million_blended", "total_seconds", "tokens_per_second")
        on_map = sum(1 for r in rows() if r["usd_per_million_blended"] and r["total_seconds"])
        expect_true(on_map > 5, "cost against latency has points")
        expect(dots, sum(1 for r in rows() for name in shown if r[name]) + on_map, "points")
        expect(run("--svg", os.path.join(folder, "no", "m.svg")).returncode, 74)

with claim("a_running_gateway_adds_what_it_has_measured"):
    with Standin("claude", words=40, rate=400, first_token="50ms") as c, Serve({"claude": c.speaks("anthropic")}, chain=["claude"]) as s:
        expect([r for r in rows("--admin", s.admin) if r["kind"] == "live"], [], "nothing measured yet")
        for _ in range(5):
            expect(post_json(s.url + "/v1/messages", messages(stream=True)).status, 200)
        live = [r for r in rows("--admin", s.admin) if r["kind"] == "live"]
        expect([(r["model"], r["when"]) for r in live], [("claude", "measured here, 5 answers of 40 tokens")])
        seen = s.metrics()
        for name, value in (("first_token_seconds", seen['hotspare_client_ttft_seconds_sum{served_by="claude"}'] / 5),
                            ("total_seconds", seen['hotspare_client_duration_seconds_sum{served_by="claude"}'] / 5)):
            expect((live[0][name]["basis"], round(live[0][name]["value"], 4)), ("measured", round(value, 4)), name)
        expect_true(live[0]["first_token_seconds"]["value"] >= 0.05 and live[0]["tokens_per_second"], f"{live[0]}")
        expect((live[0]["usd_per_million_in"], live[0]["tokens_per_second_all"]), (None, None), "what a gateway cannot know")

with claim("a_gateway_that_is_not_there_and_bad_options_are_told"):
    for argv, code, text in ((("--admin", refused_url()), 69, "does not answer"), (("--admin", "https://127.0.0.1:1"), 69, "http://"), (("--for", "fun"), 64, "cost"),
                             (("--gpu", "abacus"), 64, "accelerator"), (("--in-out-ratio", "x"), 64, "number"), (("more",), 64, "option")):
        p = run(*argv)
        expect_true(p.returncode == code and text in p.stderr, f"{argv}: {p}")
finish()
