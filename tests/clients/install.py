#!/usr/bin/env python3
"""Installs the pinned clients into build/clients, unless they are there already.

python/   a venv with the Anthropic and OpenAI SDKs, LangChain and Locust   (requirements.txt)
node/     the Anthropic and OpenAI TypeScript SDKs, the Vercel AI SDK, Claude Code and a Node to run them (package-lock.json)

Install scripts of packages are not run. The stamp beside each folder is the hash of its list, so a
changed pin installs again. Uses pip and npm as this machine has them set up; names no registry.
"""
import hashlib
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
INTO = os.path.join(HERE, "..", "..", "build", "clients")


def stamp_of(*names):
    h = hashlib.sha256(sys.version.encode())
    for name in names:
        with open(os.path.join(HERE, name), "rb") as f:
            h.update(f.read())
    return h.hexdigest()


def is_done(folder, stamp):
    try:
        with open(folder + ".stamp", encoding="ascii") as f:
            return f.read() == stamp
    except FileNotFoundError:
        return False


def python(folder):
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([os.path.join(folder, "bin", "pip"), "install", "--quiet", "--no-input", "--disable-pip-version-check", "--only-binary", ":all:",
                    "-r", os.path.join(HERE, "requirements.txt")], check=True)


def node(folder):
    os.makedirs(folder)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(HERE, name), folder)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True)


def main():
    os.makedirs(INTO, exist_ok=True)
    for name, lists, install in (("python", ["requirements.txt"], python), ("node", ["package.json", "package-lock.json"], node)):
        folder, stamp = os.path.normpath(os.path.join(INTO, name)), stamp_of(*lists)
        if is_done(folder, stamp):
            print(f"{name}: as pinned, already there")
            continue
        shutil.rmtree(folder, ignore_errors=True)
        install(folder)
        with open(folder + ".stamp", "w", encoding="ascii") as f:
            f.write(stamp)
        print(f"{name}: installed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
