/* What was learned comes back, and only for what it was learned of. */
#include "schedule/learned.h"

#include "base/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct learned_subject subject = {{"iris", 4}, 1, 77, 2, 0};

/* A learner that knows two points. */
static void learn(struct learner *learner)
{
    learner_init(learner, 8, 2, false);
    for (int i = 0; i < 7; i++) {
        learner_observe(learner, 1, 1, 1000, false);
        learner_observe(learner, 8, 1, 2000, false);
    }
}

static void read_back(const struct learned *from, struct learned *to)
{
    struct buf buf;
    struct error error;
    buf_init(&buf, LEARNED_FILE_BYTES);
    learned_write(from, &buf);
    assert_true(buf_ok(&buf));
    if (!learned_read(to, buf_span(&buf), &error))
        fail_msg("%s", error.message);
    buf_fini(&buf);
}

static void what_was_learned_comes_back(void **state)
{
    struct learned learned = {0}, again = {0};
    struct learner learner, fresh;
    learn(&learner);
    learned_keep(&learned, &subject, &learner);
    read_back(&learned, &again);
    learner_init(&fresh, 8, 2, false);
    assert_true(learned_recall(&again, &subject, &fresh));
    assert_int_equal(learner_row_ns(&fresh), 250);
    assert_int_equal(fresh.rows, learner.rows);
    assert_int_equal(fresh.slots, learner.slots);
    learned_fini(&learned);
    learned_fini(&again);
}

static void it_is_of_one_model_on_one_machine(void **state)
{
    struct learned learned = {0};
    struct learner learner, fresh;
    struct learned_subject others[5];
    learn(&learner);
    learned_keep(&learned, &subject, &learner);
    for (size_t i = 0; i < 5; i++)
        others[i] = subject;
    others[0].model = SPAN("irises");
    others[1].version = 2;
    others[2].fingerprint = 78;
    others[3].processors = 4;
    others[4].threads = 1;
    for (size_t i = 0; i < 5; i++) {
        learner_init(&fresh, 8, 2, false);
        assert_false(learned_recall(&learned, &others[i], &fresh));
    }
    learner_init(&fresh, 16, 2, false);
    assert_false(learned_recall(&learned, &subject, &fresh));
    learned_fini(&learned);
}

static void the_one_used_longest_ago_goes(void **state)
{
    struct learned learned = {0};
    struct learner learner, fresh;
    struct learned_subject other = subject;
    learn(&learner);
    for (other.version = 1; other.version <= LEARNED_MAX; other.version++)
        learned_keep(&learned, &other, &learner);
    learner_init(&fresh, 8, 2, false);
    assert_true(learned_recall(&learned, &subject, &fresh)); /* the first: it was used now */
    learned_keep(&learned, &other, &learner);
    assert_int_equal(learned.count, LEARNED_MAX);
    learner_init(&fresh, 8, 2, false);
    assert_true(learned_recall(&learned, &subject, &fresh));
    other.version = 2;
    learner_init(&fresh, 8, 2, false);
    assert_false(learned_recall(&learned, &other, &fresh));
    learned_fini(&learned);
}

static void memory_comes_back_beside_it(void **state)
{
    static const struct residency_figures figures = {{70, 7}, {50, 5}, 300}, none = {.load_ns = 0};
    struct learned learned = {0}, again = {0};
    struct learner learner;
    struct residency_figures found;
    struct learned_subject other = subject;
    other.fingerprint = 78;
    learn(&learner);
    learned_keep(&learned, &subject, &learner);
    learned_keep_memory(&learned, &subject, &figures);
    learned_keep_memory(&learned, &other, &none); /* nothing is known: nothing is kept */
    assert_int_equal(learned.count, 2);
    read_back(&learned, &again);
    assert_true(learned_recall_memory(&again, &subject, &found));
    assert_memory_equal(&found, &figures, sizeof found);
    assert_false(learned_recall_memory(&again, &other, &found));
    learner_init(&learner, 8, 2, false);
    assert_true(learned_recall(&again, &subject, &learner));
    learned_fini(&learned);
    learned_fini(&again);
}

static void nothing_is_not_kept(void **state)
{
    struct learned learned = {0};
    struct learner learner;
    learner_init(&learner, 8, 2, false);
    learned_keep(&learned, &subject, &learner);
    assert_int_equal(learned.count, 0);
    learned_fini(&learned);
}

/* Every byte counts, and every cut is seen. */
static void damage_is_seen(void **state)
{
    struct learned learned = {0}, again = {0};
    struct learner learner;
    struct buf buf;
    struct error error;
    learn(&learner);
    learned_keep(&learned, &subject, &learner);
    buf_init(&buf, LEARNED_FILE_BYTES);
    learned_write(&learned, &buf);
    for (size_t i = 0; i < buf.size; i++) {
        buf.data[i] ^= 4;
        assert_false(learned_read(&again, buf_span(&buf), &error));
        buf.data[i] ^= 4;
        assert_false(learned_read(&again, (struct span){buf.data, i}, &error));
        assert_int_equal(again.count, 0);
    }
    buf_fini(&buf);
    learned_fini(&learned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_learned_comes_back),
        cmocka_unit_test(it_is_of_one_model_on_one_machine),
        cmocka_unit_test(the_one_used_longest_ago_goes),
        cmocka_unit_test(memory_comes_back_beside_it),
        cmocka_unit_test(nothing_is_not_kept),
        cmocka_unit_test(damage_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
