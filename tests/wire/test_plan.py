#!/usr/bin/env python3
"""hotspare plan and licence as a user calls them: the cases of the documentation, files, mistakes, forms of output."""
import os
import re
import struct
import sys
import xml.dom.minidom

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *  # noqa: E402,F403
from harness import BIN  # noqa: E402

LLAMA = "meta-llama/Llama-2-13b-chat-hf"
GIB = 1 << 30


def run(*argv, **env):
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run([BIN, *argv], env=clean_env(**{"HOME": home, **env}), capture_output=True, text=True, timeout=60)


def plan(*argv, code=0):
    p = run("plan", *argv, "--json")
    expect(p.returncode, code, f"exit code of plan {argv}: {p.stderr}")
    return json.loads(p.stdout)


def remedy(document, kind, word):
    found = [r for r in document["remedies"] if r["kind"] == kind and word in r["what"]]
    expect_true(found, f"no remedy {kind} {word} in {[(r['kind'], r['what']) for r in document['remedies']]}")
    return found[0]


def gguf(path, layers, cut=0):
    """A GGUF header with two tensors and, unless cut, as many bytes behind it as they take."""
    def text(s):
        return struct.pack("<Q", len(s)) + s.encode()

    def number(key, n):
        return text(key) + struct.pack("<II", 4, n)

    pairs = [text("general.architecture") + struct.pack("<I", 8) + text("llama"), number("general.file_type", 15), number("llama.block_count", layers),
             number("llama.context_length", 4096), number("llama.embedding_length", 512), number("llama.attention.head_count", 8),
             number("llama.attention.head_count_kv", 2), number("llama.vocab_size", 1024)]
    tensors = text("token_embd.weight") + struct.pack("<IQQIQ", 2, 512, 1024, 12, 0) + text("blk.0.ffn_up.weight") + struct.pack("<IQQIQ", 2, 512, 2048, 14, 294912)
    head = b"GGUF" + struct.pack("<IQQ", 3, 2, len(pairs)) + b"".join(pairs) + tensors
    size = 512 * 1024 // 256 * 144 + 512 * 2048 // 256 * 210
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % 32 + size - cut))
    return size


with claim("mistral_7b_fits_one_24_gb_card"):
    for card in ("RTX 4090", "L4", "RTX 3090", "A10"):
        d = plan("mistral-7b-instruct-v0.2", "--gpu", card)
        expect(d["schema"], "hotspare.plan/1", "schema")
        expect_true(d["memory"]["fits"] and d["memory"]["most_conversations"] >= 5, f"{card}: {d['memory']}")
        expect_true(abs(d["memory"]["weights"] / GIB - 13.5) < 0.1, "weights")
        expect(d["memory"]["cache_per_conversation"], 8192 * 131072, "cache of a conversation")

with claim("llama_2_13b_on_16_24_and_2x24_gb_gets_remedies"):
    for card, short in (("RTX 4060 Ti", 10.9), ("RTX 4090", 3.5)):
        d = plan("llama-2-13b", "--gpu", card, code=1)
        expect_true(f"{short} GiB too large" in d["verdict"], d["verdict"])
        expect(sorted({r["kind"] for r in d["remedies"]}), sorted(["smaller quantization", "smaller cache entries", "shorter context", "tensor parallelism", "pipeline parallelism", "weights in host memory", "layers in host memory, loaded on demand", "smaller model"]), "kinds")
        expect_true(remedy(d, "smaller quantization", "awq")["fits"] and remedy(d, "smaller quantization", "Q4_K_M")["fits"], "4 bit")
        expect_true(not remedy(d, "smaller cache entries", "fp8")["fits"] and not remedy(d, "shorter context", "tokens")["fits"], "the weights alone are too large")
        expect_true("%" in remedy(d, "smaller quantization", "awq")["why"], "the price in accuracy")
    two = plan("llama-2-13b", "--gpu", "RTX 4090x2")
    expect((two["tensor_parallel"], two["memory"]["fits"]), (2, True), "two cards")
    expect(plan("llama-2-13b", "--gpu", "2x RTX 4090")["memory"], two["memory"], "2x in front")

with claim("planning_md_says_what_the_program_says"):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "planning.md"), encoding="utf-8") as f:
        table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in f if line.startswith("|")]
    h100, h200, rtx = "H100 80GB SXM", "H200", "RTX 4090"
    asked = [("mistral-7b-instruct-v0.3", "bf16", "L4", 0.78), ("mistral-7b-instruct-v0.3", "awq", "L4", 0.78), ("mistral-7b-instruct-v0.3", "bf16", rtx, 0.60),
             ("mistral-7b-instruct-v0.3", "bf16", h100, 2.95), ("llama-2-13b", "fp16", "A100 80GB", 2.10), ("llama-2-13b", "awq", rtx, 0.60),
             ("Qwen/Qwen3.6-27B", "fp8", h100, 2.95), ("Qwen/Qwen3.6-27B", "awq", "RTX 5090", 1.22), ("llama-3.3-70b", "fp8", h100 + "x2", 2.95),
             ("gpt-oss-120b", "mxfp4", h100, 2.95), ("Qwen/Qwen3-Coder-Next", "fp8", h200, 4.5), ("zai-org/GLM-4.7", "fp8", h200 + "x4", 4.5)]
    rows = [r for r in table if all(" / " in c for c in r[1:])]
    expect(len(rows), len(asked), "rows of the selection matrix")
    for r, (model, quant, card, rent) in zip(rows, asked):
        d = plan(model, "--quant", quant, "--gpu", card, "--usd-h", str(rent), "--isl", "1024", "--osl", "512", "--context", "1536")
        m, v = d["memory"], d["speed"]
        room = m["budget"] - m["weights"] - m["overhead"]
        ours = [f"{m['weights'] / GIB:.1f}", f"{room / GIB:.1f}", str(m["most_conversations"]), f"{v['tokens_s_one']:.0f}", f"{1000 * v['first_token_s']:.0f}",
                f"{v['tokens_s_all']:.0f}", f"{v['usd_per_1m_output']:.2f}"]
        expect([c.split(" / ")[1] for c in r[1:]], ours, r[0])
    for name, card in (("RTX 4060 Ti 16 GB", "RTX 4060 Ti"), ("RTX 4090 24 GB", rtx)):
        r, d = [r for r in table if r[0] == name][0], plan("llama-2-13b", "--context", "4096", "--gpu", card, code=1)
        awq, q4 = (remedy(d, "smaller quantization", q) for q in ("awq", "Q4_K_M"))
        expect(r[2:4], [f"fits {awq['memory']['most_conversations']}, {awq['speed']['tokens_s_one']:.0f} tok/s",
                        f"fits {q4['memory']['most_conversations']}, {q4['speed']['tokens_s_one']:.0f}"], name)

with claim("every_speed_says_how_far_published_figures_lie_from_it"):
    for model, card, rows in (("llama-3.3-70b", "H100x2", 97), ("gpt-oss-120b", "H100", 67), ("mistral-7b-instruct-v0.3", "L4", 5)):
        d = plan(model, "--gpu", card, "--quant", "mxfp4" if "oss" in model else "fp8" if "70b" in model else "bf16")
        band, first = d["speed"]["band"], d["speed"]["first_token_band"]
        expect(band["published_rows"], rows, model)
        expect_true(0 < band["time_least"] < 1 < band["time_most"] <= 2 and 0 < first["time_least"] < 1 < first["time_most"], f"{band} {first}")
    shown = run("plan", "llama-3.3-70b", "--quant", "fp8", "--gpu", "H100x2").stdout
    one = re.search(r"one conversation +(\d+) tokens/s +\((\d+) to (\d+)\)", shown)
    expect_true(one and int(one[2]) < int(one[1]) < int(one[3]), shown)
    expect_true("97 published figures" in shown.replace("\n  ", " "), shown)

with claim("llama_2_13b_on_a_processor"):
    d = plan("llama-2-13b", "--cpu", "--ram", "32")
    expect((d["engine"], d["quant"], d["memory"]["fits"]), ("llama.cpp", "Q4_K_M", True), "what is planned")
    expect_true(4 < d["speed"]["tokens_s_one"] < 10 and d["speed"]["first_token_s"] > 10, f"{d['speed']}")
    expect(plan("llama-2-13b", "--cpu", "--ram", "8", code=1)["memory"]["fits"], False, "8 GiB")

with claim("a_target_that_is_missed_is_exit_code_1"):
    plan("mistral-7b-instruct-v0.2", "--gpu", "L4", "--target-tps", "10")
    d = plan("mistral-7b-instruct-v0.2", "--gpu", "L4", "--target-tps", "50", code=1)
    expect_true(d["memory"]["fits"] and remedy(d, "smaller quantization", "awq")["speed"]["tokens_s_one"] > 50, "awq is faster")

with claim("text_has_bars_and_obeys_no_color"):
    p = run("plan", "llama-2-13b", "--gpu", "RTX 4090", NO_COLOR="1")
    expect(p.returncode, 1, "exit code")
    expect_true("\u2588" in p.stdout and "\x1b" not in p.stdout and "does not fit" in p.stdout and "what to do" in p.stdout, p.stdout)

with claim("svg_is_well_formed"):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "p.svg")
        expect(run("plan", "llama-2-13b", "--gpu", "RTX 4090", "--svg", path).returncode, 1, "exit code")
        expect_true(len(xml.dom.minidom.parse(path).getElementsByTagName("rect")) > 8, "bars")
        expect(run("plan", "llama-2-13b", "--gpu", "RTX 4090x2", "--svg", folder + "/no/p.svg").returncode, 74, "a file that cannot be written")

with claim("a_gguf_file_is_summed_exactly"):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m.gguf")
        size = gguf(path, 4)
        d = plan(path, "--cpu", "--ram", "16")
        expect((d["memory"]["weights_model"], d["memory"]["weights_error"], d["quant"], d["note"]), (size, 0, "Q4_K_M", None), "weights")
        expect(d["memory"]["cache_per_conversation"], 4096 * 4 * 2 * 2 * 64 * 2, "cache")
        gguf(path, 4, cut=1)
        expect_true("unfinished download" in plan(path, "--cpu", "--ram", "16")["note"], "a cut file is said to be cut")
        for name, data in (("a.gguf", b"GGUF"), ("b.gguf", b""), ("c.safetensors", b"\xff" * 64), ("d.json", b"{}"), ("e.gguf", b"GGUF" + b"\xff" * 100)):
            with open(os.path.join(folder, name), "wb") as f:
                f.write(data)
            p = run("plan", os.path.join(folder, name), "--cpu")
            expect_true(p.returncode == 65 and name in p.stderr and p.stdout == "", f"{name}: {p}")
        gguf(os.path.join(folder, "s-00001-of-00002.gguf"), 4)
        p = run("plan", os.path.join(folder, "s-00001-of-00002.gguf"), "--cpu")
        expect_true(p.returncode == 65 and "00002-of-00002" in p.stderr, f"a missing shard: {p}")
        size += gguf(os.path.join(folder, "s-00002-of-00002.gguf"), 4)
        expect(plan(os.path.join(folder, "s-00001-of-00002.gguf"), "--cpu", "--ram", "16")["memory"]["weights_model"], size, "two shards")

with claim("safetensors_take_their_shape_from_config_json"):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.safetensors")
        header = json.dumps({"model.embed_tokens.weight": {"dtype": "BF16", "shape": [100, 64], "data_offsets": [0, 12800]}}).encode()
        with open(path, "wb") as f:
            f.write(struct.pack("<Q", len(header)) + header + bytes(12800))
        expect(run("plan", path, "--gpu", "L4").returncode, 65, "without config.json")
        with open(os.path.join(folder, "config.json"), "w", encoding="ascii") as f:
            json.dump({"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 100, "max_position_embeddings": 2048}, f)
        expect(plan(path, "--gpu", "L4")["memory"]["weights_model"], 12800, "weights")

with claim("nvidia_smi_is_asked_and_gets_no_environment"):
    with tempfile.TemporaryDirectory() as folder:
        smi = os.path.join(folder, "nvidia-smi")
        with open(smi, "w", encoding="ascii") as f:
            f.write(f"#!/bin/sh\n/usr/bin/env > {folder}/env\necho 'NVIDIA GeForce RTX 4090, 24564'\necho 'NVIDIA GeForce RTX 4090, 24564'\n")
        os.chmod(smi, 0o755)
        p = run("plan", "llama-2-13b", "--json", PATH=folder, ANTHROPIC_API_KEY="sk-ant-secret")
        d = json.loads(p.stdout)
        expect((d["hardware"], d["tensor_parallel"], d["hardware_found"]), ("RTX 4090 24GB", 2, "nvidia-smi"), "hardware")
        with open(os.path.join(folder, "env"), encoding="utf-8") as f:
            expect_true("secret" not in f.read(), "a key reached the child")
        with open(smi, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\necho 'NVIDIA Nonesuch 1, 1000'\n")
        p = run("plan", "llama-2-13b", PATH=folder)
        expect_true(p.returncode == 69 and "Nonesuch" in p.stderr and "--gpu" in p.stderr, f"{p}")

with claim("suggestions_for_each_use"):
    for use in ("chat", "tools", "claude-code", "chinese"):
        d = plan("--suggest", "--use", use, "--gpu", "RTX 5090")
        expect_true(d["suggestions"] and all(s["memory"]["fits"] for s in d["suggestions"]), use)
        expect_true(use != "claude-code" or d["context"] >= 100000, "context")
    expect(run("plan", "--suggest", "--use", "claude-code", "--cpu", "--ram", "4").returncode, 1, "nothing fits")

with claim("mistakes_are_told_with_a_fix"):
    for argv, code, said in ((["no-such-model", "--cpu"], 64, "models.tsv"), (["mistral-7b", "--cpu"], 64, "v0.3"), (["qwen3-8b", "--gpu", "RTX 9999"], 64, "gpus.tsv"),
                             (["qwen3-8b", "--gpu", "L4", "--quant", "Q4"], 64, "quants.tsv"), (["qwen3-8b", "--gpu", "T4", "--quant", "fp8"], 64, "too old"),
                             (["qwen3-8b", "--gpu", "L4", "--kv", "q8_0"], 64, "no cache"), (["qwen3-8b", "--gpu", "L4", "--context", "99999"], 64, "40960"),
                             (["qwen3-8b", "--gpu", "L4", "--context", "-1"], 64, "--context"), (["qwen3-8b", "--gpu", "L4x3", "--tp", "2"], 64, "3 cards"),
                             (["qwen3-8b", "--gpu", "L4x0"], 64, "1 to 4096"), (["qwen3-8b", "--cpu", "--engine", "vllm"], 64, "llama.cpp"),
                             (["/no/such/file.gguf", "--cpu"], 65, "cannot be read"), ([], 64, "usage"), (["a", "b", "--cpu"], 64, "b"),
                             (["qwen3-8b", "--cpu", "--catalogue", "/no/such"], 64, "/no/such")):
        p = run("plan", *argv)
        expect_true(p.returncode == code and said in p.stderr and p.stdout == "", f"{argv}: {p}")
    expect(run("plan", "--help").returncode, 0, "--help")

with claim("a_users_catalogue_counts"):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "gpus.tsv"), "w", encoding="ascii") as f:
            f.write("name\tvendor\tclass\tarch\tvram_gib\tbandwidth_gbs\tbf16_tflops\nOurs 80GB\tNVIDIA\tdatacentre\tsm90\t80\t3000\t900\n")
        expect(plan("llama-2-13b", "--gpu", "ours", "--catalogue", folder)["hardware"], "Ours 80GB", "hardware")

with claim("licence_verdicts_and_exit_codes"):
    for argv, code, said in (([LLAMA, "--use", "product", "--users", "800000000"], 1, "forbidden"), ([LLAMA, "--use", "product", "--users", "1000"], 0, "Notice"),
                             (["CohereLabs/c4ai-command-a-03-2025", "--use", "product"], 1, "forbidden"), (["tiiuae/falcon-180B-chat", "--use", "api-service"], 1, "forbidden"),
                             (["moonshotai/Kimi-K3", "--use", "api-service", "--users", "10", "--revenue", "30000000"], 1, "Moonshot"),
                             (["moonshotai/Kimi-K3", "--use", "api-service", "--users", "10", "--revenue", "1000000"], 0, "allowed with duties"),
                             (["moonshotai/Kimi-K3", "--use", "internal"], 0, "allowed with duties"), (["meta-llama/Llama-4-Scout-17B-16E-Instruct", "--region", "EU"], 1, "forbidden"),
                             (["somebody/some-model"], 3, "not known"), ([LLAMA, "--train"], 1, "outputs"), (["Qwen/Qwen3-8B", "--use", "api-service"], 0, "LICENSE")):
        p = run("licence", *argv)
        expect_true(p.returncode == code and said in p.stdout, f"{argv}: {p}")
    d = json.loads(run("licence", LLAMA, "--use", "product", "--users", "800000000", "--json").stdout)
    expect((d["schema"], d["licence"], d["verdict"]), ("hotspare.licence/1", "llama2", "forbidden"), "JSON")
    expect_true(d["source"].startswith("https://") and d["as_of"] and d["notice"] and d["reasons"], "source, date, notice")
    for argv in (["--use", "product"], [LLAMA, "--use", "prodcut"], [LLAMA, "--users", "many"], ["llama"]):
        expect(run("licence", *argv).returncode, 64, f"{argv}")

with claim("every_model_of_the_catalogue_has_a_licence"):
    lines = run("licence", "--list").stdout.splitlines()
    expect_true(len(lines) >= 66, "models")
    for line in lines:
        p = run("licence", line.split()[0], "--json")
        expect_true(p.returncode in (0, 1, 3) and json.loads(p.stdout)["licence"], line)

with claim("config_check_refuses_a_model_whose_licence_forbids_the_use"):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "h.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write("use: { kind: product, users: 800000000 }\ntargets:\n  v: { kind: vllm, url: \"http://127.0.0.1:9\" }\nmodels:\n  - { match: \"*\", chain: [ v/" + LLAMA + " ] }\n")
        p = run("config", "check", path)
        expect_true(p.returncode == 78 and "forbids" in p.stderr and "h.yaml:5:" in p.stderr, f"{p}")
        expect(run("config", "check", path, HOTSPARE_USE_USERS="1000").returncode, 0, "with fewer users")
finish()
