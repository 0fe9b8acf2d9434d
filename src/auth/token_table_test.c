/* Unit tests of auth/token_table.h. */
#include "auth/token_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { MANY = 500 };

static char secrets[MANY][SECRET_BYTES + 1];
static struct token_record records[MANY];
static char log_text[256];

static void setup_records(void)
{
    for (unsigned i = 0; i < MANY; i++) {
        assert_true(secret_make(secrets[i], NULL));
        token_record_init(&records[i]);
        records[i].id = i;
        records[i].name = SPAN("name");
        secret_hash(span_of(secrets[i]), records[i].hash);
    }
    log_text[0] = '\0';
}

/* Notes "+1" for created, "~1" for changed, "-1" for revoked. */
static void note(void *context, enum token_change change, const struct token_record *record)
{
    size_t at = strlen(log_text);
    snprintf(log_text + at, sizeof log_text - at, "%c%u ", "+~-"[change], record -> id);
}

static void replace(struct token_table *table, size_t count)
{
    log_text[0] = '\0';
    assert_true(token_table_replace(table, records, count, note, NULL, NULL));
}

static void secrets_find_their_tokens(void **state)
{
    struct token_table table;
    token_table_init(&table);
    setup_records();
    assert_null(token_table_find(&table, span_of(secrets[0])));
    assert_true(token_table_replace(&table, records, MANY - 1, NULL, NULL, NULL));
    for (unsigned i = 0; i < MANY - 1; i++)
        assert_int_equal(token_table_find(&table, span_of(secrets[i]))->record.id, i);
    assert_null(token_table_find(&table, span_of(secrets[MANY - 1])));
    token_table_fini(&table);
}

/* The right prefix is as wrong as any other. */
static void nearly_right_is_wrong(void **state)
{
    struct token_table table;
    token_table_init(&table);
    setup_records();
    replace(&table, 1);
    for (size_t at = 0; at < SECRET_BYTES; at++) {
        char wrong[SECRET_BYTES + 1];
        memcpy(wrong, secrets[0], sizeof wrong);
        wrong[at] = wrong[at] == 'x' ? 'y' : 'x';
        assert_null(token_table_find(&table, span_of(wrong)));
        assert_null(token_table_find(&table, (struct span){secrets[0], at}));
    }
    char hash[SECRET_HASH_TEXT_BYTES];
    secret_hash_format(records[0].hash, hash);
    assert_null(token_table_find(&table, span_of(hash))); /* the file's own text opens nothing */
    token_table_fini(&table);
}

static void changes_are_told(void **state)
{
    struct token_table table;
    token_table_init(&table);
    setup_records();
    replace(&table, 1);
    assert_string_equal(log_text, "+0 ");
    replace(&table, 1);
    assert_string_equal(log_text, "");
    records[0].models = SPAN("iris");
    replace(&table, 1);
    assert_string_equal(log_text, "~0 ");
    records[0].limits.concurrency = 1;
    replace(&table, 1);
    assert_string_equal(log_text, "~0 ");
    records[0].expires_s = 5;
    replace(&table, 1);
    assert_string_equal(log_text, "~0 ");
    replace(&table, 0);
    assert_string_equal(log_text, "-0 ");
    assert_null(token_table_find(&table, span_of(secrets[0])));
    token_table_fini(&table);
}

static void use_survives_a_change(void **state)
{
    struct token_table table;
    uint64_t wait_ns;
    token_table_init(&table);
    setup_records();
    records[0].limits.concurrency = 2;
    replace(&table, 2);
    struct token *token = token_table_find(&table, span_of(secrets[0]));
    assert_int_equal(quota_take(&token->quota, &token->record.limits, 1, &wait_ns), QUOTA_GIVEN);
    records[0].models = SPAN("other");
    replace(&table, 2);
    assert_ptr_equal(token_table_find(&table, span_of(secrets[0])), token);
    assert_true(span_equal(token->record.models, SPAN("other")));
    assert_int_equal(token->quota.running, 1);
    token_table_fini(&table);
}

static void who_holds_a_revoked_token_may_let_go_later(void **state)
{
    struct token_table table;
    token_table_init(&table);
    setup_records();
    replace(&table, 1);
    struct token *token = token_ref(token_table_find(&table, span_of(secrets[0])));
    replace(&table, 0);
    assert_true(span_equal(token->record.name, SPAN("name")));
    /* A token of the same id, made anew, is another one. */
    assert_true(secret_make(secrets[0], NULL));
    secret_hash(span_of(secrets[0]), records[0].hash);
    replace(&table, 1);
    assert_ptr_not_equal(token_table_find(&table, span_of(secrets[0])), token);
    token_unref(token);
    token_unref(NULL);
    token_table_fini(&table);
    token_table_fini(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_find_their_tokens),
        cmocka_unit_test(nearly_right_is_wrong),
        cmocka_unit_test(changes_are_told),
        cmocka_unit_test(use_survives_a_change),
        cmocka_unit_test(who_holds_a_revoked_token_may_let_go_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
