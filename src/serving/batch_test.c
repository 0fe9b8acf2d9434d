/* Unit tests of serving/batch.h. */
#include "serving/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct list queue;
    struct inference requests[300];
    struct channel_tensor inputs[300];
    size_t count;
};

static void add(struct fixture *f, int64_t rows, int64_t columns)
{
    size_t i = f->count++;
    f->inputs[i] = (struct channel_tensor){.datatype = TENSORD_FP32, .shape = {2, {rows, columns}}};
    f->requests[i] = (struct inference){.inputs = &f->inputs[i], .input_count = 1};
    list_add(&f->queue, &f->requests[i].link);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    list_init(&f->queue);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void an_empty_queue_gives_nothing(void **state)
{
    struct fixture *f = *state;
    struct inference *batch[BATCH_MAX_REQUESTS];
    assert_int_equal(batch_take(&f->queue, 8, batch), 0);
}

static void equals_join_up_to_the_limit(void **state)
{
    struct fixture *f = *state;
    struct inference *batch[BATCH_MAX_REQUESTS];
    for (int i = 0; i < 10; i++)
        add(f, 3, 16);
    assert_int_equal(batch_take(&f->queue, 8, batch), 2); /* 3 + 3 rows; a third would make 9 */
    assert_ptr_equal(batch[0], &f->requests[0]);
    assert_ptr_equal(batch[1], &f->requests[1]);
    assert_int_equal(batch_take(&f->queue, 0, batch), 1); /* no joining */
    assert_int_equal(batch_take(&f->queue, 2, batch), 1); /* larger than the limit: alone */
}

static void others_are_passed_over_but_keep_their_turn(void **state)
{
    struct fixture *f = *state;
    struct inference *batch[BATCH_MAX_REQUESTS];
    add(f, 1, 16);
    add(f, 1, 17);
    add(f, 1, 16);
    assert_int_equal(batch_take(&f->queue, 8, batch), 2);
    assert_ptr_equal(batch[1], &f->requests[2]);
    assert_int_equal(batch_take(&f->queue, 8, batch), 1);
    assert_ptr_equal(batch[0], &f->requests[1]);
    assert_true(list_empty(&f->queue));
}

static void a_batch_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct inference *batch[BATCH_MAX_REQUESTS];
    for (int i = 0; i < 300; i++)
        add(f, 1, 1);
    assert_int_equal(batch_take(&f->queue, 10000, batch), BATCH_MAX_REQUESTS);
}

static void what_runs_alone_joins_nobody(void **state)
{
    struct fixture *f = *state;
    struct inference *batch[BATCH_MAX_REQUESTS];
    for (int i = 0; i < 4; i++)
        add(f, 1, 3);
    f->requests[1].runs_alone = true;
    assert_int_equal(batch_take(&f->queue, 8, batch), 3);
    assert_int_equal(batch_take(&f->queue, 8, batch), 1);
    assert_ptr_equal(batch[0], &f->requests[1]);
    add(f, 1, 3);
    f->requests[4].runs_alone = true;
    add(f, 1, 3);
    assert_int_equal(batch_take(&f->queue, 8, batch), 1);
    assert_ptr_equal(batch[0], &f->requests[4]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_queue_gives_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(what_runs_alone_joins_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(equals_join_up_to_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(others_are_passed_over_but_keep_their_turn, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_batch_is_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
