/* The fact tables: that all of them are read, what a user's table does, how names are found. */
#include "facts_kit.h"
#include "local/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void the_built_in_tables_are_read_whole(void **state)
{
    const struct facts *f = *state;
    assert_true(f->model_count >= 66 && f->gpu_count >= 43 && f->quant_count >= 60);
    assert_true(f->licence_count >= 27 && f->price_count >= 114);
    for (size_t i = 0; i < f->model_count; i++) {
        const struct fact_model *m = &f->models[i];
        assert_true(m->id && m->layers && m->hidden && m->heads && m->vocab && m->context);
        assert_true(m->source && m->as_of && m->dtype && m->kv_elems > 0);
        double parts = m->embed + m->dense + m->expert;
        assert_true(parts > 0.88 * m->total && parts < 1.1 * m->total);
    }
    for (size_t i = 0; i < f->gpu_count; i++)
        assert_true(f->gpus[i].bandwidth > 0 &&
                    (f->gpus[i].vram_gib > 0) != (f->gpus[i].ram_share > 0));
}

static void names_lead_to_one_thing(void **state)
{
    const struct facts *f = *state;
    struct arena a;
    const char *near = NULL;
    arena_init(&a, SIZE_MAX);
    static const char *const models[][2] = {
        {"llama-2-13b", "meta-llama/Llama-2-13b-chat-hf"},
        {"TheBloke/Llama-2-13B-chat-AWQ", "meta-llama/Llama-2-13b-chat-hf"},
        {"qwen3-8b", "Qwen/Qwen3-8B"},
        {"Qwen/Qwen3.6-27B-FP8", "Qwen/Qwen3.6-27B"},
        {"GPT-OSS-20B", "openai/gpt-oss-20b"},
    };
    for (size_t i = 0; i < ARRAY_LEN(models); i++) {
        const struct fact_model *m = facts_model(f, span_from(models[i][0]), &a, &near);
        assert_string_equal(m ? m->id : models[i][0], models[i][1]);
    }
    assert_null(facts_model(f, SPAN("mistral-7b"), &a, &near));
    assert_non_null(strstr(near, "v0.3"));
    assert_null(facts_model(f, SPAN("no-such-model"), &a, &near));
    assert_string_equal(near, "");
    assert_null(facts_model_exact(f, SPAN("llama-2-13b"))); /* no guessing where it must be sure */
    static const char *const cards[][2] = {
        {"L4", "L4 24GB"},
        {"l40s", "L40S 48GB"},
        {"NVIDIA GeForce RTX 4090", "RTX 4090 24GB"},
        {"NVIDIA H100 80GB SXM", "H100 80GB SXM"},
        {"A100 40GB", "A100 40GB SXM"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cards); i++)
        assert_string_equal(gpu(f, cards[i][0])->name, cards[i][1]);
    static const struct {
        const char *reported;
        double gib;
        const char *name;
    } drivers[] = {
        {"NVIDIA A100-SXM4-80GB", 80, "A100 80GB SXM"},
        {"NVIDIA A100-PCIE-40GB", 40, "A100 40GB SXM"},
        {"NVIDIA H100 80GB HBM3", 79.6, "H100 80GB SXM"},
        {"NVIDIA H100 PCIe", 79.6, "H100 80GB PCIe"},
        {"NVIDIA H200", 140.4, "H200 141GB SXM"},
        {"Tesla T4", 15, "T4 16GB"},
        {"NVIDIA L4", 22.5, "L4 24GB"},
        {"NVIDIA RTX 6000 Ada Generation", 48, "RTX 6000 Ada 48GB"},
        {"NVIDIA RTX PRO 6000 Blackwell Server Edition", 95.6, "RTX PRO 6000 Blackwell 96GB"},
        {"NVIDIA RTX A6000", 48, "RTX A6000 48GB"},
        {"NVIDIA GeForce RTX 5090", 31.8, "RTX 5090 32GB"},
    };
    for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
        const struct fact_gpu *g =
            facts_gpu_reported(f, span_from(drivers[i].reported), drivers[i].gib);
        if (!g || strcmp(g->name, drivers[i].name) != 0)
            fail_msg("%s: %s", drivers[i].reported, g ? g->name : "nothing");
    }
    assert_null(facts_gpu_reported(f, SPAN("NVIDIA GeForce RTX 4090"), 12)); /* a laptop's */
    assert_null(facts_gpu_reported(f, SPAN("NVIDIA Graphics Device"), 24));
    assert_null(facts_gpu(f, SPAN("RTX 9999")));
    assert_null(facts_gpu(f, SPAN("NVIDIA")));
    arena_deinit(&a);
}

static void write_table(const char *folder, const char *name, const char *text, char path[256])
{
    (void)snprintf(path, 256, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void a_users_table_replaces_and_adds_rows(void **state)
{
    (void)state;
    struct facts f;
    const char *why = NULL;
    char folder[] = "/tmp/hotspare-facts-XXXXXX", path[256];
    assert_non_null(mkdtemp(folder));
    write_table(folder, "gpus.tsv",
                "name\tvendor\tclass\tarch\tvram_gib\tbandwidth_gbs\tusd_h_high\n"
                "L4 24GB\tNVIDIA\tdatacentre\tsm89\t22.5\t300\t9.5\n"
                "Mine 7GB\tMe\tdesktop\t-\t7\t100\t-\n",
                path);
    assert_int_equal(facts_load(&f, folder, &why), ERR_OK);
    assert_true(gpu(&f, "L4")->usd_h_high == 9.5 && gpu(&f, "Mine")->vram_gib == 7);
    assert_non_null(facts_gpu(&f, SPAN("RTX 4090")));
    facts_deinit(&f);
    write_table(folder, "gpus.tsv", "name\tvendor\nL4 24GB\tNVIDIA\tmore\n", path);
    assert_int_equal(facts_load(&f, folder, &why), ERR_INVALID);
    assert_non_null(strstr(why, "line 2 has 3 cells"));
    facts_deinit(&f);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void bad_tables_are_refused(void **state)
{
    struct arena *a = *state;
    struct table t;
    const char *why = NULL;
    assert_int_equal(table_read(a, SPAN(""), &t, &why), ERR_INVALID);
    assert_int_equal(table_read(a, SPAN("# only this\n"), &t, &why), ERR_INVALID);
    assert_int_equal(table_read(a, SPAN("a\ta\n1\t2\n"), &t, &why), ERR_INVALID);
    assert_int_equal(table_read(a, SPAN("a\tb\n1\n"), &t, &why), ERR_INVALID);
    assert_int_equal(table_read(a, SPAN("a\tb\r\n1\t-\r\n"), &t, &why), ERR_OK);
    assert_bytes(table_cell(&t, 0, "a"), "1");
    assert_int_equal(table_cell(&t, 0, "b").len + table_cell(&t, 0, "c").len, 0);
    char wide[300];
    memset(wide, '\t', sizeof wide);
    assert_true(table_read(a, (struct span){wide, sizeof wide}, &t, &why) != ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACTS_TEST(the_built_in_tables_are_read_whole),
        FACTS_TEST(names_lead_to_one_thing),
        cmocka_unit_test(a_users_table_replaces_and_adds_rows),
        CHECK_TEST(bad_tables_are_refused),
    };
    return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
