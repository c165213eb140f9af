#!/usr/bin/env python3
"""Installs the pinned clients into build/clients, unless they are there already.

python/   a venv with the Anthropic and OpenAI SDKs, LangChain and Locust   (requirements.txt)
llama/    a venv with llama.cpp's own server and what makes a tiny model  (llama.txt); left out, with a word, where
          it cannot be had: its test then skips
node/     the Anthropic and OpenAI TypeScript SDKs, the Vercel AI SDK, Claude Code, Codex and a Node to run them
          (package-lock.json)
go/       the client of tests/clients/go, built with the Go SDKs (go.mod, go.sum); left out like llama/
gotool/   a Go to build it with (requirements-go.txt), where this machine has none that is new enough
java/     the Java SDKs' jars (pom.xml, jars.sha256) and the client of tests/clients/java, compiled; left out like llama/
ollama/   Ollama itself, built (ollama/go.mod, go.sum): only when it is named, `install.py llama ollama`, as it takes minutes

Install scripts of packages are not run. The stamp beside each folder is the hash of its list, so a
changed pin installs again. Uses pip and npm as this machine has them set up; names no registry.
"""
import concurrent.futures
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile

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


def go_command():
    """A Go as new as go.mod asks for: this machine's, or the pinned one (Debian 12 has Go 1.19, too old to fetch its successor)."""
    with open(os.path.join(HERE, "go", "go.mod"), encoding="ascii") as f:
        wanted = tuple(int(n) for n in re.search(r"^go (\d+)\.(\d+)", f.read(), re.M).groups())
    if shutil.which("go"):
        said = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, env=dict(os.environ, GOTOOLCHAIN="local")).stdout
        have = re.match(r"go(\d+)\.(\d+)", said)
        if have and tuple(int(n) for n in have.groups()) >= wanted:
            return "go"
    folder = os.path.normpath(os.path.join(INTO, "gotool"))
    command = os.path.join(folder, "go", "bin", "go")
    try:
        if not os.path.exists(command):
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            subprocess.run([os.path.join(folder, "bin", "pip"), "install", "--quiet", "--no-input", "--disable-pip-version-check", "--only-binary", ":all:", "--no-deps",
                            "--target", folder, "-r", os.path.join(HERE, "requirements-go.txt")], check=True)
    except subprocess.CalledProcessError as e:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"go: left out, {e}")
        return None
    return command


def go(folder):
    """Without optimisation, and without collecting garbage at every turn: the SDKs are large, and what is waited for here
    is the compiler. Nice, as builds of the gateway itself run beside it. Where no Go or no module can be had, the folder
    stays away, and its test skips."""
    command = go_command()
    if not command:
        return
    kept = {"GOMODCACHE": os.path.join(folder, "..", "gocache", "mod"), "GOCACHE": os.path.join(folder, "..", "gocache", "build")}
    env = dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-mod=readonly -modcacherw -buildvcs=false", CGO_ENABLED="0", GOGC="400",
               **{k: os.path.normpath(v) for k, v in kept.items()})
    sources = os.path.join(HERE, "go")
    if subprocess.run([command, "mod", "download"], cwd=sources, env=env, check=False).returncode:
        print("go: left out, its modules could not be fetched")
        return
    os.makedirs(folder)
    subprocess.run(["nice", command, "build", "-gcflags=all=-N -l", "-ldflags=-s -w", "-o", os.path.join(folder, "clients"), "."],
                   cwd=sources, env=env, check=True)


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


def ollama_headers(folder):
    """Three libraries that Ollama keeps in folders named vendor, which a Go module leaves out: two from Debian's packages,
    one from its Python package. Nothing is installed on the machine."""
    os.makedirs(os.path.join(folder, "include", "miniaudio"))
    subprocess.run(["apt-get", "-qq", "download", "nlohmann-json3-dev", "libstb-dev"], cwd=folder, check=True)
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:",
                    "-d", folder, "-r", os.path.join(HERE, "ollama", "requirements.txt")], check=True)
    for name in os.listdir(folder):
        if name.endswith(".deb"):
            subprocess.run(["dpkg-deb", "-x", name, "."], cwd=folder, check=True)
        elif name.endswith(".tar.gz"):
            with tarfile.open(os.path.join(folder, name)) as tar, open(os.path.join(folder, "include", "miniaudio", "miniaudio.h"), "wb") as out:
                member = next(m for m in tar.getmembers() if m.name.endswith("/miniaudio.h"))
                shutil.copyfileobj(tar.extractfile(member), out)
    return [os.path.join(folder, "include"), os.path.join(folder, "usr", "include")]


def ollama(folder):
    """Without optimisation, which its compile time is mostly for: the model of its test is tiny."""
    command = go_command()
    if not command:
        raise SystemExit("ollama: there is no Go to build it with")
    os.makedirs(folder)
    flags = "-O0 -w " + " ".join("-I" + f for f in ollama_headers(folder))
    kept = {"GOMODCACHE": os.path.join(INTO, "gocache", "mod"), "GOCACHE": os.path.join(INTO, "gocache", "build")}
    env = dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-mod=readonly -modcacherw -buildvcs=false", CGO_ENABLED="1", GOGC="400",
               CGO_CFLAGS=flags, CGO_CXXFLAGS=flags, **{k: os.path.normpath(v) for k, v in kept.items()})
    subprocess.run(["nice", command, "build", "-gcflags=all=-N -l", "-ldflags=-s -w", "-o", os.path.join(folder, "ollama"), "github.com/ollama/ollama"],
                   cwd=os.path.join(HERE, "ollama"), env=env, check=True)


JAVA_SOURCES = ["Clients.java", "AnthropicClaims.java", "OpenaiClaims.java"]
GO_SOURCES = ["requirements-go.txt"] + [os.path.join("go", name) for name in ("go.mod", "go.sum", "main.go", "anthropic.go", "openai.go", "responses.go")]
CLIENTS = [("go", GO_SOURCES, go), ("python", ["requirements.txt"], python), ("llama", ["llama.txt"], llama),
           ("node", ["package.json", "package-lock.json"], node),
           ("java", [os.path.join("java", name) for name in ["pom.xml", "jars.sha256"] + JAVA_SOURCES], java)]

ON_DEMAND = [("ollama", [os.path.join("ollama", name) for name in ("go.mod", "go.sum", "requirements.txt")], ollama)]


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
    """All side by side: one compiles while the others download. Those that are named, or all but ON_DEMAND."""
    os.makedirs(INTO, exist_ok=True)
    wanted = [one for one in CLIENTS + ON_DEMAND if one[0] in sys.argv[1:]] or CLIENTS
    with concurrent.futures.ThreadPoolExecutor(len(wanted)) as pool:
        for done in [pool.submit(install, *one) for one in wanted]:
            done.result()
    return 0


if __name__ == "__main__":
    sys.exit(main())
