#!/usr/bin/env python3
"""The real llama.cpp server behind llama-server's own flags, as far as we use them: the package holds the server, but no
executable of that name. Also makes a tiny model, so that no file is fetched.

    llama_server.py -m FILE --host H --port P [-c N] [-np N]
    llama_server.py --make FILE
"""
import argparse
import signal
import sys
import threading

WIDTH, HEADS, BLOCKS, INNER, CONTEXT = 64, 4, 2, 128, 2048
CHAT = ("{% for m in messages %}<{{m['role']}}>{{m['content']}}{% if not loop.last or m['role'] != 'assistant' %}\n{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}")


def vocabulary():
    """Special tokens, every byte, letters, and a few words: enough to write any prompt."""
    words = "the a is and to of in on it we you word one two three four five".split()
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    kinds = [2, 3, 3] + [6] * 256
    more = ["\u2581"] + ["\u2581" + w for w in words] + [chr(c) for c in range(ord("a"), ord("z") + 1)]
    return tokens + more, kinds + [1] * len(more)


def make(path):
    """A llama of two blocks with random weights: 0.5 MB, loads at once, and says nonsense."""
    import gguf
    import numpy
    w = gguf.GGUFWriter(path, "llama")
    tokens, kinds = vocabulary()
    w.add_name("tiny")
    w.add_context_length(CONTEXT)
    w.add_embedding_length(WIDTH)
    w.add_block_count(BLOCKS)
    w.add_feed_forward_length(INNER)
    w.add_head_count(HEADS)
    w.add_head_count_kv(HEADS)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_dimension_count(WIDTH // HEADS)
    w.add_vocab_size(len(tokens))
    w.add_file_type(0)
    w.add_tokenizer_model("llama")
    w.add_token_list(tokens)
    w.add_token_scores([0.0] * len(tokens))
    w.add_token_types(kinds)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    w.add_chat_template(CHAT)
    dice = numpy.random.default_rng(1)

    def random(name, *shape):
        w.add_tensor(name, (dice.standard_normal(shape) * 0.1).astype(numpy.float32))

    def ones(name):
        w.add_tensor(name, numpy.ones(WIDTH, numpy.float32))
    random("token_embd.weight", len(tokens), WIDTH)
    random("output.weight", len(tokens), WIDTH)
    ones("output_norm.weight")
    for i in range(BLOCKS):
        at = f"blk.{i}."
        ones(at + "attn_norm.weight")
        ones(at + "ffn_norm.weight")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            random(f"{at}{part}.weight", WIDTH, WIDTH)
        random(at + "ffn_gate.weight", INNER, WIDTH)
        random(at + "ffn_up.weight", INNER, WIDTH)
        random(at + "ffn_down.weight", WIDTH, INNER)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def serve(a):
    import xllamacpp
    p = xllamacpp.CommonParams()
    p.model.path = a.model
    p.hostnames = [a.host]
    p.port = a.port
    p.n_ctx = a.context
    p.n_parallel = a.parallel
    server = xllamacpp.Server(p)
    print("listening on", server.listening_address, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    threading.Event().wait()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--make")
    p.add_argument("-m", dest="model")
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=int, default=8080)
    p.add_argument("-c", dest="context", type=int, default=CONTEXT)
    p.add_argument("-np", dest="parallel", type=int, default=2)
    a = p.parse_args()
    if a.make:
        make(a.make)
    else:
        serve(a)


main()
