/* GGUF, safetensors and config.json: whole files are summed exactly, hostile ones are an error. */
#include "facts_kit.h"
#include "local/gguf.h"
#include "local/hf_config.h"
#include "local/safetensors.h"
#include "local/weights.h"

#include "base/buf.h"

#include <stdio.h>

/* ---- a GGUF file, written ---- */

enum { F32 = 0, Q4_K = 12, Q6_K = 14 };

static void raw(struct buf *b, const void *at, size_t n)
{
    assert_int_equal(buf_add(b, (struct span){at, n}), ERR_OK);
}

static void put_int(struct buf *b, uint64_t n, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        char c = (char)(n >> (8 * i));
        raw(b, &c, 1);
    }
}

static void put_string(struct buf *b, const char *s)
{
    put_int(b, strlen(s), 8);
    raw(b, s, strlen(s));
}

static void put_u32(struct buf *b, const char *key, uint32_t n)
{
    put_string(b, key);
    put_int(b, 4, 4);
    put_int(b, n, 4);
}

static void put_text(struct buf *b, const char *key, const char *s)
{
    put_string(b, key);
    put_int(b, 8, 4);
    put_string(b, s);
}

struct writer {
    struct buf *b;
    uint64_t at; /* in the tensor data */
    size_t tensors;
};

static void tensor(struct writer *w, const char *name, uint64_t ne0, uint64_t ne1, uint32_t type)
{
    uint64_t elements = ne0 * ne1;
    uint64_t bytes = type == F32    ? elements * 4
                     : type == Q4_K ? elements / 256 * 144
                                    : elements / 256 * 210;
    put_string(w->b, name);
    put_int(w->b, ne1 > 1 ? 2 : 1, 4);
    put_int(w->b, ne0, 8);
    if (ne1 > 1)
        put_int(w->b, ne1, 8);
    put_int(w->b, type, 4);
    put_int(w->b, w->at, 8);
    w->at += bytes;
    w->tensors++;
}

static void layer(struct writer *w, uint32_t i, uint32_t n)
{
    char name[64];
    bool more = i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
    const struct {
        const char *part;
        uint64_t ne0, ne1;
        uint32_t type;
    } rows[] = {
        {"attn_q", 4096, 4096, Q4_K},
        {"attn_k", 4096, 1024, Q4_K},
        {"attn_v", 4096, 1024, more ? Q6_K : Q4_K},
        {"attn_output", 4096, 4096, Q4_K},
        {"ffn_gate", 4096, 14336, Q4_K},
        {"ffn_up", 4096, 14336, Q4_K},
        {"ffn_down", 14336, 4096, more ? Q6_K : Q4_K},
        {"attn_norm", 4096, 1, F32},
        {"ffn_norm", 4096, 1, F32},
    };
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        (void)snprintf(name, sizeof name, "blk.%u.%s.weight", i, rows[k].part);
        tensor(w, name, rows[k].ne0, rows[k].ne1, rows[k].type);
    }
}

/* The header of Llama-3.1-8B as Q4_K_M; returns the bytes of its tensors. */
static uint64_t write_llama(struct buf *b)
{
    struct writer w = {.b = b};
    raw(b, "GGUF", 4);
    put_int(b, 3, 4);
    put_int(b, 2 + 32 * 9, 8);
    put_int(b, 10, 8);
    put_text(b, "general.architecture", "llama");
    put_text(b, "general.name", "Llama 3.1 8B");
    put_u32(b, "general.file_type", 15);
    put_u32(b, "llama.block_count", 32);
    put_u32(b, "llama.context_length", 131072);
    put_u32(b, "llama.embedding_length", 4096);
    put_u32(b, "llama.attention.head_count", 32);
    put_u32(b, "llama.attention.head_count_kv", 8);
    put_u32(b, "llama.vocab_size", 128256);
    put_string(b, "tokenizer.ggml.scores"); /* an array is passed over */
    put_int(b, 9, 4);
    put_int(b, 6, 4);
    put_int(b, 3, 8);
    put_int(b, 0, 8);
    put_int(b, 0, 4);
    tensor(&w, "token_embd.weight", 4096, 128256, Q4_K);
    tensor(&w, "output.weight", 4096, 128256, Q6_K);
    for (uint32_t i = 0; i < 32; i++)
        layer(&w, i, 32);
    assert_int_equal(w.tensors, 2 + 32 * 9);
    return w.at;
}

static void a_gguf_header_is_summed_exactly(void **state)
{
    const struct facts *f = *state;
    struct buf b;
    struct gguf g;
    struct arena a;
    const char *why = NULL;
    arena_init(&a, SIZE_MAX);
    buf_init(&b, 1 << 20);
    uint64_t bytes = write_llama(&b);
    if (gguf_read(f, buf_span(&b), &g, &why) != ERR_OK)
        fail_msg("%s", why);
    assert_true(g.embed + g.dense + g.expert == (double)bytes);
    assert_true(g.data_bytes == bytes && g.cut); /* there is no data behind the header */
    assert_bytes(g.architecture, "llama");
    struct fact_model m = gguf_model(&g, &a);
    assert_true(m.kv_elems == 65536 && m.layers == 32 && m.context == 131072);
    assert_string_equal(m.dtype, "Q4_K_M");
    assert_string_equal(m.id, "Llama 3.1 8B");
    /* Another way to the same bytes: the rule for files that were not downloaded yet. */
    const struct fact_model *known = model(f, "meta-llama/Llama-3.1-8B-Instruct");
    assert_true(weights_of(f, known, quant(f, "Q4_K_M")).total == (double)bytes);
    struct fact_quant q = weights_file_format(f, &m);
    struct weights w = weights_of(f, &m, &q);
    assert_true(w.basis == WEIGHTS_FILE && w.total == (double)bytes && w.error == 0);
    buf_deinit(&b);
    arena_deinit(&a);
}

static void a_gguf_cut_anywhere_is_an_error(void **state)
{
    const struct facts *f = *state;
    struct buf b;
    struct gguf g;
    const char *why = NULL;
    buf_init(&b, 1 << 20);
    (void)write_llama(&b);
    for (size_t n = 0; n < b.len; n += n < 600 ? 1 : 97) {
        char *copy = mem_alloc(n + 1); /* so that a read past the end is seen */
        memcpy(copy, b.at, n);
        why = NULL;
        assert_true(gguf_read(f, (struct span){copy, n}, &g, &why) != ERR_OK);
        assert_true(why && why[0]);
        mem_free(copy);
    }
    buf_deinit(&b);
}

/* A header of one tensor, with these numbers. */
static enum err read_odd(const struct facts *f, uint32_t version, uint64_t tensors, uint64_t pairs,
                         uint32_t dims, uint64_t ne0, uint64_t ne1, uint32_t type, uint64_t offset)
{
    struct buf b;
    struct gguf g;
    const char *why = NULL;
    buf_init(&b, 4096);
    raw(&b, "GGUF", 4);
    put_int(&b, version, 4);
    put_int(&b, tensors, 8);
    put_int(&b, pairs, 8);
    put_string(&b, "a");
    put_int(&b, dims, 4);
    put_int(&b, ne0, 8);
    put_int(&b, ne1, 8);
    put_int(&b, type, 4);
    put_int(&b, offset, 8);
    enum err e = gguf_read(f, buf_span(&b), &g, &why);
    buf_deinit(&b);
    return e;
}

static void a_lying_gguf_is_an_error(void **state)
{
    const struct facts *f = *state;
    assert_int_equal(read_odd(f, 3, 1, 0, 2, 256, 4, Q4_K, 0), ERR_OK);
    assert_int_equal(read_odd(f, 1, 1, 0, 2, 256, 4, Q4_K, 0), ERR_UNSUPPORTED);
    assert_int_equal(read_odd(f, 3, UINT64_MAX, 0, 2, 256, 4, Q4_K, 0), ERR_LIMIT);
    assert_int_equal(read_odd(f, 3, 1, UINT64_MAX, 2, 256, 4, Q4_K, 0), ERR_LIMIT);
    assert_int_equal(read_odd(f, 3, 2, 0, 2, 256, 4, Q4_K, 0), ERR_SYNTAX);
    assert_int_equal(read_odd(f, 3, 1, 0, 5, 256, 4, Q4_K, 0), ERR_SYNTAX);
    assert_int_equal(read_odd(f, 3, 1, 0, 2, UINT64_MAX, UINT64_MAX, Q4_K, 0), ERR_LIMIT);
    assert_int_equal(read_odd(f, 3, 1, 0, 2, (uint64_t)1 << 32, (uint64_t)1 << 32, F32, 0),
                     ERR_LIMIT);
    assert_int_equal(read_odd(f, 3, 1, 0, 2, (uint64_t)1 << 26, (uint64_t)1 << 26, F32, 0),
                     ERR_LIMIT);
    assert_int_equal(read_odd(f, 3, 1, 0, 2, 100, 4, Q4_K, 0), ERR_SYNTAX);
    assert_int_equal(read_odd(f, 3, 1, 0, 2, 256, 4, 4, 0), ERR_UNSUPPORTED);
    assert_int_equal(read_odd(f, 3, 1, 0, 2, 256, 4, UINT32_MAX, 0), ERR_UNSUPPORTED);
    assert_int_equal(read_odd(f, 3, 1, 0, 2, 256, 4, Q4_K, UINT64_MAX), ERR_SYNTAX);
}

/* ---- safetensors ---- */

static enum err read_tensors(struct arena *a, const char *header, uint64_t length, size_t data,
                             struct safetensors *out, const char **why)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    put_int(&b, length == UINT64_MAX ? strlen(header) : length, 8);
    raw(&b, header, strlen(header));
    for (size_t i = 0; i < data; i++)
        put_int(&b, 0, 1);
    struct span file = arena_copy(a, buf_span(&b));
    buf_deinit(&b);
    return safetensors_read(a, file, out, why);
}

static void a_safetensors_header_is_summed_exactly(void **state)
{
    struct arena *a = *state;
    struct safetensors s;
    const char *why = "";
    const char *header =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"model.embed_tokens.weight\":{\"dtype\":\"BF16\",\"shape\":[10,4],\"data_offsets\":[0,80]"
        "},"
        "\"lm_head.weight\":{\"dtype\":\"BF16\",\"shape\":[10,4],\"data_offsets\":[80,160]},"
        "\"model.layers.0.mlp.up_proj.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[4,8],"
        "\"data_offsets\":[160,192]},"
        "\"model.layers.0.mlp.experts.0.up.weight\":{\"dtype\":\"I32\",\"shape\":[3],"
        "\"data_offsets\":[192,204]}}";
    if (read_tensors(a, header, UINT64_MAX, 204, &s, &why) != ERR_OK)
        fail_msg("%s", why);
    assert_true(s.embed == 160 && s.token_embd == 80 && s.dense == 32 && s.expert == 12);
    assert_true(s.tensors == 4 && !s.cut);
    assert_string_equal(s.main_type, "BF16");
    assert_int_equal(read_tensors(a, header, UINT64_MAX, 203, &s, &why), ERR_OK);
    assert_true(s.cut);
}

static void a_lying_safetensors_is_an_error(void **state)
{
    struct arena *a = *state;
    struct safetensors s;
    static const char *const headers[] = {
        "{\"a\":{\"dtype\":\"BF16\",\"shape\":[10,4],\"data_offsets\":[0,79]}}",
        "{\"a\":{\"dtype\":\"BF16\",\"shape\":[10,4],\"data_offsets\":[80,0]}}",
        "{\"a\":{\"dtype\":\"BF16\",\"shape\":[9999999999,9999999999],\"data_offsets\":[0,80]}}",
        "{\"a\":{\"dtype\":\"BF16\",\"shape\":[-1],\"data_offsets\":[0,80]}}",
        "{\"a\":{\"dtype\":\"F99\",\"shape\":[1],\"data_offsets\":[0,80]}}",
        "{\"a\":{\"dtype\":\"BF16\",\"shape\":[1]}}",
        "{\"a\":7}",
        "[1,2]",
        "{\"a\":",
        "",
    };
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        const char *why = "";
        if (read_tensors(a, headers[i], UINT64_MAX, 80, &s, &why) == ERR_OK)
            fail_msg("%s was taken", headers[i]);
        assert_true(why && why[0]);
    }
    const char *why = "";
    assert_int_equal(read_tensors(a, "{}", 1000, 0, &s, &why), ERR_SYNTAX);
    assert_int_equal(read_tensors(a, "{}", UINT64_MAX - 1, 0, &s, &why), ERR_LIMIT);
    assert_int_equal(safetensors_read(a, SPAN("1234567"), &s, &why), ERR_SYNTAX);
}

/* ---- config.json ---- */

static struct fact_model read_config(struct arena *a, const char *text)
{
    struct fact_model m;
    const char *why = NULL;
    if (hf_config_read(a, span_from(text), &m, &why) != ERR_OK)
        fail_msg("%s: %s", text, why);
    return m;
}

static void published_configurations_give_the_published_counts(void **state)
{
    const struct facts *f = *state;
    struct arena a;
    static const struct {
        const char *text, *model;
    } rows[] = {
        {"{\"model_type\":\"llama\",\"hidden_size\":5120,\"num_hidden_layers\":40,"
         "\"num_attention_heads\":40,\"intermediate_size\":13824,\"vocab_size\":32000,"
         "\"max_position_embeddings\":4096}",
         "meta-llama/Llama-2-13b-chat-hf"},
        {"{\"hidden_size\":4096,\"num_hidden_layers\":32,\"num_attention_heads\":32,"
         "\"num_key_value_heads\":8,\"intermediate_size\":14336,\"vocab_size\":128256,"
         "\"max_position_embeddings\":131072,\"torch_dtype\":\"bfloat16\"}",
         "meta-llama/Llama-3.1-8B-Instruct"},
        {"{\"hidden_size\":4096,\"num_hidden_layers\":32,\"num_attention_heads\":32,"
         "\"num_key_value_heads\":8,\"intermediate_size\":14336,\"vocab_size\":32000,"
         "\"num_local_experts\":8,\"num_experts_per_tok\":2,\"sliding_window\":null,"
         "\"max_position_embeddings\":32768}",
         "mistralai/Mixtral-8x7B-Instruct-v0.1"},
        {"{\"hidden_size\":7168,\"num_hidden_layers\":61,\"num_attention_heads\":128,"
         "\"num_key_value_heads\":128,\"intermediate_size\":18432,\"vocab_size\":129280,"
         "\"moe_intermediate_size\":2048,\"n_routed_experts\":256,\"n_shared_experts\":1,"
         "\"num_experts_per_tok\":8,\"first_k_dense_replace\":3,\"kv_lora_rank\":512,"
         "\"q_lora_rank\":1536,\"qk_rope_head_dim\":64,\"qk_nope_head_dim\":128,"
         "\"v_head_dim\":128,\"max_position_embeddings\":163840,\"moe_layer_freq\":1,"
         "\"quantization_config\":{\"quant_method\":\"fp8\"}}",
         "deepseek-ai/DeepSeek-V3"},
        {"{\"hidden_size\":2048,\"num_hidden_layers\":48,\"num_attention_heads\":16,"
         "\"num_key_value_heads\":2,\"head_dim\":256,\"intermediate_size\":5120,"
         "\"vocab_size\":151936,\"moe_intermediate_size\":512,\"num_experts\":512,"
         "\"num_experts_per_tok\":10,\"full_attention_interval\":4,\"decoder_sparse_step\":1,"
         "\"linear_num_key_heads\":16,\"linear_num_value_heads\":32,\"linear_key_head_dim\":128,"
         "\"linear_value_head_dim\":128,\"linear_conv_kernel_dim\":4,"
         "\"max_position_embeddings\":262144}",
         "Qwen/Qwen3-Next-80B-A3B-Instruct"},
    };
    arena_init(&a, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct fact_model *known = model(f, rows[i].model);
        struct fact_model m = read_config(&a, rows[i].text);
        assert_near(known->id, m.total, known->total, 0.02);
        assert_near(known->id, m.kv_elems, known->kv_elems, 0);
        assert_true(m.state_bytes == known->state_bytes && m.context == known->context);
        assert_near(known->id, m.embed, known->embed, 0.01);
    }
    assert_string_equal(read_config(&a, rows[3].text).dtype, "fp8");
    assert_string_equal(read_config(&a, rows[0].text).dtype, "bf16");
    arena_deinit(&a);
}

static void a_configuration_without_a_shape_is_an_error(void **state)
{
    struct arena *a = *state;
    static const char *const texts[] = {
        "",
        "[]",
        "{}",
        "{\"hidden_size\":1e300,\"num_hidden_layers\":1,\"num_attention_heads\":1,"
        "\"intermediate_size\":1,\"vocab_size\":1}",
        "{\"hidden_size\":64,\"num_hidden_layers\":1e9,\"num_attention_heads\":1,"
        "\"intermediate_size\":1,\"vocab_size\":1}",
        "{\"hidden_size\":64,\"num_hidden_layers\":-4,\"num_attention_heads\":1,"
        "\"intermediate_size\":1,\"vocab_size\":1}",
        "{\"hidden_size\":64,\"num_hidden_layers\":4,\"num_attention_heads\":0,"
        "\"intermediate_size\":1,\"vocab_size\":1}",
        "{\"hidden_size\":\"64\",\"num_hidden_layers\":4,\"num_attention_heads\":4}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct fact_model m;
        const char *why = NULL;
        if (hf_config_read(a, span_from(texts[i]), &m, &why) == ERR_OK)
            fail_msg("%s was taken", texts[i]);
        assert_true(why && why[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACTS_TEST(a_gguf_header_is_summed_exactly),
        FACTS_TEST(a_gguf_cut_anywhere_is_an_error),
        FACTS_TEST(a_lying_gguf_is_an_error),
        CHECK_TEST(a_safetensors_header_is_summed_exactly),
        CHECK_TEST(a_lying_safetensors_is_an_error),
        FACTS_TEST(published_configurations_give_the_published_counts),
        CHECK_TEST(a_configuration_without_a_shape_is_an_error),
    };
    return cmocka_run_group_tests_name("readers", tests, NULL, NULL);
}
