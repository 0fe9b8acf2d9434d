/* Unit tests of base/utf8.h. */
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static bool is_surrogate(uint32_t code_point)
{
    return code_point >= 0xd800 && code_point <= 0xdfff;
}

static void accepts_every_character_and_no_shorter_part(void **state)
{
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        char text[4];
        if (is_surrogate(c))
            continue;
        size_t size = utf8_encode(c, text);
        assert_int_equal(size, c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
        assert_int_equal(utf8_char_size(text, text + size), size);
        assert_int_equal(utf8_char_size(text, text + size - 1), 0);
        assert_true(utf8_valid((struct span){text, size}));
    }
}

static void refuses_what_is_no_character(void **state)
{
    const char *const bad[] = {
        "\x80",             /* a continuation alone */
        "\xbf",             /* the last continuation */
        "\xc0\x80",         /* overlong */
        "\xc1\xbf",         /* overlong */
        "\xe0\x9f\xbf",     /* overlong */
        "\xf0\x8f\xbf\xbf", /* overlong */
        "\xed\xa0\x80",     /* the first surrogate */
        "\xed\xbf\xbf",     /* the last one */
        "\xf4\x90\x80\x80", /* U+110000 */
        "\xf5\x80\x80\x80", /* beyond */
        "\xff",             /* never in UTF-8 */
        "\xc2"
        "A", /* cut by another character */
        "\xe2\x82"
        "A",
        "\xf0\x9f\x98"
        "A",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[32] = "aaaaaaaaaaaaaaaa"; /* also behind the fast path for ASCII */
        size_t size = strlen(bad[i]);
        memcpy(text + 16, bad[i], size);
        assert_false(utf8_valid(span_of(bad[i])));
        assert_false(utf8_valid((struct span){text, 16 + size}));
    }
}

static void accepts_nothing_and_nul(void **state)
{
    assert_true(utf8_valid((struct span){NULL, 0}));
    assert_true(utf8_valid(SPAN("a\0b")));
    assert_true(utf8_valid(SPAN("12345678\xe2\x82\xac"
                                "12345678")));
}

static void makes_text_of_anything(void **state)
{
    static const char *const pairs[][2] = {
        {"plain", "plain"},
        {"\xe2\x82\xac is fine", "\xe2\x82\xac is fine"},
        {"a\xff\xfe"
         "b",
         "a??b"},
        {"cut \xe2\x82", "cut ??"},
        {"\xed\xa0\x80", "???"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char text[32];
        snprintf(text, sizeof text, "%s", pairs[i][0]);
        utf8_clean(text);
        assert_string_equal(text, pairs[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_every_character_and_no_shorter_part),
        cmocka_unit_test(refuses_what_is_no_character),
        cmocka_unit_test(accepts_nothing_and_nul),
        cmocka_unit_test(makes_text_of_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
