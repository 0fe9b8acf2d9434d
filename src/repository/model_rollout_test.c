/* Rollouts and version policies in configs, what is said of wrong ones, and configs that differ in
 * a rollout alone. */
#include "repository/model_rollout.h"

#include "repository/model_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena arena;
static struct model_config config;
static struct error error;

static int set_up(void **state)
{
    arena_init(&arena, 1024, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    arena_fini(&arena);
    return 0;
}

static void read_good(const char *yaml)
{
    if (!model_config_read(MODEL_CONFIG_YAML, span_of(yaml), &arena, &config, &error))
        fail_msg("%s: %s", yaml, error.message);
}

static void expect_refused(const char *yaml, const char *sentence)
{
    assert_false(model_config_read(MODEL_CONFIG_YAML, span_of(yaml), &arena, &config, &error));
    assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
    if (!strstr(error.message, sentence))
        fail_msg("\"%s\" does not say \"%s\"", error.message, sentence);
}

static void rollouts_are_read(void **state)
{
    read_good("rollout: {weights: {2: 5, 1: 95}, sticky: X-User-Id, shadow: {version: 3, share: "
              "0.1}}");
    const struct rollout *rollout = config.rollout;
    assert_int_equal(rollout->weight_count, 2);
    assert_int_equal(rollout->weights[0].version, 1);
    assert_int_equal(rollout->weights[0].weight, 95);
    assert_int_equal(rollout->weights[1].weight, 5);
    assert_string_equal(rollout->sticky, "X-User-Id");
    assert_int_equal(rollout->shadow, 3);
    assert_int_equal(rollout->shadow_share, ROLLOUT_WHOLE / 10);
    read_good("rollout: {shadow: 2}");
    assert_int_equal(config.rollout->weight_count, 0);
    assert_int_equal(config.rollout->shadow_share, ROLLOUT_WHOLE);
    read_good("backend: x");
    assert_null(config.rollout);
}

static void wrong_rollouts_are_refused(void **state)
{
    expect_refused("rollout: {weights: {1: -5, 2: 5}}", "line 1: ");
    expect_refused("rollout: {weights: {one: 5}}", "line 1: ");
    expect_refused("rollout: {weights: {1: 0, 2: 0}}", "must have one above 0");
    expect_refused("rollout: {weights: {1: 1000001}}", "weights of 0 to 1000000");
    expect_refused("rollout: {weights: {1: 5, 2: 5, 1: 6}}", "has version 1 twice");
    expect_refused("rollout: {weights: {1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 1, 8: 1, 9: 1, 10: "
                   "1, 11: 1, 12: 1, 13: 1, 14: 1, 15: 1, 16: 1, 17: 1}}",
                   "at most 16 versions");
    expect_refused("rollout: {wieghts: {1: 5}}", "did you mean 'weights'?");
    expect_refused("rollout: {sticky: x-user}", "'rollout.sticky' takes 'rollout.weights'");
    expect_refused("rollout: {weights: {1: 1}, sticky: 'x user'}", "the name of a header");
    expect_refused("rollout: {shadow: 0}", "the number of a version");
    expect_refused("rollout: {shadow: {version: 2, share: 0}}", "above 0 and at most 1");
    expect_refused("rollout: {shadow: {version: 2, share: 1.5}}", "above 0 and at most 1");
    expect_refused("rollout: {shadow: {version: 2, share: .nan}}", "");
}

static void a_rollout_crosses(void **state)
{
    struct rollout copy;
    struct buf buf;
    read_good("rollout: {weights: {1: 95, 2: 5}, sticky: user, shadow: {version: 3, share: 0.5}}");
    buf_init(&buf, 4096);
    model_rollout_pack(config.rollout, &buf);
    struct unpack unpack = {.rest = buf_span(&buf), .arena = &arena};
    model_rollout_unpack(&unpack, &copy);
    assert_true(unpack_end(&unpack));
    assert_true(rollout_equal(&copy, config.rollout));
    buf.data[0] = 0; /* no weights: what follows does not fit */
    unpack = (struct unpack){.rest = buf_span(&buf), .arena = &arena};
    model_rollout_unpack(&unpack, &copy);
    assert_false(unpack_end(&unpack));
    buf_fini(&buf);
}

static uint64_t digest_of(const char *yaml)
{
    read_good(yaml);
    return config.digest;
}

static void a_rollout_is_no_part_of_a_version(void **state)
{
    uint64_t plain = digest_of("backend: x\nmax_batch_size: 8\n");
    assert_int_equal(digest_of("max_batch_size: 8\nbackend: x\nrollout: {weights: {1: 1}}\n"),
                     plain);
    assert_int_equal(digest_of("# why\nbackend: x\nmax_batch_size: 8\nrollout: {shadow: 2}\n"),
                     plain);
    assert_int_not_equal(digest_of("backend: x\nmax_batch_size: 9\n"), plain);
    assert_int_not_equal(digest_of("backend: x\n"), digest_of("backend: x\nmax_batch_size: 0\n"));
    assert_int_not_equal(digest_of("backend: x\nmax_batch_size: 8\nworkers: 2\n"), plain);
}

static bool serves(uint64_t version, size_t higher)
{
    return model_versions_serve(config.versions, version, higher);
}

static void policies_choose_versions(void **state)
{
    read_good("backend: x");
    assert_true(serves(1, 99));
    read_good("version_policy: {all: {}}");
    assert_true(serves(1, 99));
    read_good("version_policy: {latest: {num_versions: 2}}");
    assert_true(serves(7, 0) && serves(5, 1) && !serves(4, 2));
    read_good("version_policy: {latest: {}}");
    assert_true(serves(7, 0) && !serves(5, 1));
    read_good("version_policy: {specific: {versions: [1, 3]}}");
    assert_true(serves(1, 9) && serves(3, 0) && !serves(2, 0));
    expect_refused("version_policy: {specific: {}}", "must list 'versions'");
    expect_refused("version_policy: {specific: {versions: [-1]}}", "numbers of versions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rollouts_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_rollouts_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rollout_crosses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rollout_is_no_part_of_a_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(policies_choose_versions, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
