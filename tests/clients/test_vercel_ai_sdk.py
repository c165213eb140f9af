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
finish()
