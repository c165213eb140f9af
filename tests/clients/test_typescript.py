#!/usr/bin/env python3
"""The Anthropic and OpenAI TypeScript SDKs, unmodified, each against the other side's stand-in.

This file starts the processes; anthropic.mjs and openai.mjs are the clients.
"""
from clients import *

need(NODE)
for how in ("refused", "529", "org-disabled", "cut@6"):
    for client in ("anthropic", "openai"):
        with stage(how, client) as st:
            st.run([NODE, node_script(f"{client}.mjs")], f"{client}_typescript")
finish()
