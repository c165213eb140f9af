#pragma once
/* What cmocka programs over pure modules repeat: an arena per test, and bytes compared with a
 * message that shows both. Includes cmocka in the way it wants to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/span.h"

/* *state becomes the test's arena. */
static inline int check_arena_up(void **state)
{
    struct arena *a = mem_new(struct arena);
    arena_init(a, SIZE_MAX);
    *state = a;
    return 0;
}

static inline int check_arena_down(void **state)
{
    arena_deinit(*state);
    mem_free(*state);
    return 0;
}

#define CHECK_TEST(name) cmocka_unit_test_setup_teardown(name, check_arena_up, check_arena_down)

static inline void assert_bytes(struct span got, const char *wanted)
{
    if (!span_is(got, wanted))
        fail_msg("got\n  %.*s\nwanted\n  %s", SPAN_FMT(got), wanted);
}
