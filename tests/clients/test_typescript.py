#!/usr/bin/env python3
"""The Anthropic and OpenAI TypeScript SDKs, unmodified, each against the other side's stand-in.

This file starts the processes; anthropic.mjs and openai.mjs are the clients. They print "ok CLAIM" or
"not ok CLAIM" lines, which are handed on with the lead's fate in the name.
"""
from clients import *

need(NODE)


def run(script, s, spare, caller, how):
    env = clean_env(BASE_URL=s.url, SPARE_URL=spare.url, CALLER_URL=caller.url, WORDS=words(WORDS), SAW_ONE=SAW_ONE, PNG=PNG_BASE64, WEATHER=json.dumps(WEATHER))
    # Modules are found from the script's own place; the pinned ones live under build/clients.
    target = os.path.join(os.path.dirname(MODULES), script)
    for name in (script, "ts_check.mjs"):
        shutil.copy(os.path.join(HERE, name), os.path.dirname(target))
    p = subprocess.run([NODE, target], env=env, capture_output=True, text=True, timeout=120)
    seen = 0
    for line in p.stdout.splitlines():
        m = re.match(r"(not )?ok (\w+)(?: (.*))?$", line)
        if m:
            seen += 1
            result(f"{m.group(2)}_with_lead_{fate}", not m.group(1), (m.group(3) or "").replace("\\n", "\n"))
    if p.returncode or not seen:
        result(f"{script}_runs_to_its_end_with_lead_{fate}", False, p.stdout + p.stderr + s.said()[-3000:])


for how in ("refused", "529", "org-disabled", "cut@6"):
    fate = how.replace("-", "_").replace("@", "_")
    for script, dialect, model, lead_model in (("anthropic.mjs", "openai", "gpt-spare", ""), ("openai.mjs", "anthropic", "claude-spare", "/claude-lead")):
        with dead_lead(how, "anthropic") as lead, Standin("wrong", fault="400") as wrong, Standin("spare", words=WORDS) as spare, Standin("caller", tools={"get_weather": WEATHER}, words=WORDS) as caller:
            with Serve({"lead": lead, "wrong": wrong.speaks("anthropic"), "spare": spare.speaks(dialect), "caller": caller.speaks(dialect)},
                       routes=[("claude-wrong-*", ["wrong", "spare/" + model]), ("*-tools-*", ["lead" + lead_model, "caller/" + model]), ("*", ["lead" + lead_model, "spare/" + model])]) as s:
                run(script, s, spare, caller, how)
finish()
