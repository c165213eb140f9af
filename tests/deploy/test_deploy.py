#!/usr/bin/env python3
"""Every model of the catalogue, both engines, every format: the file passes its own program's check, or the refusal
has a reason. compose files are read by Docker Compose's loader, manifests strictly into the API's own types and, of
LeaderWorkerSet and RayCluster, against the schemas that their operators install (tests/deploy/check, a Go module with
pinned versions); units by systemd-analyze. No engine is started. Prints TAP."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
from harness import *  # noqa: E402,F403
from harness import ROOT  # noqa: E402
import install  # noqa: E402

PROGRAM = os.environ.get("HOTSPARE_BIN", os.path.join(ROOT, "build", "hotspare"))
LLAMA_IMAGE = "example.invalid/llama.cpp:server-b1"
FORMATS = {"compose": "compose.yaml", "systemd": "hotspare-engine.service", "kubernetes": "kubernetes.yaml",
           "command": "run-engine.sh", "config": "hotspare.yaml"}
SECURITY_MOST = 2.0
DEFINITIONS = ("github.com/ray-project/kuberay/ray-operator", "sigs.k8s.io/lws")
CRDS = []
BEYOND = ("Kimi-K3", "--gpu", "H200x32", "--licence-use", "research")


def deploy(*words, env=None):
    return subprocess.run([PROGRAM, "deploy", *words], capture_output=True, text=True, timeout=60, env=clean_env(**(env or {})))


def models():
    with open(os.path.join(ROOT, "share", "catalogue", "models.tsv"), encoding="utf-8") as f:
        rows = [line for line in f if not line.startswith("#")]
    return [row.split("\t")[0] for row in rows[1:]]


def checker():
    """The Go reader of compose files and manifests, built once; None where it cannot be."""
    go = install.go_command()
    if not go:
        return None, "there is no Go here, and none could be fetched"
    kept, here = os.path.join(ROOT, "build", "test", "deploy-check"), os.path.join(ROOT, "tests", "deploy", "check")
    env = dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-mod=readonly -modcacherw -buildvcs=false", CGO_ENABLED="0")
    os.makedirs(os.path.dirname(kept), exist_ok=True)
    p = subprocess.run([go, "build", "-o", kept, "."], cwd=here, env=env, capture_output=True, text=True, timeout=600)
    if p.returncode:
        return None, f"go build: {p.stderr.strip()[-300:]}"
    for module in DEFINITIONS:
        at = subprocess.run([go, "list", "-m", "-f", "{{.Dir}}", module], cwd=here, env=env, capture_output=True, text=True, timeout=60, check=True)
        CRDS.append(os.path.join(at.stdout.strip(), "config", "crd", "bases"))
    return kept, ""


def check(*files, **env):
    return subprocess.run([CHECK, *files], capture_output=True, text=True, timeout=120, env=clean_env(CRDS=" ".join(CRDS), **env))


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def generate_all(folder):
    """{path: format} of all that was written, and the refusals. Eight cards a host; the first count that fits."""
    written, refused = {}, {}
    for model in models():
        for engine in ("vllm", "llama.cpp"):
            out = os.path.join(folder, re.sub(r"\W", "_", f"{model}-{engine}"))
            for cards in ((1, 2, 4, 8, 16, 32) if engine == "vllm" else (1, 8)):
                p = deploy(model, "--gpu", f"H200x{cards}", "--engine", engine, "--image", LLAMA_IMAGE, "--program", "/bin/true",
                           "--licence-use", "research", "--out", out)
                if p.returncode == 0 or "does not fit" not in p.stderr and "hosts:" not in p.stderr:
                    break
            if p.returncode:
                refused[model, engine] = p.stderr.strip().splitlines()[-1]
                continue
            for name, file in FORMATS.items():
                if os.path.exists(os.path.join(out, file)):
                    written[os.path.join(out, file)] = name
                elif f"not written: {name}: " not in p.stderr:
                    refused[model, engine] = f"{name} is missing without a reason: {p.stderr}"
    return written, refused


FOLDER = tempfile.mkdtemp(prefix="hotspare-deploy-")
WRITTEN, REFUSED = generate_all(FOLDER)
CHECK, WHY = checker()


def paths(*names):
    return sorted(p for p, name in WRITTEN.items() if name in names)


with claim("every_model_and_engine_is_written_or_refused_with_a_reason"):
    note(f"{len(WRITTEN)} files; {len(REFUSED)} of {2 * len(models())} refused")
    for who, why in sorted(REFUSED.items()):
        note(f"refused: {' on '.join(who)}: {why}")
        expect_true(re.match(r"hotspare: [^:]+: \S.{20,}", why), f"{who}: no reason: {why}")
    expect_true(len(paths("compose")) > 60 and len(paths("kubernetes")) > 60, f"too few files: {len(WRITTEN)}")

if CHECK:
    with claim("compose_files_and_manifests_pass_the_readers_of_their_programs"):
        p = check(*paths("compose", "kubernetes"), MODEL="org/name")
        expect((p.returncode, p.stdout + p.stderr), (0, ""), "check")

    with claim("the_readers_refuse_what_is_wrong"):
        for name, old, new in (("compose", "healthcheck:", "healthchek:"), ("kubernetes", "startupProbe:", "startProbe:"),
                               ("kubernetes", "maxUnavailable: 1", "maxUnavailable: [1]")):
            spoilt = os.path.join(FOLDER, FORMATS[name])
            text = read(paths(name)[0])
            expect_true(old in text, f"{old} is not in the file")
            with open(spoilt, "w", encoding="utf-8") as f:
                f.write(text.replace(old, new))
            p = check(spoilt, MODEL="org/name")
            expect(p.returncode, 1, f"{new} was taken: {p.stdout}")

    with claim("a_compose_file_without_its_model_fails_loudly"):
        p = check(paths("compose")[0])
        expect_true(p.returncode == 1 and "MODEL is not set" in p.stdout, f"an unset model was taken: {p}")
else:
    note(f"skipped: compose files and manifests were not checked: {WHY}")
    print("ok - compose_files_and_manifests_pass_the_readers_of_their_programs # SKIP " + WHY.replace("\n", " "))

if shutil.which("systemd-analyze"):
    with claim("units_pass_systemd_and_are_confined"):
        kinds = {}
        for path in paths("systemd"):
            kinds.setdefault(re.sub(r'"[^"]*"', "", read(path).split("[Unit]")[1]), path)
        note(f"{len(kinds)} kinds of unit")
        for path in sorted(kinds.values()):
            p = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, timeout=60)
            said = [line for line in (p.stdout + p.stderr).splitlines() if "hotspare-engine" in line]
            expect((p.returncode, said), (0, []), path)
            p = subprocess.run(["systemd-analyze", "security", "--offline=true", path], capture_output=True, text=True, timeout=60)
            score = re.search(r"exposure level for \S+: ([\d.]+)", p.stdout + p.stderr)
            expect_true(score and float(score.group(1)) < SECURITY_MOST, f"{path}: {score and score.group(0)}: {p.stderr}")
        note(score.group(0))
else:
    note("skipped: no systemd-analyze here")
    print("ok - units_pass_systemd_and_are_confined # SKIP no systemd-analyze here")

with claim("hotspare_takes_every_configuration_it_wrote"):
    for path in paths("config")[::9] + paths("config")[-1:]:
        p = subprocess.run([PROGRAM, "config", "check", path], capture_output=True, text=True, timeout=60,
                           env=clean_env(ANTHROPIC_API_KEY="sk-ant-x"))
        expect(p.returncode, 0, f"{path}: {p.stdout}{p.stderr}")
    kube = read(paths("kubernetes")[0]).split("hotspare.yaml: |\n")[1].split("---")[0]
    inner = os.path.join(FOLDER, "inner.yaml")
    with open(inner, "w", encoding="utf-8") as f:
        f.write(re.sub(r"^    ", "", kube, flags=re.M))
    p = subprocess.run([PROGRAM, "config", "check", inner], capture_output=True, text=True, timeout=60,
                       env=clean_env(ANTHROPIC_API_KEY="sk-ant-x", HOTSPARE_CLIENT_KEY="k" * 32))
    expect(p.returncode, 0, p.stdout + p.stderr)

with claim("commands_are_good_shell"):
    for path in paths("command"):
        p = subprocess.run(["sh", "-n", path], capture_output=True, text=True, timeout=20)
        expect(p.returncode, 0, p.stderr)

with claim("a_model_beyond_one_host_becomes_a_group_of_hosts"):
    big = deploy(*BEYOND, "--format", "kubernetes")
    expect(big.returncode, 0, big.stderr)
    for word in ("kind: LeaderWorkerSet", "size: 4", "--nnodes=4", "$(LWS_LEADER_ADDRESS)", "--headless", "nvidia.com/gpu: 8", "PodDisruptionBudget", "kind: NetworkPolicy"):
        expect_true(word in big.stdout, f"{word} is not in it")
    p = deploy(*BEYOND, "--format", "compose")
    expect_true(p.returncode == 1 and "several hosts" in p.stderr, f"{p}")

with claim("ray_is_asked_for_by_name_and_its_image_has_to_hold_it"):
    out = os.path.join(FOLDER, "ray")
    p = deploy(*BEYOND, "--multi-node", "ray", "--format", "kubernetes", "--out", out)
    expect_true(p.returncode == 1 and "no Ray since 0.19" in p.stderr and "--image" in p.stderr and not os.path.exists(out), f"{p}")
    p = deploy(*BEYOND, "--multi-node", "slurm")
    expect_true(p.returncode == 64 and "neither lws nor ray" in p.stderr, f"{p}")
    p = deploy(*BEYOND, "--multi-node", "ray", "--image", "example.invalid/vllm-ray:1", "--out", out)
    expect(p.returncode, 0, p.stderr)
    ray = read(out, "kubernetes.yaml")
    for word, times in (("kind: RayCluster", 1), ("replicas: 3", 2), ("--distributed-executor-backend", 1), ("nvidia.com/gpu: 8", 2),
                        ('overwrite-container-cmd: "true"', 1), ("KUBERAY_GEN_RAY_START_CMD", 2), ("LWS_", 0), ("nnodes", 0), ("headless", 0)):
        expect(len(re.findall(r"(?<!\S)" + re.escape(word) if word.startswith("replicas") else re.escape(word), ray)), times, word)
    one_host = deploy("gpt-oss-20b", "--gpu", "H100", "--multi-node", "ray", "--format", "kubernetes,command")
    expect_true(one_host.returncode == 0 and "ray" not in one_host.stdout.lower().replace("array", ""), "Ray for one host")
    if CHECK:
        p = check(os.path.join(out, "kubernetes.yaml"))
        expect((p.returncode, p.stdout), (0, ""), "check")
        for old, new in (("groupName: hosts", "numOfHosts: 1"), ('{include-dashboard: "false"}', "{include-dashboard: false}"), ("minReplicas:", "minimumReplicas:")):
            expect_true(old in ray, f"{old} is not in the file")
            with open(os.path.join(out, "spoilt.yaml"), "w", encoding="utf-8") as f:
                f.write(ray.replace(old, new))
            expect(check(os.path.join(out, "spoilt.yaml")).returncode, 1, f"{new} was taken")


def stand_ins(folder):
    """ray, vllm and python3 that only say how they were called; python3 lacks cards the first time."""
    os.makedirs(folder)
    for name, body in (("ray", ""), ("vllm", ""), ("sleep", ""), ("python3", 'test -e "$0.asked" || { : > "$0.asked"; exit 1; }\n')):
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"#!/bin/sh\ncase {name} in ray | vllm) echo {name} \"$@\" ;; esac\n{body}")
        os.chmod(path, 0o755)
    return folder


def run_shell(text, tools, *words, **env):
    p = subprocess.run(["sh", "-ec", text, *words], capture_output=True, text=True, timeout=20, env=clean_env(PATH=tools + ":/bin:/usr/bin", **env))
    expect((p.returncode, p.stderr), (0, ""), text)
    return p.stdout.splitlines()


with claim("ray_comes_first_then_every_card_then_vllm"):
    script = read(out, "run-engine.sh")
    said = run_shell(script, stand_ins(os.path.join(FOLDER, "bin-command")), RANK="0", MASTER="10.0.0.1")
    expect_true(said[0].startswith("ray start --head --node-ip-address 10.0.0.1 --port 6379") and said[1] == "waiting for 32 cards", f"{said}")
    expect_true(said[2].startswith("vllm serve moonshotai/Kimi-K3 --served-model-name") and "--distributed-executor-backend ray" in said[2], f"{said}")
    said = run_shell(script, stand_ins(os.path.join(FOLDER, "bin-rank")), RANK="2", MASTER="10.0.0.1")
    expect(said, ["ray start --address 10.0.0.1:6379 --disable-usage-stats --block"], "a worker")
    pods = [re.sub(r"^ +", "", body, flags=re.M) for _, body in re.findall(r"^( *)- \|.*\n((?:\1  .*\n)+)", ray, flags=re.M)]
    expect(len(pods), 2, "commands of pods")
    said = run_shell(pods[0], stand_ins(os.path.join(FOLDER, "bin-head")), "vllm", "o/n", "--x", "a b", KUBERAY_GEN_RAY_START_CMD="ray start --head --block")
    expect(sorted(said), ["ray start --head --block", "vllm serve o/n --x a b", "waiting for 32 cards"], "the head")
    said = run_shell(pods[1], stand_ins(os.path.join(FOLDER, "bin-worker")), KUBERAY_GEN_RAY_START_CMD="ray start --address=x:6379 --block")
    expect(said, ["ray start --address=x:6379 --block"], "a worker's pod")

with claim("a_chat_template_is_named_where_it_is_and_only_where_it_counts"):
    own = deploy("mistral-7b-instruct-v0.3", "--gpu", "RTX 4090", "--context", "8192")
    expect_true(own.returncode == 0 and '"mistral"' in own.stdout and "chat-template" not in own.stdout, "Mistral's own format knows no template")
    quantized = deploy("mistral-7b-instruct-v0.3", "--gpu", "RTX 4090", "--context", "8192", "--quant", "awq", "--format", "compose")
    for words in ('"--tokenizer-mode"\n', '"--config-format"\n', '"--load-format"\n', '"/vllm-workspace/examples/tool_chat_template_mistral_parallel.jinja"'):
        expect_true(words in quantized.stdout, f"{words}: {quantized}")
    for file_format in ("systemd", "command"):
        p = deploy("llama-3.1-8b-instruct", "--gpu", "RTX 4090", "--context", "8192", "--format", file_format)
        expect_true(p.returncode == 0 and "/etc/hotspare/tool_chat_template_llama3.1_json.jinja" in p.stdout and "vllm-workspace" not in p.stdout
                    and "Before the first start: put examples/tool_chat" in p.stdout, f"{p}")

with claim("conversations_are_counted_at_their_usual_length"):
    p = deploy("mistral-7b-instruct-v0.3", "--gpu", "RTX 4090", "--context", "16384", "--isl", "1024", "--osl", "512", "--format", "command")
    tokens, most = int(re.search(r"\((\d+) tokens\)", p.stderr).group(1)), int(re.search(r"--max-num-seqs '(\d+)'", p.stdout).group(1))
    expect(most, tokens // 1536, p.stderr)

with claim("llama_cpp_on_a_processor_gets_nothing_of_cards_or_of_vllm"):
    p = deploy("qwen3-8b", "--cpu", "--engine", "llama.cpp", "--quant", "Q4_K_M", "--ram", "32", "--format", "compose")
    expect_true(p.returncode == 0 and "no card: all in host memory" in p.stdout, f"{p}")
    for word in ("VLLM", "HF_HOME", "shm", "nvidia", "0x "):
        expect_true(word not in p.stdout, f"{word} is in it")

with claim("a_forbidden_use_is_refused_and_writes_nothing"):
    out = os.path.join(FOLDER, "forbidden")
    p = deploy("c4ai-command-a-03-2025", "--gpu", "H200x8", "--licence-use", "product", "--out", out)
    expect_true(p.returncode == 1 and p.stderr.startswith("licence of ") and "forbid" in p.stderr, f"{p}")
    expect(os.path.exists(out), False, "the folder exists")

with claim("what_differs_is_shown_and_kept_without_force"):
    out = os.path.join(FOLDER, "twice")
    first = ("mistral-7b-instruct-v0.3", "--gpu", "RTX 4090", "--context", "8192", "--format", "compose,config", "--out", out)
    expect(deploy(*first).returncode, 0, "first")
    before = read(out, "compose.yaml")
    again = deploy(*first)
    expect_true(again.returncode == 0 and again.stderr.count("unchanged") == 3, f"{again}")
    other = first[:4] + ("4096",) + first[5:]
    p = deploy(*other)
    expect(p.returncode, 1, "it wrote over a file")
    expect_true('-      - "8192"' in p.stdout and '+      - "4096"' in p.stdout, f"no difference: {p.stdout}")
    expect(read(out, "compose.yaml"), before, "the file")
    p = deploy(*other, "--dry-run", "--force")
    expect((p.returncode, read(out, "compose.yaml")), (0, before), "a dry run wrote")
    expect(deploy(*other, "--force").returncode, 0, "forced")
    expect_true('- "mistralai/Mistral-7B-Instruct-v0.3"' in before and before.count("${MODEL:?") == 1, "the served name hangs on MODEL")
    expect_true('"4096"' in read(out, "compose.yaml"), "force did not write")
    expect(sorted(os.listdir(out)), [".env", "compose.yaml", "hotspare.yaml"], "files")

with claim("no_secret_of_the_environment_is_written"):
    p = deploy("gpt-oss-20b", "--gpu", "H100", env={"HF_TOKEN": "hf_verysecret", "ANTHROPIC_API_KEY": "sk-ant-verysecret"})
    expect_true(p.returncode == 0 and "verysecret" not in p.stdout + p.stderr and "HF_TOKEN" in p.stdout, "a secret was written")

with claim("hostile_names_stay_inside_their_quotes"):
    name = "o/x'; touch ${HOME}/bad \" \\ $(id) %n"
    for file_format in FORMATS:
        p = deploy("gpt-oss-20b", "--gpu", "H100", "--format", file_format, "--served-name", name, "--out", os.path.join(FOLDER, "hostile"))
        expect(p.returncode, 0, p.stderr)
    probe = read(FOLDER, "hostile", "run-engine.sh").replace("exec 'vllm' serve", "printf '%s\\n'")
    p = subprocess.run(["sh", "-c", probe], capture_output=True, text=True, timeout=20)
    expect_true(name in p.stdout.splitlines(), f"the shell made something else of it: {p}")
    if CHECK:
        p = check(*(os.path.join(FOLDER, "hostile", FORMATS[f]) for f in ("compose", "kubernetes")), MODEL="org/name")
        expect((p.returncode, p.stdout), (0, ""), "check")
    p = deploy("gpt-oss-20b", "--gpu", "H100", "--served-name", "a\nb")
    expect(p.returncode, 64, "a control character was taken")

with claim("bad_options_name_the_fix"):
    for words, text in ((("--format", "helm"), "compose, systemd"), (("--replicas", "0"), "replicas"), (("--licence-use", "fun"), "api-service")):
        p = deploy("gpt-oss-20b", "--gpu", "H100", *words)
        expect_true(p.returncode == 64 and text in p.stderr, f"{words}: {p}")
shutil.rmtree(FOLDER)
finish()
