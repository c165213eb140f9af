#!/usr/bin/env python3
"""Installs the pinned clients into build/clients, unless they are there already.

python/   a venv with the Anthropic and OpenAI SDKs, LangChain and Locust   (requirements.txt)
llama/    a venv with llama.cpp's own server and what makes a tiny model  (llama.txt); left out, with a word, where
          it cannot be had: its test then skips
node/     the Anthropic and OpenAI TypeScript SDKs, the Vercel AI SDK, Claude Code, Codex and a Node to run them
          (package-lock.json)
java/     the Java SDKs' jars (pom.xml, jars.sha256) and the client of tests/clients/java, compiled; left out like llama/

Install scripts of packages are not run. The stamp beside each folder is the hash of its list, so a
changed pin installs again. Uses pip and npm as this machine has them set up; names no registry.
"""
import concurrent.futures
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


def llama(folder):
    """No reason to fail for: there are machines its wheel is not made for."""
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([os.path.join(folder, "bin", "pip"), "install", "--quiet", "--no-input", "--disable-pip-version-check", "--only-binary", ":all:",
                        "-r", os.path.join(HERE, "llama.txt")], check=True)
    except subprocess.CalledProcessError as e:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"llama: left out, {e}")


def node(folder):
    os.makedirs(folder)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(HERE, name), folder)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True)


def java(folder):
    """Maven only fetches; a jar that is not the listed one ends it. Without Maven or a JDK, or when the jars cannot be
    had, the folder stays away, and its test skips."""
    lacking = [tool for tool in ("mvn", "javac") if not shutil.which(tool)]
    if lacking:
        print(f"java: left out, there is no {' and no '.join(lacking)}")
        return
    jars, sources = os.path.join(folder, "jars"), os.path.join(HERE, "java")
    subprocess.run(["mvn", "-q", "-B", "-f", os.path.join(sources, "pom.xml"), "-Dmaven.repo.local=" + os.path.normpath(os.path.join(INTO, "m2")),
                    "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=" + jars], check=False)
    if not os.path.isdir(jars):
        print("java: left out, Maven could not fetch the jars")
        return
    with open(os.path.join(sources, "jars.sha256"), encoding="ascii") as f:
        listed = dict(reversed(line.split()) for line in f)
    found = {}
    for name in os.listdir(jars):
        with open(os.path.join(jars, name), "rb") as f:
            found[name] = hashlib.sha256(f.read()).hexdigest()
    wrong = sorted(name for name in listed.keys() | found.keys() if listed.get(name) != found.get(name))
    if wrong:
        raise SystemExit(f"java: not as jars.sha256 lists them: {', '.join(wrong)}")
    subprocess.run(["javac", "-nowarn", "-cp", os.path.join(jars, "*"), "-d", os.path.join(folder, "classes")] +
                   [os.path.join(sources, name) for name in JAVA_SOURCES], check=True)


JAVA_SOURCES = ["Clients.java", "AnthropicClaims.java", "OpenaiClaims.java"]
CLIENTS = [("python", ["requirements.txt"], python), ("llama", ["llama.txt"], llama),
           ("node", ["package.json", "package-lock.json"], node),
           ("java", [os.path.join("java", name) for name in ["pom.xml", "jars.sha256"] + JAVA_SOURCES], java)]


def install(name, lists, how):
    folder, stamp = os.path.normpath(os.path.join(INTO, name)), stamp_of(*lists)
    if is_done(folder, stamp):
        print(f"{name}: as pinned, already there")
        return
    shutil.rmtree(folder, ignore_errors=True)
    how(folder)
    if os.path.isdir(folder):
        with open(folder + ".stamp", "w", encoding="ascii") as f:
            f.write(stamp)
        print(f"{name}: installed")


def main():
    """All side by side: one compiles while the others download."""
    os.makedirs(INTO, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(len(CLIENTS)) as pool:
        for done in [pool.submit(install, *one) for one in CLIENTS]:
            done.result()
    return 0


if __name__ == "__main__":
    sys.exit(main())
