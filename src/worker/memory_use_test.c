/* What the kernel's texts say of a process's memory, and that it is so. */
#include "worker/memory_use.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MIB = 1 << 20 };

static const char rollup[] = "561e8d3c7000-7ffd8f1fe000 ---p 00000000 00:00 0    [rollup]\n"
                             "Rss:              102400 kB\n"
                             "Pss:               61440 kB\n"
                             "Pss_Dirty:         1024 kB\n"
                             "SwapPss:            2048 kB\n";
static const char status[] = "Name:\tmodel\nVmPeak:\t  900000 kB\nVmHWM:\t  204800 kB\n";

static void parts_are_counted_as_parts(void **state)
{
    struct memory_use use;
    assert_true(memory_use_read(span_of(rollup), span_of(status), &use));
    assert_int_equal(use.bytes, 62 * MIB);
    assert_int_equal(use.most_bytes, 160 * MIB); /* 200 resident, of which 40 were others' parts */
}

static void what_is_not_said_is_not_known(void **state)
{
    struct memory_use use;
    assert_false(memory_use_read(SPAN(""), span_of(status), &use));
    assert_false(memory_use_read(span_of(rollup), SPAN("Name:\tVmHWM: 1 kB\n"), &use));
    assert_false(memory_use_read(SPAN("Rss: x kB\nPss: 1 kB\n"), span_of(status), &use));
    assert_false(
        memory_use_read(SPAN("Rss: 99999999999999999 kB\nPss: 1 kB\n"), span_of(status), &use));
}

static void what_is_touched_shows(void **state)
{
    struct memory_use before, with, after;
    enum { BLOCK = 64 * MIB };
    assert_true(memory_use_look(&before));
    char *block = malloc(BLOCK);
    assert_non_null(block);
    memset(block, 1, BLOCK);
    assert_true(memory_use_look(&with));
    assert_in_range(with.bytes, before.bytes + BLOCK / 2, before.bytes + 2 * (uint64_t)BLOCK);
    free(block);
    assert_true(memory_use_look(&after));
    assert_true(after.most_bytes >= with.bytes - MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_counted_as_parts),
        cmocka_unit_test(what_is_not_said_is_not_known),
        cmocka_unit_test(what_is_touched_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
