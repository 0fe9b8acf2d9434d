/* Unit tests of base/base64.h. */
#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void expect(const char *text, const char *means)
{
    char room[64];
    size_t size = 0;
    assert_true(base64_most_bytes(strlen(text)) <= sizeof room);
    assert_true(base64_decode(span_of(text), room, &size));
    assert_int_equal(size, strlen(means));
    assert_memory_equal(room, means, size);
}

static void the_examples_of_the_rfc(void **state)
{
    expect("", "");
    expect("Zg==", "f");
    expect("Zm8=", "fo");
    expect("Zm9v", "foo");
    expect("Zm9vYg==", "foob");
    expect("Zm9vYmE=", "fooba");
    expect("Zm9vYmFy", "foobar");
    expect("+/+/", "\xfb\xff\xbf");
}

static void padding_may_be_left_out(void **state)
{
    expect("Zg", "f");
    expect("Zm8", "fo");
}

static void what_is_none(void **state)
{
    static const char *const texts[] = {"Z",    "Zm9vY", "Zm 8", "Zm8\n", "Zm-_",  "Z===",
                                        "====", "Zg=",   "Zm=8", "=Zm8",  "Zm9v=", "Zm9v=="};
    char room[64];
    size_t size;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(base64_decode(span_of(texts[i]), room, &size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc),
        cmocka_unit_test(padding_may_be_left_out),
        cmocka_unit_test(what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
