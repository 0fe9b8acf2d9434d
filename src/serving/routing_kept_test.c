/* Weights that are kept: over their text, for the config that they were set under, and not beyond.
 */
#include "serving/routing_kept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct rollout config = {.weights = {{1, 95}, {2, 5}}, .weight_count = 2};
static const struct rollout now = {.weights = {{1, 100}}, .weight_count = 1};

static void weights_come_back(void **state)
{
    struct routing_kept kept, again;
    struct rollout rollout = config;
    struct error error;
    struct buf text;
    routing_kept_init(&kept);
    routing_kept_init(&again);
    buf_init(&text, ROUTING_KEPT_BYTES);
    routing_kept_put(&kept, SPAN("a \"b\""), &config, &now);
    routing_kept_put(&kept, SPAN("gone"), &config, &now);
    routing_kept_remove(&kept, SPAN("gone"));
    assert_true(kept.changed);
    routing_kept_write(&kept, &text);
    assert_true(routing_kept_read(&again, buf_span(&text), &error));
    assert_false(again.changed);
    assert_true(routing_kept_recall(&again, SPAN("a \"b\""), &rollout));
    assert_true(rollout_equal(&rollout, &now));
    rollout = config;
    assert_false(routing_kept_recall(&again, SPAN("gone"), &rollout));
    rollout.weights[1].weight = 6; /* the config says otherwise by now */
    assert_false(routing_kept_recall(&again, SPAN("a \"b\""), &rollout));
    buf_fini(&text);
    routing_kept_fini(&again);
    routing_kept_fini(&kept);
}

static void damaged_text_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "[{}]",
        "[{\"name\":\"m\",\"config\":\"0123\",\"weights\":{\"1\":1}}]",
        "[{\"name\":\"m\",\"config\":\"0123456789abcdeg\",\"weights\":{\"1\":1}}]",
        "[{\"name\":\"m\",\"config\":\"0123456789abcdef\",\"weights\":{\"1\":0}}]",
        "[{\"name\":\"m\",\"config\":\"0123456789abcdef\",\"weights\":{\"x\":1}}]",
        "[{\"name\":\"m\",\"config\":\"0123456789abcdef\",\"weights\":{\"1\":1}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct routing_kept kept;
        struct error error;
        routing_kept_init(&kept);
        assert_false(routing_kept_read(&kept, span_of(texts[i]), &error));
        routing_kept_fini(&kept);
    }
}

static void the_table_is_bounded(void **state)
{
    struct routing_kept kept;
    routing_kept_init(&kept);
    for (unsigned i = 0; i < ROUTING_KEPT_MAX + 10; i++)
        routing_kept_put(&kept, (struct span){(const char *)&i, sizeof i}, &config, &now);
    assert_int_equal(kept.by_model.count, ROUTING_KEPT_MAX);
    routing_kept_fini(&kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_come_back),
        cmocka_unit_test(damaged_text_is_refused),
        cmocka_unit_test(the_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
