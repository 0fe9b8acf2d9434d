/* For unit tests: each has `arena` to itself, and `error` for what it is told. */
#ifndef TENSORD_BASE_ARENA_FIXTURE_H
#define TENSORD_BASE_ARENA_FIXTURE_H

#include "base/arena.h"
#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct arena arena;
static struct error error;

static inline int arena_set_up(void **state)
{
    arena_init(&arena, 1024, 1 << 20);
    error = (struct error){.code = ERROR_OK};
    return 0;
}

static inline int arena_tear_down(void **state)
{
    arena_fini(&arena);
    return 0;
}

#define ARENA_TEST(test) cmocka_unit_test_setup_teardown(test, arena_set_up, arena_tear_down)

#endif
