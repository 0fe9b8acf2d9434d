/* Unit tests of repository/overrides.h. */
#include "repository/overrides.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct heard {
    char folders[8][32];
    size_t count;
};

static void dropped(void *context, struct span folder)
{
    struct heard *heard = context;
    snprintf(heard->folders[heard->count++], 32, "%.*s", SPAN_ARGS(folder));
}

static uint64_t put(struct overrides *overrides, const char *model, const char *config,
                    const char *folder)
{
    const struct repository_override override = {
        .model = span_of(model), .config = span_of(config), .folder = span_of(folder)};
    struct error error;
    return overrides_put(overrides, &override, &error);
}

/* The folder that counts for the model, "-" when none does. */
static const char *counts(const struct overrides *overrides, const char *model)
{
    static char folder[32];
    struct repository_override list[REPOSITORY_MAX_OVERRIDES];
    size_t count = overrides_list(overrides, list);
    snprintf(folder, sizeof folder, "-");
    for (size_t i = 0; i < count; i++) {
        if (span_equal(list[i].model, span_of(model)))
            snprintf(folder, sizeof folder, "%.*s", SPAN_ARGS(list[i].folder));
    }
    return folder;
}

static void the_one_before_counts_again_when_the_load_has_failed(void **state)
{
    struct overrides overrides = {0};
    put(&overrides, "m", "", "/1");
    uint64_t second = put(&overrides, "m", "", "/2");
    assert_string_equal(counts(&overrides, "m"), "/2");
    overrides_end(&overrides, second);
    assert_string_equal(counts(&overrides, "m"), "/1");
    overrides_end(&overrides, second); /* no other one is meant */
    assert_string_equal(counts(&overrides, "m"), "/1");
    overrides_fini(&overrides);
}

static void the_one_before_is_forgotten_when_the_load_has_gone_well(void **state)
{
    struct heard heard = {.count = 0};
    struct overrides overrides = {.dropped_folder = dropped, .context = &heard};
    put(&overrides, "m", "", "/1");
    put(&overrides, "other", "", "/o");
    uint64_t second = put(&overrides, "m", "", "/2");
    overrides.fewer = false;
    overrides_keep(&overrides, second);
    assert_true(overrides.fewer);
    assert_int_equal(heard.count, 0); /* a look may read it still */
    overrides_free_dropped(&overrides);
    assert_int_equal(heard.count, 1);
    assert_string_equal(heard.folders[0], "/1");
    overrides_end(&overrides, second);
    assert_string_equal(counts(&overrides, "m"), "-");
    assert_string_equal(counts(&overrides, "other"), "/o");
    overrides_fini(&overrides);
    assert_int_equal(heard.count, 3);
}

static void one_that_was_outdone_is_not_kept(void **state)
{
    struct overrides overrides = {0};
    uint64_t first = put(&overrides, "m", "{}", "");
    put(&overrides, "m", "", "/2");
    overrides_keep(&overrides, first);
    assert_int_equal(overrides.count, 2);
    put(&overrides, "m", "", "/3");
    assert_int_equal(overrides.count, 2); /* of a model, two are remembered */
    assert_string_equal(counts(&overrides, "m"), "/3");
    overrides_fini(&overrides);
}

static void none_at_all_drops_what_there_is(void **state)
{
    struct overrides overrides = {0};
    put(&overrides, "m", "{}", "");
    put(&overrides, "m", "", "/2");
    assert_true(put(&overrides, "m", "", "") > 0);
    assert_int_equal(overrides.count, 0);
    overrides_fini(&overrides);
}

static void a_load_that_gives_nothing_may_fail(void **state)
{
    struct heard heard = {.count = 0};
    struct overrides overrides = {.dropped_folder = dropped, .context = &heard};
    const struct repository_override nothing = {.model = SPAN("m"), .awaited = true};
    uint64_t first = overrides_put(&overrides, &nothing, NULL);
    assert_int_equal(overrides.count, 0); /* there was nothing before */
    put(&overrides, "m", "", "/1");
    overrides.fewer = false;
    uint64_t failed = overrides_put(&overrides, &nothing, NULL);
    assert_true(overrides.fewer);
    assert_string_equal(counts(&overrides, "m"), "-");
    overrides_end(&overrides, failed);
    assert_string_equal(counts(&overrides, "m"), "/1");
    overrides_keep(&overrides, overrides_put(&overrides, &nothing, NULL));
    assert_int_equal(overrides.count, 0);
    overrides_keep(&overrides, first);
    overrides_free_dropped(&overrides);
    assert_int_equal(heard.count, 1);
    overrides_fini(&overrides);
}

static void they_are_bounded(void **state)
{
    struct overrides overrides = {0};
    char name[16];
    for (int i = 0; i < REPOSITORY_MAX_OVERRIDES; i++) {
        snprintf(name, sizeof name, "m%d", i);
        assert_true(put(&overrides, name, "{}", "") > 0);
        assert_true(put(&overrides, name, "{}", "") > 0);
    }
    assert_int_equal(put(&overrides, "more", "{}", ""), 0);
    assert_true(put(&overrides, "m0", "{}", "") > 0);
    assert_true(put(&overrides, "m0", "", "") > 0);
    assert_true(put(&overrides, "more", "{}", "") > 0);
    overrides_fini(&overrides);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_one_before_counts_again_when_the_load_has_failed),
        cmocka_unit_test(the_one_before_is_forgotten_when_the_load_has_gone_well),
        cmocka_unit_test(one_that_was_outdone_is_not_kept),
        cmocka_unit_test(none_at_all_drops_what_there_is),
        cmocka_unit_test(a_load_that_gives_nothing_may_fail),
        cmocka_unit_test(they_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
