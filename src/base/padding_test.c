/* Unit tests of base/padding.h. */
#include "base/padding.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int64_t sizes[] = {4, 8};
static struct span input = {"x", 1}, output = {"y", 1};
static const struct padding example = {
    .inputs = &input,
    .input_count = 1,
    .outputs = &output,
    .output_count = 1,
    .dim = 1,
    .sizes = sizes,
    .size_count = 2,
    .value = -1,
};

static void the_least_size_that_is_enough_is_taken(void **state)
{
    assert_int_equal(padding_size(&example, 0), 4);
    assert_int_equal(padding_size(&example, 4), 4);
    assert_int_equal(padding_size(&example, 5), 8);
    assert_int_equal(padding_size(&example, 9), 9); /* none is */
}

static void what_is_filled_up_is_cut_back(void **state)
{
    const struct shape own = {3, {2, 3, 2}}, filled = {3, {2, 4, 2}};
    const int16_t from[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const int16_t expected[16] = {1, 2, 3, 4, 5, 6, -1, -1, 7, 8, 9, 10, 11, 12, -1, -1};
    int16_t to[16], back[12];
    assert_ptr_equal(padding_fill(&example, TENSORD_INT16, &own, 4, (const char *)from, (char *)to),
                     to + 16);
    assert_memory_equal(to, expected, sizeof to);
    assert_ptr_equal(
        padding_cut(&example, TENSORD_INT16, &filled, 3, (const char *)to, (char *)back),
        back + 12);
    assert_memory_equal(back, from, sizeof from);
}

static void nothing_is_filled_up_too(void **state)
{
    const struct shape own = {2, {1, 0}};
    struct padding zeros = example;
    int64_t to[4] = {1, 1, 1, 1};
    zeros.value = 0;
    padding_fill(&zeros, TENSORD_INT64, &own, 4, NULL, (char *)to);
    assert_true(to[0] == 0 && to[3] == 0);
}

static void a_datatype_has_its_values(void **state)
{
    static const struct {
        double value;
        enum tensord_datatype datatype;
        bool has;
    } cases[] = {
        {-1, TENSORD_INT64, true},      {-1, TENSORD_UINT8, false},
        {255, TENSORD_UINT8, true},     {256, TENSORD_UINT8, false},
        {127, TENSORD_INT8, true},      {128, TENSORD_INT8, false},
        {-128, TENSORD_INT8, true},     {0.5, TENSORD_INT32, false},
        {0.5, TENSORD_FP32, true},      {1e300, TENSORD_FP32, false},
        {1e300, TENSORD_FP64, true},    {1, TENSORD_FP16, false},
        {0, TENSORD_FP16, true},        {1, TENSORD_BOOL, true},
        {2, TENSORD_BOOL, false},       {0, TENSORD_BYTES, false},
        {0x1p63, TENSORD_INT64, false}, {0x1p64, TENSORD_UINT64, false},
        {0x1p63, TENSORD_UINT64, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct padding padding = example;
        uint64_t element;
        padding.value = cases[i].value;
        assert_true(padding_element(&padding, cases[i].datatype, &element) == cases[i].has);
    }
}

static void comes_back_as_it_was(void **state)
{
    struct arena arena;
    struct buf buf;
    struct padding back, copy;
    arena_init(&arena, 1024, 1 << 20);
    buf_init(&buf, 1 << 20);
    padding_write(&example, &buf);
    struct unpack unpack = {.rest = buf_span(&buf), .arena = &arena};
    padding_read(&unpack, &back);
    assert_true(unpack_end(&unpack));
    assert_true(padding_copy(&arena, &back, &copy));
    assert_true(span_equal(copy.inputs[0], input) && span_equal(copy.outputs[0], output));
    assert_true(copy.dim == 1 && copy.value == -1 && copy.size_count == 2 && copy.sizes[1] == 8);
    buf_fini(&buf);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_size_that_is_enough_is_taken),
        cmocka_unit_test(what_is_filled_up_is_cut_back),
        cmocka_unit_test(nothing_is_filled_up_too),
        cmocka_unit_test(a_datatype_has_its_values),
        cmocka_unit_test(comes_back_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
