#!/usr/bin/env python3
"""The Anthropic and OpenAI SDKs for Java, unmodified, each against the other side's stand-in.

This file starts the processes; java/ is the client, built by install.py.
"""
import os

from clients import *

if not os.path.isdir(JAVA_CLASSES):
    skip("the Java SDKs", "not installed: tests/clients/install.py found no Maven or JDK, or could not get the jars")
    finish()
for how in ("refused", "cut@6"):
    for client in ("anthropic", "openai"):
        with stage(how, client) as st:
            st.run(["java", "-cp", f"{JAVA_CLASSES}:{JAVA_JARS}/*", "Clients", client], f"{client}_java")
finish()
