#!/usr/bin/env python3
"""Makes a tiny model that counts, so that what a real engine says is known beforehand and no file is fetched: each token has
one successor. After a prompt it says "w1 w2 ... w40", after a beginning of that it goes on where the beginning ends; after
<call> it calls the tool `look`, after <think> it thinks first. Otherwise it ends.

    counting_model.py FILE.gguf [--embeds]     run by a Python that has the packages of llama.txt
    counting_model.py FOLDER                   safetensors, run by the Python of a vLLM

How: the blocks add nothing, an embedding is a row of random signs, and the output row of a token is the sum of the
embeddings that it follows. Rows of random signs are nearly at right angles, so the successor has by far the largest logit.
"""
import os
import sys

import numpy

WIDTH, HEADS, INNER, CONTEXT, LAST = 256, 4, 32, 2048, 40
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
CALL = ['{"name": "look", ', '"arguments": ', '{"q": "a"}}']
CHAT = ("{% for m in messages %}<{{ m['role'] }}>{{ m['content'] if m['content'] is string else '' }}{% endfor %}{% if add_generation_prompt %}"
        "{% if tools and messages[-1].role == 'user' %}<call>{% elif enable_thinking %}<think>{% else %}<assistant>{% endif %}{% endif %}")
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


def make_gguf(path, embeds):
    import gguf
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
    w.add_chat_template(CHAT)
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


def make_tokenizer(folder, tokens):
    """Its words are found in the text before anything else is; the rest is bytes."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    t = Tokenizer(models.BPE(vocab={w: i for i, w in enumerate(tokens[:3] + signs)}, merges=[], unk_token="<unk>"))
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    t.add_special_tokens([AddedToken(w, special=True) for w in tokens[:3]])
    t.add_tokens([AddedToken(w, normalized=False) for w in tokens[259:]])
    fast = PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    fast.chat_template = CHAT
    fast.save_pretrained(folder)
    return [fast.convert_tokens_to_ids(w) for w in tokens[259:]]


def make_safetensors(folder):
    from safetensors.numpy import save_file
    from transformers import LlamaConfig
    os.makedirs(folder)
    tokens, _ = vocabulary()
    rows = list(range(259)) + make_tokenizer(folder, tokens)  # the tokenizer numbers them as it likes
    embedding, output = weights(tokens)
    order = numpy.argsort(rows)
    layer = "model.layers.0."
    w = {"model.embed_tokens.weight": embedding[order], "lm_head.weight": output[order]}
    for name in ("model.norm", layer + "input_layernorm", layer + "post_attention_layernorm"):
        w[name + ".weight"] = numpy.ones(WIDTH, numpy.float32)
    for name in "qkvo":
        w[f"{layer}self_attn.{name}_proj.weight"] = numpy.zeros((WIDTH, WIDTH), numpy.float32)
    for name, shape in (("gate", (INNER, WIDTH)), ("up", (INNER, WIDTH)), ("down", (WIDTH, INNER))):
        w[f"{layer}mlp.{name}_proj.weight"] = numpy.zeros(shape, numpy.float32)
    save_file(w, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    LlamaConfig(vocab_size=len(tokens), hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=1, num_attention_heads=HEADS, num_key_value_heads=HEADS,
                max_position_embeddings=CONTEXT, rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
                architectures=["LlamaForCausalLM"], dtype="float32").save_pretrained(folder)


if __name__ == "__main__":
    if sys.argv[1].endswith(".gguf"):
        make_gguf(sys.argv[1], "--embeds" in sys.argv)
    else:
        make_safetensors(sys.argv[1])
