/* Unit tests of serving/batch.h. */
#include "serving/batch.h"

#include "serving/generation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct channel_tensor inputs[2];
static struct inference requests[2];

static int set_up(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        inputs[i] = (struct channel_tensor){.datatype = TENSORD_FP32, .shape = {2, {3, 16}}};
        requests[i] = (struct inference){.inputs = &inputs[i], .input_count = 1};
    }
    return 0;
}

static bool join(void)
{
    bool joins = batch_joinable(&requests[0], &requests[1]);
    assert_true(joins == batch_joinable(&requests[1], &requests[0]));
    assert_true(joins == batch_joins(&requests[0].entry, &requests[1].entry));
    return joins;
}

static void equals_join(void **state)
{
    assert_true(join());
    inputs[1].shape.dims[0] = 8; /* rows may differ */
    assert_true(join());
}

static void what_differs_does_not(void **state)
{
    inputs[1].shape.dims[1] = 17;
    assert_false(join());
    set_up(state);
    inputs[1].shape.ndim = 1;
    assert_false(join());
    set_up(state);
    inputs[1].datatype = TENSORD_INT32;
    assert_false(join());
    set_up(state);
    inputs[1].index = 1;
    assert_false(join());
    set_up(state);
    requests[1].request.wanted_outputs = 1;
    assert_false(join());
    set_up(state);
    requests[1].parameter_count = 1; /* a model is told one request's parameters */
    assert_false(join());
}

static void what_runs_alone_does_not(void **state)
{
    requests[1].runs_alone = true;
    assert_false(join());
}

static void without_rows_there_is_nothing_to_join(void **state)
{
    inputs[0].shape.ndim = inputs[1].shape.ndim = 0;
    assert_false(join());
    requests[0].input_count = requests[1].input_count = 0;
    assert_false(join());
}

static void rows_are_the_first_dimension(void **state)
{
    assert_int_equal(batch_rows(&requests[0]), 3);
    inputs[0].shape.dims[0] = 0;
    assert_int_equal(batch_rows(&requests[0]), 1);
    inputs[0].shape.ndim = 0;
    assert_int_equal(batch_rows(&requests[0]), 1);
    requests[0].input_count = 0;
    assert_int_equal(batch_rows(&requests[0]), 1);
}

static void ragged_inputs_join_whatever_their_shapes(void **state)
{
    struct tensor_info info = {.ragged = true};
    struct schema schema = {.inputs = &info, .input_count = 1};
    struct generation generation = {.schema = &schema};
    requests[0].generation = requests[1].generation = &generation;
    inputs[1].shape.dims[1] = 17;
    assert_true(join());
    inputs[1].shape.ndim = 1; /* but they have as many dimensions */
    assert_false(join());
    set_up(state);
    requests[0].generation = requests[1].generation = &generation;
    info.ragged = false;
    inputs[1].shape.dims[1] = 17;
    assert_false(join());
}

static void padded_inputs_join_when_they_get_the_same_size(void **state)
{
    int64_t sizes[] = {16, 32};
    struct padding padding = {.dim = 1, .sizes = sizes, .size_count = 2};
    struct tensor_info info = {.padding = 1};
    struct schema schema = {.inputs = &info, .input_count = 1};
    struct generation generation = {.schema = &schema};
    generation.spec.shaping = (struct shaping){.paddings = &padding, .padding_count = 1};
    requests[0].generation = requests[1].generation = &generation;
    inputs[1].shape.dims[1] = 3;
    assert_true(join());
    inputs[1].shape.dims[1] = 17;
    assert_false(join());
    inputs[0].shape.dims[1] = 33; /* neither is padded */
    inputs[1].shape.dims[1] = 34;
    assert_false(join());
    padding.dim = 2; /* another dimension is */
    inputs[0].shape.dims[1] = 16;
    inputs[1].shape.dims[1] = 3;
    assert_false(join());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(equals_join, set_up),
        cmocka_unit_test_setup(what_differs_does_not, set_up),
        cmocka_unit_test_setup(what_runs_alone_does_not, set_up),
        cmocka_unit_test_setup(ragged_inputs_join_whatever_their_shapes, set_up),
        cmocka_unit_test_setup(padded_inputs_join_when_they_get_the_same_size, set_up),
        cmocka_unit_test_setup(without_rows_there_is_nothing_to_join, set_up),
        cmocka_unit_test_setup(rows_are_the_first_dimension, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
