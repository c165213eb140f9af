#!/usr/bin/env python3
"""Makes a tiny model that counts, so that what a real engine says is known beforehand and no file is fetched: each token has
one successor. After a prompt it says "w1 w2 ... w40", after a beginning of that it goes on where the beginning ends; after
<call> it calls the tool `look`, after <think> it thinks first. Otherwise it ends.

    counting_model.py FILE.gguf [--embeds]     run by a Python that has the packages of llama.txt

How: the blocks add nothing, an embedding is a row of random signs, and the output row of a token is the sum of the
embeddings that it follows. Rows of random signs are nearly at right angles, so the successor has by far the largest logit.
"""
import sys

import gguf
import numpy

WIDTH, HEADS, INNER, CONTEXT, LAST = 256, 4, 32, 2048, 40
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
CALL = ['{"name": "look", ', '"arguments": ', '{"q": "a"}}']
CHAINS = [["<assistant>", "w1"] + [f" w{i}" for i in range(2, LAST + 1)],
          ["<call>"] + CALL,
          ["<think>", "Hm", ", so", "</think>", "w1"]]


def vocabulary():
    """Longer words first: a tokenizer that takes the first that fits finds w10 before w1."""
    words = sorted({w for chain in CHAINS for w in chain} | {"<user>", "<system>", "<tool>"}, key=lambda w: (-len(w), w))
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + words
    return tokens, [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [USER_DEFINED] * len(words)


def weights(tokens):
    """The embedding's first column is 1 for all: in the output it holds the end, for whatever has no successor."""
    dice = numpy.random.default_rng(1)
    embedding = dice.choice([-1.0, 1.0], (len(tokens), WIDTH)).astype(numpy.float32)
    embedding[:, 0] = 1
    output = numpy.zeros_like(embedding)
    at = {t: i for i, t in enumerate(tokens)}
    for before, after in {pair for chain in CHAINS for pair in zip(chain, chain[1:])}:
        output[at[after], 1:] += embedding[at[before], 1:]
    output[at["</s>"], 0] = WIDTH / 2
    return embedding, output


def make(path, embeds):
    w = gguf.GGUFWriter(path, "llama")
    tokens, kinds = vocabulary()
    embedding, output = weights(tokens)
    w.add_name("counting")
    w.add_context_length(CONTEXT)
    w.add_embedding_length(WIDTH)
    w.add_block_count(1)
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
    w.add_add_space_prefix(False)
    if embeds:
        w.add_pooling_type(gguf.PoolingType.MEAN)
    w.add_tensor("token_embd.weight", embedding)
    w.add_tensor("output.weight", output)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        w.add_tensor(name + ".weight", numpy.ones(WIDTH, numpy.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        w.add_tensor(f"blk.0.{name}.weight", numpy.zeros((WIDTH, WIDTH), numpy.float32))
    w.add_tensor("blk.0.ffn_gate.weight", numpy.zeros((INNER, WIDTH), numpy.float32))
    w.add_tensor("blk.0.ffn_up.weight", numpy.zeros((INNER, WIDTH), numpy.float32))
    w.add_tensor("blk.0.ffn_down.weight", numpy.zeros((WIDTH, INNER), numpy.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    make(sys.argv[1], "--embeds" in sys.argv)
