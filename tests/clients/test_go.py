#!/usr/bin/env python3
"""The Anthropic and OpenAI SDKs for Go, unmodified, each against the other side's stand-in.

This file starts the processes; go/ is the client, built by install.py.
"""
import os

from clients import *

if not os.path.exists(GO_CLIENT):
    skip("the Go SDKs", "not installed: tests/clients/install.py could get no Go, or not the modules")
    finish()
for how in ("refused", "cut@6"):
    for client in ("anthropic", "openai"):
        with stage(how, client) as st:
            st.run([GO_CLIENT, client], f"{client}_go")
finish()
