/* Rollouts and version policies in configs, what is said of wrong ones, and configs that differ in
 * a rollout alone. */
#include "repository/model_rollout.h"

#include "repository/config_fixture.h"

static void rollouts_are_read(void **state)
{
    accepts_yaml("rollout: {weights: {2: 5, 1: 95}, sticky: X-User-Id, shadow: {version: 3, share: "
                 "0.1}}");
    const struct rollout *rollout = config.rollout;
    assert_int_equal(rollout->weight_count, 2);
    assert_int_equal(rollout->weights[0].version, 1);
    assert_int_equal(rollout->weights[0].weight, 95);
    assert_int_equal(rollout->weights[1].weight, 5);
    assert_string_equal(rollout->sticky, "X-User-Id");
    assert_int_equal(rollout->shadow, 3);
    assert_int_equal(rollout->shadow_share, ROLLOUT_WHOLE / 10);
    accepts_yaml("rollout: {shadow: 2}");
    assert_int_equal(config.rollout->weight_count, 0);
    assert_int_equal(config.rollout->shadow_share, ROLLOUT_WHOLE);
    accepts_yaml("backend: x");
    assert_null(config.rollout);
}

static void wrong_rollouts_are_refused(void **state)
{
    refuses_yaml("rollout: {weights: {1: -5, 2: 5}}", "line 1: ");
    refuses_yaml("rollout: {weights: {one: 5}}", "line 1: ");
    refuses_yaml("rollout: {weights: {1: 0, 2: 0}}", "must have one above 0");
    refuses_yaml("rollout: {weights: {1: 1000001}}", "weights of 0 to 1000000");
    refuses_yaml("rollout: {weights: {1: 5, 2: 5, 1: 6}}", "has version 1 twice");
    refuses_yaml("rollout: {weights: {1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 1, 8: 1, 9: 1, 10: "
                 "1, 11: 1, 12: 1, 13: 1, 14: 1, 15: 1, 16: 1, 17: 1}}",
                 "at most 16 versions");
    refuses_yaml("rollout: {wieghts: {1: 5}}", "did you mean 'weights'?");
    refuses_yaml("rollout: {sticky: x-user}", "'rollout.sticky' takes 'rollout.weights'");
    refuses_yaml("rollout: {weights: {1: 1}, sticky: 'x user'}", "the name of a header");
    refuses_yaml("rollout: {shadow: 0}", "the number of a version");
    refuses_yaml("rollout: {shadow: {version: 2, share: 0}}", "above 0 and at most 1");
    refuses_yaml("rollout: {shadow: {version: 2, share: 1.5}}", "above 0 and at most 1");
    refuses_yaml("rollout: {shadow: {version: 2, share: .nan}}", "");
}

static void a_rollout_crosses(void **state)
{
    struct rollout copy;
    struct buf buf;
    accepts_yaml(
        "rollout: {weights: {1: 95, 2: 5}, sticky: user, shadow: {version: 3, share: 0.5}}");
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
    accepts_yaml(yaml);
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
    accepts_yaml("backend: x");
    assert_true(serves(1, 99));
    accepts_yaml("version_policy: {all: {}}");
    assert_true(serves(1, 99));
    accepts_yaml("version_policy: {latest: {num_versions: 2}}");
    assert_true(serves(7, 0) && serves(5, 1) && !serves(4, 2));
    accepts_yaml("version_policy: {latest: {}}");
    assert_true(serves(7, 0) && !serves(5, 1));
    accepts_yaml("version_policy: {specific: {versions: [1, 3]}}");
    assert_true(serves(1, 9) && serves(3, 0) && !serves(2, 0));
    refuses_yaml("version_policy: {specific: {}}", "must list 'versions'");
    refuses_yaml("version_policy: {specific: {versions: [-1]}}", "numbers of versions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(rollouts_are_read),        ARENA_TEST(wrong_rollouts_are_refused),
        ARENA_TEST(a_rollout_crosses),        ARENA_TEST(a_rollout_is_no_part_of_a_version),
        ARENA_TEST(policies_choose_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
