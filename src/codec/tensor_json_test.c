/* Unit tests of codec/tensor_json.h. */
#include "codec/tensor_json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SHAPE(...)                                                                                 \
    (struct shape)                                                                                 \
    {                                                                                              \
        sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t),                                        \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

static const struct shape scalar = {.ndim = 0};

/* A tensor read from JSON, in memory of exactly its size. */
struct result {
    bool ok;
    struct room bytes;
    struct error error;
};

static struct result read_tensor(const char *text, enum tensord_datatype datatype,
                                 struct shape shape)
{
    struct result r = {.ok = false};
    struct json json;
    uint64_t size = 0;
    json_init(&json, span_of(text), JSON_MAX_DEPTH, NULL, &r.error);
    if (datatype == TENSORD_BYTES ? !tensor_json_bytes_size(&json, &size)
                                  : !shape_size_bytes(&shape, datatype, &size))
        return r;
    r.bytes = (struct room){malloc(size ? size : 1), size};
    assert_non_null(r.bytes.data);
    r.ok = tensor_from_json(&json, datatype, &shape, r.bytes) && json_end(&json);
    return r;
}

static void assert_reads(const char *text, enum tensord_datatype datatype, struct shape shape,
                         const void *expected, size_t size)
{
    struct result r = read_tensor(text, datatype, shape);
    if (!r.ok)
        fail_msg("%s: %s", text, r.error.message);
    assert_int_equal(r.bytes.size, size);
    assert_memory_equal(r.bytes.data, expected, size);
    free(r.bytes.data);
}

static void assert_refuses(const char *text, enum tensord_datatype datatype, struct shape shape,
                           const char *sentence)
{
    struct result r = read_tensor(text, datatype, shape);
    free(r.bytes.data);
    if (r.ok)
        fail_msg("%s was accepted", text);
    assert_int_equal(r.error.code, ERROR_INVALID_ARGUMENT);
    assert_string_equal(r.error.message, sentence);
}

#define ARRAY(type, ...) (type[]){__VA_ARGS__}, sizeof((type[]){__VA_ARGS__})

static void reads_every_datatype_up_to_its_edges(void **state)
{
    assert_reads("[true,false,1,0]", TENSORD_BOOL, SHAPE(4), ARRAY(uint8_t, 1, 0, 1, 0));
    assert_reads("[0,255]", TENSORD_UINT8, SHAPE(2), ARRAY(uint8_t, 0, 255));
    assert_reads("[0,65535]", TENSORD_UINT16, SHAPE(2), ARRAY(uint16_t, 0, 65535));
    assert_reads("[0,4294967295]", TENSORD_UINT32, SHAPE(2), ARRAY(uint32_t, 0, UINT32_MAX));
    assert_reads("[0,18446744073709551615]", TENSORD_UINT64, SHAPE(2),
                 ARRAY(uint64_t, 0, UINT64_MAX));
    assert_reads("[-128,127]", TENSORD_INT8, SHAPE(2), ARRAY(int8_t, -128, 127));
    assert_reads("[-32768,32767]", TENSORD_INT16, SHAPE(2), ARRAY(int16_t, INT16_MIN, INT16_MAX));
    assert_reads("[-2147483648,2147483647]", TENSORD_INT32, SHAPE(2),
                 ARRAY(int32_t, INT32_MIN, INT32_MAX));
    assert_reads("[-9223372036854775808,9223372036854775807]", TENSORD_INT64, SHAPE(2),
                 ARRAY(int64_t, INT64_MIN, INT64_MAX));
    assert_reads("[1,-65504,0.1,65519.9]", TENSORD_FP16, SHAPE(4),
                 ARRAY(uint16_t, 0x3c00, 0xfbff, 0x2e66, 0x7bff));
    assert_reads("[1,-0.0,3.3895313892515355e38]", TENSORD_BF16, SHAPE(3),
                 ARRAY(uint16_t, 0x3f80, 0x8000, 0x7f7f));
    assert_reads("[0.1,3.4028235e38,1e-45,-0]", TENSORD_FP32, SHAPE(4),
                 ARRAY(float, 0.1f, 3.4028235e38f, 1e-45f, -0.0f));
    assert_reads("[0.1,1.7976931348623157e308]", TENSORD_FP64, SHAPE(2),
                 ARRAY(double, 0.1, 1.7976931348623157e308));
    assert_reads("[\"\",\"a\\u0000\",\"\xc3\xbc\\n\"]", TENSORD_BYTES, SHAPE(3),
                 "\0\0\0\0\2\0\0\0a\0\3\0\0\0\xc3\xbc\n", 17);
}

static void refuses_what_a_datatype_cannot_hold(void **state)
{
    const struct {
        enum tensord_datatype datatype;
        const char *value;
    } cases[] = {
        {TENSORD_BOOL, "2"},
        {TENSORD_BOOL, "-1"},
        {TENSORD_BOOL, "1.0"},
        {TENSORD_UINT8, "256"},
        {TENSORD_UINT8, "-1"},
        {TENSORD_UINT16, "65536"},
        {TENSORD_UINT32, "4294967296"},
        {TENSORD_UINT64, "18446744073709551616"},
        {TENSORD_UINT64, "-1"},
        {TENSORD_INT8, "128"},
        {TENSORD_INT8, "-129"},
        {TENSORD_INT8, "300"},
        {TENSORD_INT16, "32768"},
        {TENSORD_INT16, "-32769"},
        {TENSORD_INT32, "2147483648"},
        {TENSORD_INT32, "-2147483649"},
        {TENSORD_INT32, "1.5"},
        {TENSORD_INT32, "1e2"},
        {TENSORD_INT64, "9223372036854775808"},
        {TENSORD_INT64, "-9223372036854775809"},
        {TENSORD_FP16, "65520"},
        {TENSORD_FP16, "1e999"},
        {TENSORD_BF16, "3.4e38"},
        {TENSORD_FP32, "3.5e38"},
        {TENSORD_FP32, "-1e999"},
        {TENSORD_FP64, "1e999"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64], sentence[128];
        snprintf(text, sizeof text, "[0, %s ]", cases[i].value);
        snprintf(sentence, sizeof sentence, "element 1, %s, is no value of %s at byte 4",
                 cases[i].value, datatype_name(cases[i].datatype));
        assert_refuses(text, cases[i].datatype, SHAPE(2), sentence);
    }
    assert_refuses("[11111111111111111111111111111111111111111111111111]", TENSORD_INT8, SHAPE(1),
                   "element 0, 1111111111111111111111111111111111111111..., is no value of "
                   "INT8 at byte 1");
    assert_refuses("[1.5]", TENSORD_INT8, SHAPE(1),
                   "element 0, 1.5, is no value of INT8 at byte 1");
}

static void refuses_other_kinds_of_values(void **state)
{
    assert_refuses("[\"1\"]", TENSORD_INT32, SHAPE(1), "expected a number at byte 1");
    assert_refuses("[null]", TENSORD_FP32, SHAPE(1), "expected a number at byte 1");
    assert_refuses("[true]", TENSORD_FP32, SHAPE(1), "expected a number at byte 1");
    assert_refuses("[\"true\"]", TENSORD_BOOL, SHAPE(1), "expected true or false at byte 1");
    assert_refuses("[1]", TENSORD_BYTES, SHAPE(1), "expected a string at byte 1");
    assert_refuses("[{}]", TENSORD_FP32, SHAPE(1), "expected a number at byte 1");
    assert_refuses("{}", TENSORD_FP32, SHAPE(1), "expected an array at byte 0");
    assert_refuses("5", TENSORD_FP32, SHAPE(1), "expected an array at byte 0");
    assert_refuses("[NaN]", TENSORD_FP32, SHAPE(1),
                   "expected a number (JSON has no NaN, no Infinity: send binary data) at byte 1");
    assert_refuses("[1,]", TENSORD_FP32, SHAPE(2), "expected a number at byte 3");
    assert_refuses("[1 2]", TENSORD_FP32, SHAPE(2), "expected ',' or ']' at byte 3");
}

static void reads_flat_and_nested_alike(void **state)
{
    const uint8_t expected[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const char *const texts[] = {
        "[1,2,3,4,5,6,7,8,9,10,11,12]",
        "[[[1,2],[3,4],[5,6]],[[7,8],[9,10],[11,12]]]",
        " [ [ [ 1 , 2 ] , [ 3 , 4 ] , [ 5 , 6 ] ] , [ [ 7 , 8 ] , [ 9 , 10 ] , [ 11 , 12 ] ] ] ",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_reads(texts[i], TENSORD_UINT8, SHAPE(2, 3, 2), expected, sizeof expected);
    assert_reads("[[[[7]]]]", TENSORD_UINT8, SHAPE(1, 1, 1, 1), ARRAY(uint8_t, 7));
    assert_reads("[[\"a\"],[\"b\"]]", TENSORD_BYTES, SHAPE(2, 1), "\1\0\0\0a\1\0\0\0b", 10);
}

static void reads_scalars_and_empty_tensors(void **state)
{
    assert_reads("7", TENSORD_INT8, scalar, ARRAY(int8_t, 7));
    assert_reads("[7]", TENSORD_INT8, scalar, ARRAY(int8_t, 7));
    assert_reads("[]", TENSORD_FP32, SHAPE(0), "", 0);
    assert_reads("[]", TENSORD_FP32, SHAPE(0, 3), "", 0);
    assert_reads("[]", TENSORD_BYTES, SHAPE(0), "", 0);
    assert_reads("[[],[]]", TENSORD_FP32, SHAPE(2, 0), "", 0);
    assert_refuses("[]", TENSORD_INT8, scalar, "expected 1 elements but got 0 at byte 1");
    assert_refuses("[[],[1]]", TENSORD_FP32, SHAPE(2, 0),
                   "expected 0 elements but got 1 at byte 5");
    assert_refuses("[[]]", TENSORD_FP32, SHAPE(2, 0), "expected 2 elements but got 1 at byte 3");
}

static void counts_the_elements(void **state)
{
    const struct shape two_by_two = SHAPE(2, 2);
    assert_refuses("[]", TENSORD_INT8, SHAPE(2), "expected 2 elements but got 0 at byte 1");
    assert_refuses("[1]", TENSORD_INT8, SHAPE(2), "expected 2 elements but got 1 at byte 2");
    assert_refuses("[1,2,3,4]", TENSORD_INT8, SHAPE(2), "expected 2 elements but got 4 at byte 5");
    assert_refuses("[1,2,3,x]", TENSORD_INT8, SHAPE(2), "expected a value at byte 7");
    assert_refuses("[1,2,3]", TENSORD_INT8, two_by_two, "expected 4 elements but got 3 at byte 6");
    assert_refuses("[[1,2],[3]]", TENSORD_INT8, two_by_two,
                   "expected 2 elements but got 1 at byte 9");
    assert_refuses("[[1,2],[3,4,5]]", TENSORD_INT8, two_by_two,
                   "expected 2 elements but got 3 at byte 12");
    assert_refuses("[[1,2],[3,4],[5,6]]", TENSORD_INT8, two_by_two,
                   "expected 2 elements but got 3 at byte 13");
    assert_refuses("[[1,2]]", TENSORD_INT8, two_by_two, "expected 2 elements but got 1 at byte 6");
    assert_refuses("[[1,2],3,4]", TENSORD_INT8, two_by_two, "expected an array at byte 7");
    assert_refuses("[1,2,[3,4]]", TENSORD_INT8, two_by_two, "expected a number at byte 5");
    assert_refuses("[[[1,2]],[[3,4]]]", TENSORD_INT8, two_by_two, "expected a number at byte 2");
    assert_refuses("[[1,2,3,4]]", TENSORD_INT8, SHAPE(4), "expected a number at byte 1");
    assert_refuses("[[1,2,3,4],[5,6,7,8]]", TENSORD_INT8, SHAPE(2, 2, 2),
                   "expected an array at byte 2");
    assert_refuses("[\"a\"]", TENSORD_BYTES, SHAPE(2), "expected 2 elements but got 1 at byte 4");
}

/* Room of a wrong size is the caller's mistake, yet nothing is written beyond it. */
static void keeps_to_its_room(void **state)
{
    char bytes[8] = {0};
    const struct shape shape = SHAPE(2);
    for (size_t size = 0; size < 12; size++) {
        struct json json;
        struct error error;
        json_init(&json, SPAN("[\"ab\",\"\"]"), JSON_MAX_DEPTH, NULL, &error);
        struct room out = {bytes, size < sizeof bytes ? size : sizeof bytes};
        assert_false(tensor_from_json(&json, TENSORD_BYTES, &shape, out));
        json_init(&json, SPAN("[1,2]"), JSON_MAX_DEPTH, NULL, &error);
        assert_int_equal(tensor_from_json(&json, TENSORD_INT32, &shape, out), out.size == 8);
    }
}

static void infers_the_shape(void **state)
{
    const struct {
        const char *text;
        struct shape shape;
    } cases[] = {
        {"5", scalar},
        {"[]", SHAPE(0)},
        {"[1,2,3]", SHAPE(3)},
        {"[[1,2,3],[4,5,6]]", SHAPE(2, 3)},
        {"[[],[]]", SHAPE(2, 0)},
        {"[[[\"a\"]],[[\"b\"]]] ", SHAPE(2, 1, 1)},
        {"[[1,2],[3]]", SHAPE(2, 2)}, /* ragged: reading it fails */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json json;
        struct error error;
        struct shape shape;
        char got[64], expected[64];
        json_init(&json, span_of(cases[i].text), JSON_MAX_DEPTH, NULL, &error);
        assert_true(tensor_json_shape(&json, &shape));
        assert_string_equal(shape_format(&shape, got, sizeof got),
                            shape_format(&cases[i].shape, expected, sizeof expected));
        assert_true(json_skip(&json, NULL) && json_end(&json)); /* it has not moved */
    }
}

static void looking_ahead_fails_as_reading_does(void **state)
{
    const char *const bad[] = {"",     "[",       "[[1,2],[3,4]",
                               "[1,]", "[[1],x]", "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct json json;
        struct error error;
        struct shape shape = {.ndim = 7};
        uint64_t size = 7;
        json_init(&json, span_of(bad[i]), JSON_MAX_DEPTH, NULL, &error);
        assert_false(tensor_json_shape(&json, &shape));
        assert_false(json_ok(&json));
        assert_int_equal(shape.ndim, 7);
        json_init(&json, span_of(bad[i]), JSON_MAX_DEPTH, NULL, &error);
        assert_false(tensor_json_bytes_size(&json, &size));
        assert_false(json_ok(&json));
        assert_int_equal(size, 7);
    }
}

static void assert_writes(enum tensord_datatype datatype, struct shape shape, const char *expected,
                          const void *bytes, size_t size)
{
    struct buf buf;
    struct json_writer writer;
    struct error error;
    buf_init(&buf, 1 << 20);
    json_writer_init(&writer, &buf);
    if (!tensor_to_json(&writer, datatype, &shape, (struct span){bytes, size}, &error))
        fail_msg("%s", error.message);
    assert_true(buf_append_char(&buf, '\0'));
    assert_string_equal(buf.data, expected);
    buf_fini(&buf);
}

static void writes_every_datatype(void **state)
{
    assert_writes(TENSORD_BOOL, SHAPE(3), "[true,false,true]", ARRAY(uint8_t, 1, 0, 255));
    assert_writes(TENSORD_UINT8, SHAPE(2), "[0,255]", ARRAY(uint8_t, 0, 255));
    assert_writes(TENSORD_UINT16, SHAPE(1), "[65535]", ARRAY(uint16_t, 65535));
    assert_writes(TENSORD_UINT32, SHAPE(1), "[4294967295]", ARRAY(uint32_t, UINT32_MAX));
    assert_writes(TENSORD_UINT64, SHAPE(1), "[18446744073709551615]", ARRAY(uint64_t, UINT64_MAX));
    assert_writes(TENSORD_INT8, SHAPE(2), "[-128,127]", ARRAY(int8_t, -128, 127));
    assert_writes(TENSORD_INT16, SHAPE(1), "[-32768]", ARRAY(int16_t, INT16_MIN));
    assert_writes(TENSORD_INT32, SHAPE(1), "[-2147483648]", ARRAY(int32_t, INT32_MIN));
    assert_writes(TENSORD_INT64, SHAPE(1), "[-9223372036854775808]", ARRAY(int64_t, INT64_MIN));
    assert_writes(TENSORD_FP16, SHAPE(2), "[1.0,0.5]", ARRAY(uint16_t, 0x3c00, 0x3800));
    assert_writes(TENSORD_BF16, SHAPE(2), "[1.0,-2.0]", ARRAY(uint16_t, 0x3f80, 0xc000));
    assert_writes(TENSORD_FP32, SHAPE(2, 1), "[0.1,1e30]", ARRAY(float, 0.1f, 1e30f));
    assert_writes(TENSORD_FP64, SHAPE(1, 1), "[0.1]", ARRAY(double, 0.1));
    assert_writes(TENSORD_FP64, scalar, "[0.1]", ARRAY(double, 0.1));
    assert_writes(TENSORD_FP32, SHAPE(0, 4), "[]", "", 0);
    assert_writes(TENSORD_BYTES, SHAPE(2), "[\"\",\"a\\n\xc3\xbc\"]", "\0\0\0\0\4\0\0\0a\n\xc3\xbc",
                  12);
}

static void assert_does_not_write(enum tensord_datatype datatype, struct shape shape,
                                  struct span data, enum error_code code, const char *sentence)
{
    struct buf buf;
    struct json_writer writer;
    struct error error;
    buf_init(&buf, 1 << 20);
    json_writer_init(&writer, &buf);
    assert_false(tensor_to_json(&writer, datatype, &shape, data, &error));
    assert_int_equal(error.code, code);
    assert_string_equal(error.message, sentence);
    buf_fini(&buf);
}

static void refuses_to_write_what_json_cannot_say(void **state)
{
    const char *sentence = "the tensor's data disagree with its shape";
    const float values[] = {1, NAN};
    const struct span data = {(const char *)values, sizeof values};
    assert_does_not_write(TENSORD_FP32, SHAPE(2), data, ERROR_INVALID_ARGUMENT,
                          "element 1 is NaN or infinite, which JSON cannot say: "
                          "ask for binary data");
    assert_does_not_write(TENSORD_FP16, SHAPE(1), SPAN("\x00\x7c"), ERROR_INVALID_ARGUMENT,
                          "element 0 is NaN or infinite, which JSON cannot say: "
                          "ask for binary data");
    assert_does_not_write(TENSORD_BYTES, SHAPE(2), SPAN("\1\0\0\0a\1\0\0\0\xff"),
                          ERROR_INVALID_ARGUMENT,
                          "element 1 is not UTF-8, which JSON cannot say: ask for binary data");
    assert_does_not_write(TENSORD_FP32, SHAPE(3), data, ERROR_INTERNAL, sentence);
    assert_does_not_write(TENSORD_BYTES, SHAPE(1), SPAN("\5\0\0\0a"), ERROR_INTERNAL, sentence);
    assert_does_not_write(TENSORD_BYTES, SHAPE(1), SPAN("\1\0\0\0ab"), ERROR_INTERNAL, sentence);
    assert_does_not_write(TENSORD_BYTES, SHAPE(-1), SPAN(""), ERROR_INTERNAL, sentence);
}

static void what_is_written_reads_back(void **state)
{
    enum { COUNT = 5000 };
    static float values[COUNT], back[COUNT];
    const struct shape shape = SHAPE(50, 100);
    struct buf buf;
    struct json_writer writer;
    struct json json;
    struct error error;
    uint32_t seed = 1;
    for (int i = 0; i < COUNT; i++) {
        do {
            seed = seed * 1664525 + 1013904223;
            memcpy(&values[i], &seed, sizeof seed);
        } while (!isfinite(values[i]));
    }
    buf_init(&buf, 1 << 20);
    json_writer_init(&writer, &buf);
    assert_true(tensor_to_json(&writer, TENSORD_FP32, &shape,
                               (struct span){(const char *)values, sizeof values}, &error));
    json_init(&json, buf_span(&buf), JSON_MAX_DEPTH, NULL, &error);
    assert_true(
        tensor_from_json(&json, TENSORD_FP32, &shape, (struct room){(char *)back, sizeof back}));
    assert_true(json_end(&json));
    assert_memory_equal(values, back, sizeof values);
    buf_fini(&buf);
}

/* All values that there are, but for those that JSON cannot say. */
static void every_half_reads_back(void **state)
{
    enum { COUNT = 1 << 16 };
    static uint16_t values[COUNT], back[COUNT];
    const enum tensord_datatype datatypes[] = {TENSORD_FP16, TENSORD_BF16};
    for (size_t i = 0; i < 2; i++) {
        const uint16_t infinity = i ? 0x7f80 : 0x7c00;
        struct shape shape = SHAPE(0);
        struct buf buf;
        struct json_writer writer;
        struct json json;
        struct error error;
        for (uint32_t bits = 0; bits < COUNT; bits++) {
            if ((bits & infinity) != infinity)
                values[shape.dims[0]++] = (uint16_t)bits;
        }
        size_t size = (size_t)shape.dims[0] * sizeof *values;
        buf_init(&buf, 1 << 22);
        json_writer_init(&writer, &buf);
        assert_true(tensor_to_json(&writer, datatypes[i], &shape,
                                   (struct span){(const char *)values, size}, &error));
        json_init(&json, buf_span(&buf), JSON_MAX_DEPTH, NULL, &error);
        assert_true(
            tensor_from_json(&json, datatypes[i], &shape, (struct room){(char *)back, size}));
        assert_memory_equal(values, back, size);
        buf_fini(&buf);
    }
}

static void fails_when_cut_at_any_byte(void **state)
{
    const char *text = "[[1.5,-2e3],[0,7]]";
    for (size_t size = 0; size < strlen(text); size++) {
        struct json json;
        struct error error;
        float out[4];
        const struct shape shape = SHAPE(2, 2);
        char *cut = malloc(size ? size : 1);
        assert_non_null(cut);
        memcpy(cut, text, size);
        json_init(&json, (struct span){cut, size}, JSON_MAX_DEPTH, NULL, &error);
        assert_false(
            tensor_from_json(&json, TENSORD_FP32, &shape, (struct room){(char *)out, sizeof out}));
        free(cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_datatype_up_to_its_edges),
        cmocka_unit_test(refuses_what_a_datatype_cannot_hold),
        cmocka_unit_test(refuses_other_kinds_of_values),
        cmocka_unit_test(reads_flat_and_nested_alike),
        cmocka_unit_test(reads_scalars_and_empty_tensors),
        cmocka_unit_test(counts_the_elements),
        cmocka_unit_test(keeps_to_its_room),
        cmocka_unit_test(infers_the_shape),
        cmocka_unit_test(looking_ahead_fails_as_reading_does),
        cmocka_unit_test(writes_every_datatype),
        cmocka_unit_test(refuses_to_write_what_json_cannot_say),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(every_half_reads_back),
        cmocka_unit_test(fails_when_cut_at_any_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
