/* The memory of an nghttp2 session. */
#include "protocol/http2_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { LIMIT_BYTES = 4096 };

static void blocks_keep_what_they_hold(void **state)
{
    struct http2_memory memory;
    http2_memory_init(&memory, LIMIT_BYTES);
    nghttp2_mem calls = http2_memory_calls(&memory);
    char *zero = calls.calloc(10, 10, &memory), *text = calls.malloc(6, &memory);
    memcpy(text, "hello", 6);
    text = calls.realloc(text, 1000, &memory);
    assert_string_equal(text, "hello");
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(zero[i], 0);
    assert_true(memory.size_bytes >= 1100);
    calls.free(NULL, &memory);
    calls.free(text, &memory);
    calls.free(zero, &memory);
    assert_int_equal(memory.size_bytes, 0);
    assert_false(memory.failed);
    http2_memory_fini(&memory);
}

static void limit_and_overflow_are_failures(void **state)
{
    struct http2_memory memory;
    http2_memory_init(&memory, LIMIT_BYTES);
    nghttp2_mem calls = http2_memory_calls(&memory);
    char *block = calls.malloc(3000, &memory);
    assert_non_null(block);
    assert_non_null(calls.realloc(NULL, 500, &memory));
    assert_false(memory.failed);
    assert_null(calls.malloc(2000, &memory));
    assert_true(memory.failed);
    memory.failed = false;
    assert_null(calls.realloc(block, 5000, &memory));
    assert_true(memory.failed);
    memory.failed = false;
    assert_null(calls.calloc(SIZE_MAX / 2, 3, &memory));
    assert_true(memory.failed);
    assert_null(calls.malloc(SIZE_MAX, &memory));
    block[2999] = 'x';          /* still ours after the failed realloc */
    http2_memory_fini(&memory); /* AddressSanitizer sees that nothing is left */
    assert_int_equal(memory.size_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_keep_what_they_hold),
        cmocka_unit_test(limit_and_overflow_are_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
