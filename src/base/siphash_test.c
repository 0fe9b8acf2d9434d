/* Unit tests of base/siphash.h: the values that other implementations give, however the bytes are
 * cut into pieces. */
#include "base/siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { MOST = 63 };

/* Of the bytes 0, 1, 2, … with the key 00 01 … 0f; those of OpenSSL's SIPHASH, size 16. */
static const struct vector {
    size_t size;
    const char *hash;
} vectors[] = {
    {0, "a3817f04ba25a8e66df67214c7550293"},  {1, "da87c1d86b99af44347659119b22fc45"},
    {7, "a1f1ebbed8dbc153c0b84aa61ff08239"},  {8, "3b62a9ba6258f5610f83e264f31497b4"},
    {9, "264499060ad9baabc47f8b02bb6d71ed"},  {15, "5493e99933b0a8117e08ec0f97cfc3d9"},
    {16, "6ee2a4ca67b054bbfd3315bf85230577"}, {17, "473d06e8738db89854c066c47ae47740"},
    {63, "5150d1772f50834a503e069a973fbd7c"},
};

static const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static void expect(struct siphash *hash, const char *hex)
{
    struct siphash_value value = siphash_finish(hash);
    char text[2 * sizeof value + 1];
    const unsigned char *bytes = (const unsigned char *)&value;
    for (size_t i = 0; i < sizeof value; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    assert_string_equal(text, hex);
}

static void gives_the_known_values(void **state)
{
    char bytes[MOST];
    for (int i = 0; i < MOST; i++)
        bytes[i] = (char)i;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        for (size_t piece = 1; piece <= vectors[i].size + 1; piece++) {
            struct siphash hash;
            siphash_init(&hash, key);
            for (size_t at = 0; at < vectors[i].size; at += piece) {
                size_t left = vectors[i].size - at;
                siphash_add(&hash, (struct span){bytes + at, left < piece ? left : piece});
            }
            expect(&hash, vectors[i].hash);
        }
    }
}

static struct siphash_value of_strings(const char *a, const char *b)
{
    struct siphash hash;
    siphash_init(&hash, key);
    siphash_add_string(&hash, span_of(a));
    siphash_add_string(&hash, span_of(b));
    return siphash_finish(&hash);
}

static void strings_have_ends(void **state)
{
    struct siphash_value one = of_strings("ab", "c"), other = of_strings("a", "bc");
    assert_memory_not_equal(&one, &other, sizeof one);
}

static void the_key_makes_a_difference(void **state)
{
    const uint64_t other_key[2] = {key[0], key[1] ^ 1};
    struct siphash a, b;
    siphash_init(&a, key);
    siphash_init(&b, other_key);
    struct siphash_value of_a = siphash_finish(&a), of_b = siphash_finish(&b);
    assert_memory_not_equal(&of_a, &of_b, sizeof of_a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_known_values),
        cmocka_unit_test(strings_have_ends),
        cmocka_unit_test(the_key_makes_a_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
