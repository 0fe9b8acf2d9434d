/* Unit tests of auth/secret.h. */
#include "auth/secret.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void secrets_differ_and_are_valid(void **state)
{
    char a[SECRET_BYTES + 1], b[SECRET_BYTES + 1];
    bool seen[256] = {0};
    size_t letters = 0;
    for (int i = 0; i < 200; i++) {
        assert_true(secret_make(a, NULL) && secret_make(b, NULL));
        assert_string_not_equal(a, b);
        assert_int_equal(strlen(a), SECRET_BYTES);
        assert_true(secret_valid(span_of(a)));
        for (size_t at = sizeof SECRET_PREFIX - 1; at < SECRET_BYTES; at++)
            letters += !seen[(unsigned char)a[at]], seen[(unsigned char)a[at]] = true;
    }
    assert_int_equal(letters, 62); /* all of the alphabet comes */
}

static void other_texts_are_no_secrets(void **state)
{
    char secret[SECRET_BYTES + 1];
    assert_true(secret_make(secret, NULL));
    assert_false(secret_valid(SPAN("")));
    assert_false(secret_valid((struct span){secret, SECRET_BYTES - 1}));
    assert_false(secret_valid((struct span){secret, SECRET_BYTES + 1}));
    secret[SECRET_BYTES - 1] = '-';
    assert_false(secret_valid(span_of(secret)));
    assert_true(secret_make(secret, NULL));
    secret[0] = 'T';
    assert_false(secret_valid(span_of(secret)));
}

/* The example of FIPS 180-2. */
static void the_hash_is_sha256(void **state)
{
    unsigned char hash[SECRET_HASH_BYTES], again[SECRET_HASH_BYTES];
    char text[SECRET_HASH_TEXT_BYTES];
    secret_hash(SPAN("abc"), hash);
    assert_string_equal(secret_hash_format(hash, text),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(secret_hash_parse(span_of(text), again));
    assert_true(secret_hash_equal(hash, again));
    for (size_t i = 0; i < SECRET_HASH_BYTES; i++) {
        again[i] ^= 1;
        assert_false(secret_hash_equal(hash, again));
        again[i] ^= 1;
    }
    text[0] = 'B';
    assert_false(secret_hash_parse(span_of(text), again));
    assert_false(secret_hash_parse((struct span){text + 1, 63}, again));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_differ_and_are_valid),
        cmocka_unit_test(other_texts_are_no_secrets),
        cmocka_unit_test(the_hash_is_sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
