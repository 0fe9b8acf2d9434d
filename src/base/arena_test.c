/* Unit tests of base/arena.h. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void pieces_are_aligned_and_apart(void **state)
{
    struct arena arena;
    arena_init(&arena, 64, 1 << 20);
    char *last = NULL;
    for (size_t size = 1; size < 500; size += 7) {
        char *piece = arena_alloc(&arena, size);
        assert_non_null(piece);
        assert_int_equal((uintptr_t)piece % 16, 0);
        memset(piece, (int)size, size);
        if (last)
            assert_int_equal((unsigned char)last[0], (unsigned char)(size - 7));
        last = piece;
    }
    arena_fini(&arena);
    assert_int_equal(arena.total_bytes, 0);
}

static void the_limit_holds(void **state)
{
    struct arena arena;
    arena_init(&arena, 64, 1000);
    assert_null(arena_alloc(&arena, 1001));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_calloc(&arena, SIZE_MAX / 2, 3));
    assert_non_null(arena_alloc(&arena, 900));
    assert_null(arena_alloc(&arena, 200));
    arena_fini(&arena);
}

static void copies_are_terminated(void **state)
{
    struct arena arena;
    struct span copy;
    arena_init(&arena, 64, 1000);
    assert_true(arena_copy(&arena, SPAN("abc"), &copy));
    assert_int_equal(copy.size, 3);
    assert_string_equal(copy.data, "abc");
    assert_string_equal(arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
    arena_fini(&arena);
}

static void arrays_grow(void **state)
{
    struct arena arena;
    int *array = NULL;
    size_t capacity = 0;
    arena_init(&arena, 64, 1 << 16);
    for (int i = 0; i < 100; i++) {
        assert_true(arena_grow(&arena, (void **)&array, (size_t)i, &capacity, sizeof *array));
        array[i] = i;
    }
    for (int i = 0; i < 100; i++)
        assert_int_equal(array[i], i);
    arena_fini(&arena);
}

static void clearing_keeps_the_first_block(void **state)
{
    struct arena arena;
    arena_init(&arena, 64, 1 << 16);
    void *first = arena_alloc(&arena, 16);
    assert_non_null(arena_alloc(&arena, 1000));
    arena_clear(&arena);
    assert_int_equal(arena.total_bytes, 64);
    assert_ptr_equal(arena_alloc(&arena, 16), first);
    arena_fini(&arena);
    arena_clear(&arena);
    assert_int_equal(arena.total_bytes, 0);
}

static void what_is_beyond_the_first_block_is_held_of_a_budget(void **state)
{
    struct budget budget = {.limit_bytes = 1000};
    struct arena first, second;
    arena_init(&first, 64, 1 << 16);
    arena_init(&second, 64, 1 << 16);
    first.budget = second.budget = &budget;
    assert_non_null(arena_alloc(&first, 64));
    assert_non_null(arena_alloc(&second, 64));
    assert_int_equal(budget.held_bytes, 0);
    assert_non_null(arena_alloc(&first, 800));
    assert_int_equal(budget.held_bytes, 800);
    assert_null(arena_alloc(&second, 800));
    assert_true(second.unaffordable);
    assert_non_null(arena_alloc(&second, 48)); /* for saying so */
    assert_int_equal(budget.held_bytes, 800);
    assert_null(arena_alloc(&second, 800));
    arena_clear(&first);
    assert_int_equal(budget.held_bytes, 0);
    arena_clear(&second);
    assert_false(second.unaffordable);
    assert_non_null(arena_alloc(&second, 800));
    arena_fini(&first);
    arena_fini(&second);
    assert_int_equal(budget.held_bytes, 0);
}

static void a_first_block_larger_than_usual_is_held_of_a_budget(void **state)
{
    struct budget budget = {.limit_bytes = 1000};
    struct arena arena;
    arena_init(&arena, 64, 1 << 16);
    arena.budget = &budget;
    assert_non_null(arena_alloc(&arena, 512));
    assert_int_equal(budget.held_bytes, 448);
    arena_clear(&arena);
    assert_int_equal(budget.held_bytes, 448);
    arena_fini(&arena);
    assert_int_equal(budget.held_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_apart),
        cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(copies_are_terminated),
        cmocka_unit_test(arrays_grow),
        cmocka_unit_test(clearing_keeps_the_first_block),
        cmocka_unit_test(what_is_beyond_the_first_block_is_held_of_a_budget),
        cmocka_unit_test(a_first_block_larger_than_usual_is_held_of_a_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
