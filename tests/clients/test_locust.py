#!/usr/bin/env python3
"""Real Locust, headless: 100 users for 20 seconds on /v1/completions, and not one failure.

locustfile.py sends what a load test of a Mistral server sends. Nobody here speaks completions: the
answers come from a stand-in that speaks OpenAI chat, and the lead of the chain is dead.
"""
import csv

from clients import *

need(LOCUST)
USERS, SECONDS = 100, 20

with claim("locust_100_users_for_20_seconds_without_a_failure"):
    folder = tempfile.mkdtemp(prefix="hotspare-locust-")
    try:
        with Standin("spare", words=WORDS) as spare, dead_lead("529", "openai") as lead:
            with Serve({"lead": lead, "spare": spare.speaks("openai")}, chain=["lead", "spare"]) as s:
                p = subprocess.run([LOCUST, "-f", os.path.join(HERE, "locustfile.py"), "--headless", "--users", str(USERS), "--spawn-rate", str(USERS),
                                    "--run-time", f"{SECONDS}s", "--host", s.url, "--csv", os.path.join(folder, "run"), "--only-summary"],
                                   cwd=folder, env=clean_env(), capture_output=True, text=True, timeout=SECONDS + 60)
                with open(os.path.join(folder, "run_stats.csv"), encoding="utf-8") as f:
                    total = [row for row in csv.DictReader(f) if row["Name"] == "Aggregated"][0]
                note(f"{total['Request Count']} requests, {total['Failure Count']} failures, median {total['Median Response Time']} ms, 99 % {total['99%']} ms")
                expect(int(total["Failure Count"]), 0, "failures")
                expect(p.returncode, 0, "exit code of Locust")
                # 100 users who wait 1.25 s on average: about 1,500 requests when nothing is slow.
                expect_true(int(total["Request Count"]) > USERS * SECONDS / 4, f"only {total['Request Count']} requests in {SECONDS} s")
                answer = post_json(s.url + "/v1/completions", {"model": "mistral-7b", "prompt": "x", "max_tokens": 64}).json
                expect(answer["object"], "text_completion", "object")
                expect(answer["choices"][0]["text"].strip(), words(WORDS), "text")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
finish()
