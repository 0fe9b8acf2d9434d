/* Unit tests of base/map.h: against an array, through growth and deletion. */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { KEYS = 500 };

static void behaves_like_an_array(void **state)
{
    static char keys[KEYS][16];
    bool present[KEYS] = {false};
    struct map map;
    unsigned random_state = 1;
    map_init(&map);
    for (int i = 0; i < KEYS; i++)
        snprintf(keys[i], sizeof keys[i], "key-%d", i);
    for (int step = 0; step < 50000; step++) {
        int i = rand_r(&random_state) % KEYS;
        if (present[i])
            assert_ptr_equal(map_remove(&map, span_of(keys[i])), keys[i]);
        else
            assert_true(map_set(&map, span_of(keys[i]), keys[i]));
        present[i] = !present[i];
        int j = rand_r(&random_state) % KEYS;
        assert_ptr_equal(map_get(&map, span_of(keys[j])), present[j] ? keys[j] : NULL);
    }
    size_t position = 0, seen = 0, expected = 0;
    struct map_slot slot;
    while (map_next(&map, &position, &slot))
        seen++;
    for (int i = 0; i < KEYS; i++)
        expected += present[i];
    assert_int_equal(seen, expected);
    map_fini(&map);
}

static void an_empty_map_has_nothing(void **state)
{
    struct map map;
    map_init(&map);
    assert_null(map_get(&map, SPAN("x")));
    assert_null(map_remove(&map, SPAN("x")));
    map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_like_an_array),
        cmocka_unit_test(an_empty_map_has_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
