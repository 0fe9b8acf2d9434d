/* Unit tests of base/shaping.h: shapes between clients and a model, inputs that the server makes,
 * and both as bytes. */
#include "base/shaping.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SHAPE(...)                                                                                 \
    ((struct shape){sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), {__VA_ARGS__}})

static const struct shape scalar;

static bool same(const struct shape *a, const struct shape *b)
{
    return a->ndim == b->ndim && memcmp(a->dims, b->dims, a->ndim * sizeof a->dims[0]) == 0;
}

/* ---- shapes ---- */

static void reshapes_keep_the_elements(void **state)
{
    const struct {
        struct shape from, to;
        bool possible;
    } cases[] = {
        {SHAPE(-1, 1), SHAPE(-1), true},
        {SHAPE(1), scalar, true},
        {SHAPE(2), scalar, false},
        {SHAPE(4), SHAPE(2, 2), true},
        {SHAPE(4), SHAPE(3), false},
        {SHAPE(2, 4, -1, 6), SHAPE(8, -1, 1, 6), true},
        {SHAPE(2, 4, -1, 6), SHAPE(8, -1, 5), false},
        {SHAPE(2, -1, 3), SHAPE(3, -1, 2), false},
        {SHAPE(-1, -1), SHAPE(-1), false},
        {SHAPE(-1), SHAPE(-1, -1), false},
        {SHAPE(INT64_MAX, 3), SHAPE(INT64_MAX, 3), false}, /* too many to be counted */
        {scalar, scalar, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(reshape_is_possible(&cases[i].from, &cases[i].to) == cases[i].possible);
        assert_true(reshape_is_possible(&cases[i].to, &cases[i].from) == cases[i].possible);
    }
}

static void what_is_of_any_size_is_carried_over_in_order(void **state)
{
    const struct shape from = SHAPE(-1, 4, -1), to = SHAPE(-1, 2, 2, 1, -1), given = SHAPE(3, 4, 7);
    struct shape made, back;
    assert_true(reshape(&from, &to, &given, &made));
    assert_true(same(&made, &SHAPE(3, 2, 2, 1, 7)));
    assert_true(reshape(&to, &from, &made, &back));
    assert_true(same(&back, &given));
    assert_false(reshape(&from, &to, &SHAPE(3, 5, 7), &made)); /* it is none of those */
    assert_false(reshape(&from, &to, &SHAPE(3, 4), &made));
    assert_false(reshape(&from, &SHAPE(-1, 4), &given, &made));
}

static void a_pattern_is_filled_from_a_shape(void **state)
{
    struct shape made;
    assert_true(shape_fill(&SHAPE(-1, -1, 2), &SHAPE(3, 5), &made));
    assert_true(same(&made, &SHAPE(3, 5, 2)));
    assert_false(shape_fill(&SHAPE(-1, 2, -1), &SHAPE(3, 5), &made));
}

/* ---- inputs that the server makes ---- */

/* Fills `numbers` and returns how many there are. */
static size_t make(enum batch_input_kind kind, const struct shape *items, size_t count,
                   int32_t *numbers, struct shape *ret_shape)
{
    const struct batch_input input = {.kind = kind, .datatype = TENSORD_INT32};
    uint64_t elements;
    assert_true(batch_input_shape(kind, items, count, ret_shape));
    assert_true(shape_count(ret_shape, &elements));
    assert_true(batch_input_fill(&input, items, count, numbers));
    return elements;
}

static void the_kinds_tell_what_triton_says(void **state)
{
    const struct shape items[] = {SHAPE(2, 3, 1), SHAPE(1, 2, 2)};
    static const struct {
        enum batch_input_kind kind;
        uint32_t ndim;
        size_t count;
        int32_t numbers[8];
    } cases[] = {
        {BATCH_ELEMENT_COUNT, 1, 2, {6, 4}},
        {BATCH_ACCUMULATED_ELEMENT_COUNT, 1, 2, {6, 10}},
        {BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO, 1, 3, {0, 6, 10}},
        {BATCH_MAX_ELEMENT_COUNT_AS_SHAPE, 1, 6, {0}},
        {BATCH_ITEM_SHAPE, 2, 6, {3, 1, 3, 1, 2, 2}},
        {BATCH_ITEM_SHAPE_FLATTEN, 1, 6, {3, 1, 3, 1, 2, 2}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t numbers[8];
        struct shape shape;
        assert_int_equal(make(cases[i].kind, items, 2, numbers, &shape), cases[i].count);
        assert_int_equal(shape.ndim, cases[i].ndim);
        assert_memory_equal(numbers, cases[i].numbers, cases[i].count * sizeof *numbers);
    }
}

static void reals_are_told_as_such(void **state)
{
    const struct batch_input input = {.kind = BATCH_ELEMENT_COUNT, .datatype = TENSORD_FP32};
    float number;
    assert_true(batch_input_fill(&input, &SHAPE(1, 7), 1, &number));
    assert_true(number == 7);
}

static void nothing_overflows(void **state)
{
    const struct batch_input input = {.kind = BATCH_ACCUMULATED_ELEMENT_COUNT,
                                      .datatype = TENSORD_INT32};
    const struct shape half[] = {SHAPE(1, INT32_MAX), SHAPE(1, 1)};
    const struct shape most[] = {SHAPE(INT64_MAX, 1), SHAPE(INT64_MAX, 1)};
    const struct shape many[] = {SHAPE(INT64_MAX, 2, 3)};
    const struct shape too_many[] = {SHAPE(INT64_MAX, 4)};
    int32_t numbers[2];
    struct shape shape;
    assert_true(batch_input_fill(&input, half, 1, numbers));
    assert_false(batch_input_fill(&input, half, 2, numbers));
    assert_false(batch_input_shape(BATCH_ITEM_SHAPE, most, 2, &shape));
    assert_false(batch_input_shape(BATCH_ITEM_SHAPE_FLATTEN, many, 1, &shape));
    assert_false(batch_input_shape(BATCH_MAX_ELEMENT_COUNT_AS_SHAPE, too_many, 1, &shape));
    assert_false(batch_input_shape(BATCH_ITEM_SHAPE, &scalar, 1, &shape)); /* it has no rows */
}

/* ---- as bytes, and as clients see it ---- */

static struct shaped_tensor tensors[] = {
    {.name = {"x", 1}, .kind = SHAPED_RESHAPED, .client = {2, {-1, 1}}, .model = {1, {-1}}},
    {.name = {"y", 1},
     .is_output = true,
     .kind = SHAPED_SCATTERED,
     .client = {2, {-1, -1}},
     .source = {"r", 1}},
    {.name = {"r", 1}, .kind = SHAPED_RAGGED, .client = {2, {-1, -1}}, .model = {1, {-1}}},
};
static struct batch_input batch_inputs[] = {
    {{"n", 1}, BATCH_ITEM_SHAPE, TENSORD_INT32, {"r", 1}},
};
static struct span padded = {"x", 1};
static int64_t sizes[] = {4, 8};
static struct padding paddings[] = {
    {.inputs = &padded, .input_count = 1, .dim = 1, .sizes = sizes, .size_count = 2}};
static const struct shaping example = {tensors, 3, batch_inputs, 1, paddings, 1};

static bool read_back(struct span bytes, struct arena *arena, struct shaping *ret_shaping)
{
    struct unpack unpack = {.rest = bytes, .arena = arena};
    shaping_read(&unpack, ret_shaping);
    return unpack_end(&unpack);
}

static void comes_back_as_it_was(void **state)
{
    struct arena arena;
    struct buf buf;
    struct shaping back, copy;
    arena_init(&arena, 1024, 1 << 20);
    buf_init(&buf, 1 << 20);
    shaping_write(&example, &buf);
    assert_true(read_back(buf_span(&buf), &arena, &back));
    assert_true(shaping_copy(&arena, &back, &copy));
    assert_true(copy.tensor_count == 3 && copy.batch_input_count == 1);
    assert_true(same(&copy.tensors[0].client, &tensors[0].client));
    assert_true(copy.tensors[1].is_output && copy.tensors[1].kind == SHAPED_SCATTERED);
    assert_true(span_equal(copy.tensors[1].source, SPAN("r")));
    assert_true(span_equal(copy.batch_inputs[0].source, SPAN("r")));
    assert_int_equal(copy.batch_inputs[0].kind, BATCH_ITEM_SHAPE);
    assert_true(copy.padding_count == 1 && copy.paddings[0].sizes[1] == 8);
    for (size_t cut = 0; cut < buf.size; cut++)
        assert_false(read_back((struct span){buf.data, cut}, &arena, &back));
    buf_fini(&buf);
    arena_fini(&arena);
}

static void an_impossible_reshape_is_not_read(void **state)
{
    struct shaped_tensor wrong = tensors[0];
    const struct shaping shaping = {.tensors = &wrong, .tensor_count = 1};
    struct arena arena;
    struct buf buf;
    struct shaping back;
    wrong.model = SHAPE(-1, -1);
    arena_init(&arena, 1024, 1 << 20);
    buf_init(&buf, 1 << 20);
    shaping_write(&shaping, &buf);
    assert_false(read_back(buf_span(&buf), &arena, &back));
    buf_fini(&buf);
    arena_fini(&arena);
}

static void clients_see_their_shapes_and_no_more(void **state)
{
    struct tensor_info inputs[] = {{.name = {"n", 1}}, {.name = {"r", 1}}, {.name = {"x", 1}}};
    struct tensor_info outputs[] = {{.name = {"y", 1}, .any_rank = true}};
    struct schema schema = {
        .inputs = inputs, .input_count = 3, .outputs = outputs, .output_count = 1};
    struct error error;
    assert_true(shaping_show(&example, &schema, &error));
    assert_true(inputs[0].hidden && !inputs[1].hidden && !inputs[2].hidden);
    assert_true(inputs[1].ragged && !inputs[2].ragged);
    assert_true(same(&inputs[2].shape, &tensors[0].client));
    assert_true(!outputs[0].any_rank && same(&outputs[0].shape, &tensors[1].client));
    assert_ptr_equal(shaping_padding(&example, &inputs[2]), &paddings[0]);
    assert_null(shaping_padding(&example, &inputs[1]));
    struct schema *shown = schema_shown(&schema);
    assert_non_null(shown);
    assert_int_equal(shown->input_count, 2);
    schema_free(shown);
    schema.input_count = 2;
    assert_false(shaping_show(&example, &schema, &error));
    assert_non_null(strstr(error.message, "'x', which the model has not"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reshapes_keep_the_elements),
        cmocka_unit_test(what_is_of_any_size_is_carried_over_in_order),
        cmocka_unit_test(a_pattern_is_filled_from_a_shape),
        cmocka_unit_test(the_kinds_tell_what_triton_says),
        cmocka_unit_test(reals_are_told_as_such),
        cmocka_unit_test(nothing_overflows),
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(an_impossible_reshape_is_not_read),
        cmocka_unit_test(clients_see_their_shapes_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
