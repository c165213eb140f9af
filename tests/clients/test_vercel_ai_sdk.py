#!/usr/bin/env python3
"""The Vercel AI SDK, unmodified, with its Anthropic, OpenAI and openai-compatible providers, each against the other
side's stand-in. This file starts the processes; vercel_ai_sdk.mjs is the client.
"""
from clients import *

need(NODE)
for how in ("refused", "cut@6"):
    for client in ("anthropic", "openai"):
        with stage(how, client) as st:
            st.run([NODE, node_script("vercel_ai_sdk.mjs"), client], f"vercel_ai_sdk_{client}")
            if client == "anthropic":
                with claim(f"vercel_ai_sdk_runs_the_lines_that_connect_prints_with_lead_{st.fate}"):
                    said = subprocess.run([BIN, "connect", "vercel-ai-sdk", "--url", st.serve.url, "--model", "claude-1"], capture_output=True, text=True, check=True, timeout=60)
                    script = os.path.join(os.path.dirname(MODULES), "printed.mjs")
                    with open(script, "w", encoding="utf-8") as f:
                        f.write('import { generateText } from "ai";\n' + said.stdout +
                                'console.log((await generateText({ model, prompt: "Count.", maxRetries: 0 })).text);\n')
                    p = subprocess.run([NODE, script], env={"PATH": os.environ["PATH"], "ANTHROPIC_API_KEY": "sk-any"}, capture_output=True, text=True, timeout=60)
                    expect((p.returncode, p.stdout.strip()), (0, words(WORDS)), p.stderr)
finish()
