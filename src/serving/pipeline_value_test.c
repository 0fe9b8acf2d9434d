/* Tensors in pieces: joined, divided, copied. */
#include "serving/pipeline_value.h"

#include "base/arena_fixture.h"

#include <stdlib.h>

static struct pipeline_value make(enum tensord_datatype datatype, int64_t rows, int64_t columns,
                                  struct span data)
{
    struct pipeline_value value;
    const struct shape shape = {2, {rows, columns}};
    assert_true(pipeline_value_make(&value, datatype, &shape, data, &arena, &error));
    return value;
}

static struct pipeline_value join(const struct pipeline_value *parts, size_t count)
{
    struct pipeline_value joined;
    const struct pipeline_value *list[4];
    for (size_t i = 0; i < count; i++)
        list[i] = &parts[i];
    assert_true(pipeline_value_join(&joined, list, count, SPAN("y"), &arena, &error));
    return joined;
}

static void parts_stand_behind_each_other(void **state)
{
    const struct pipeline_value parts[] = {make(TENSORD_UINT8, 2, 2, SPAN("abcd")),
                                           make(TENSORD_UINT8, 0, 2, SPAN("")),
                                           make(TENSORD_UINT8, 1, 2, SPAN("ef"))};
    char data[8] = "";
    struct pipeline_value joined = join(parts, 3);
    assert_int_equal(joined.shape.dims[0], 3);
    assert_int_equal(joined.size_bytes, 6);
    assert_int_equal(joined.piece_count, 2);
    for (uint64_t from = 0; from <= 6; from++) {
        for (uint64_t to = from; to <= 6; to++) {
            memset(data, '-', sizeof data);
            pipeline_value_copy(&joined, from, to, data);
            assert_memory_equal(data, &"abcdef"[from], to - from);
            assert_int_equal(data[to - from], '-');
        }
    }
}

static void what_differs_is_not_joined(void **state)
{
    struct pipeline_value joined;
    const struct pipeline_value two = make(TENSORD_UINT8, 1, 2, SPAN("ab")),
                                three = make(TENSORD_UINT8, 1, 3, SPAN("abc")),
                                other = make(TENSORD_INT8, 1, 2, SPAN("ab"));
    const struct pipeline_value *parts[] = {&two, &three};
    assert_false(pipeline_value_join(&joined, parts, 2, SPAN("y"), &arena, &error));
    assert_string_equal(error.message,
                        "its parts gave 'y' as UINT8 [1,2] and as UINT8 [1,3], which "
                        "cannot be joined");
    parts[1] = &other;
    assert_false(pipeline_value_join(&joined, parts, 2, SPAN("y"), &arena, &error));
}

static void numbers_are_divided_by_rows(void **state)
{
    uint32_t parts;
    const struct pipeline_value value = make(TENSORD_UINT16, 5, 1, SPAN("aabbccddee"));
    const uint64_t *offsets = pipeline_value_divide(&value, 2, 10, &arena, &parts, &error);
    assert_int_equal(parts, 3);
    assert_true(offsets[0] == 0 && offsets[1] == 4 && offsets[2] == 8 && offsets[3] == 10);
    assert_null(pipeline_value_divide(&value, 1, 4, &arena, &parts, &error));
    assert_string_equal(error.message, "it would be called for 5 parts, and 4 is the most");
    const struct pipeline_value none = make(TENSORD_UINT16, 0, 1, SPAN(""));
    assert_non_null(pipeline_value_divide(&none, 2, 10, &arena, &parts, &error));
    assert_int_equal(parts, 0);
}

static void strings_are_divided_by_elements(void **state)
{
    uint32_t parts;
    const struct pipeline_value pieces[] = {make(TENSORD_BYTES, 2, 1, SPAN("\1\0\0\0a\3\0\0\0bcd")),
                                            make(TENSORD_BYTES, 1, 1, SPAN("\0\0\0\0"))};
    const struct pipeline_value value = join(pieces, 2);
    const uint64_t *offsets = pipeline_value_divide(&value, 1, 10, &arena, &parts, &error);
    assert_int_equal(parts, 3);
    assert_true(offsets[0] == 0 && offsets[1] == 5 && offsets[2] == 12 && offsets[3] == 16);
}

/* A worker may write into what it gave at any time. */
static void what_lies_is_refused(void **state)
{
    uint32_t parts;
    const struct pipeline_value longer = make(TENSORD_BYTES, 2, 1, SPAN("\377\0\0\0a\0\0\0\0")),
                                fewer = make(TENSORD_BYTES, 3, 1, SPAN("\1\0\0\0a\0\0\0\0")),
                                empty = make(TENSORD_FP32, INT64_MAX, 2, SPAN("abcd"));
    assert_null(pipeline_value_divide(&longer, 1, 10, &arena, &parts, &error));
    assert_null(pipeline_value_divide(&fewer, 1, 10, &arena, &parts, &error));
    assert_null(pipeline_value_divide(&empty, 1 << 20, UINT32_MAX, &arena, &parts, &error));
}

static void no_rows_have_a_shape(void **state)
{
    struct pipeline_value value;
    const struct tensor_info info = {.datatype = TENSORD_FP32, .shape = {3, {-1, -1, 4}}};
    pipeline_value_empty(&value, &info);
    assert_true(value.shape.dims[0] == 0 && value.shape.dims[1] == 0 && value.shape.dims[2] == 4);
    assert_int_equal(value.size_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(parts_stand_behind_each_other), ARENA_TEST(what_differs_is_not_joined),
        ARENA_TEST(numbers_are_divided_by_rows),   ARENA_TEST(strings_are_divided_by_elements),
        ARENA_TEST(what_lies_is_refused),          ARENA_TEST(no_rows_have_a_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
