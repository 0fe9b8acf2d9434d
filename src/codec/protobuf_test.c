/* Unit tests of codec/protobuf.h: decoding and encoding. The vectors were written by another
 * implementation (google.protobuf in Python). */
#include "codec/inference.pb.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define INT64_MINUS_3 "\xfd\xff\xff\xff\xff\xff\xff\xff\xff\x01"
#define INT64_MINUS_1 "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

/* model_name, id, parameters {p: -3}, one input with contents, one output, 150 raw bytes. */
#define REQUEST                                                                                    \
    "\x0a\x01m\x1a\x01\x37\x22\x10\x0a\x01p\x12\x0b\x10" INT64_MINUS_3 "\x2a\x44\x0a\x01x\x12\x04" \
    "FP32\x1a\x0d\x01" INT64_MINUS_1 "\xac\x02\x22\x08\x0a\x01q\x12\x03\x1a\x01z"                  \
    "\x2a\x20\x0a\x02\x01\x00\x12\x0b" INT64_MINUS_1 "\x05"                                        \
    "\x32\x08\x00\x00\xc0\x3f\x00\x00\x00\xc0\x42\x01\x61\x42\x00\x32\x03\x0a\x01y"                \
    "\x3a\x96\x01" HUNDRED TEN TEN TEN TEN TEN

struct fixture {
    struct arena arena;
    struct error error;
    struct inference_model_infer_request request;
};

static int setup(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    arena_init(&fixture.arena, 4096, 1 << 20);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    arena_fini(&((struct fixture *)*state)->arena);
    return 0;
}

static bool decode(struct fixture *fixture, struct span bytes)
{
    return pb_decode(&inference_model_infer_request_pb, bytes, &fixture->arena, &fixture->request,
                     &fixture->error);
}

static void refuses(struct fixture *fixture, struct span bytes, const char *what)
{
    assert_false(decode(fixture, bytes));
    assert_int_equal(fixture->error.code, ERROR_INVALID_ARGUMENT);
    if (!strstr(fixture->error.message, what))
        fail_msg("\"%s\" does not say \"%s\"", fixture->error.message, what);
}

static bool is(struct span span, const char *text)
{
    return span_equal(span, span_of(text));
}

static void a_request_is_decoded(void **state)
{
    struct fixture *fixture = *state;
    struct span bytes = SPAN(REQUEST);
    assert_true(decode(fixture, bytes));
    const struct inference_model_infer_request *request = &fixture->request;
    assert_true(is(request->model_name, "m"));
    assert_true(is(request->model_version, ""));
    assert_true(is(request->id, "7"));
    assert_int_equal(request->parameters.count, 1);
    assert_true(is(request->parameters.items[0].key, "p"));
    assert_int_equal(request->parameters.items[0].value->which_parameter_choice, 2);
    assert_int_equal(request->parameters.items[0].value->int64_param, -3);
    assert_int_equal(request->outputs.count, 1);
    assert_int_equal(request->raw_input_contents.count, 1);
    assert_int_equal(request->raw_input_contents.items[0].size, 150);
    assert_ptr_equal(request->raw_input_contents.items[0].data, bytes.data + bytes.size - 150);
}

static void tensors_and_their_contents_are_decoded(void **state)
{
    struct fixture *fixture = *state;
    assert_true(decode(fixture, SPAN(REQUEST)));
    assert_int_equal(fixture->request.inputs.count, 1);
    const struct inference_model_infer_request_infer_input_tensor *input =
        &fixture->request.inputs.items[0];
    assert_true(is(input->name, "x"));
    assert_true(is(input->datatype, "FP32"));
    assert_int_equal(input->shape.count, 3);
    assert_int_equal(input->shape.items[1], -1);
    assert_int_equal(input->shape.items[2], 300);
    assert_true(is(input->parameters.items[0].value->string_param, "z"));
    struct inference_infer_tensor_contents decoded, *contents = &decoded;
    assert_true(pb_decode(&inference_infer_tensor_contents_pb, input->contents, &fixture->arena,
                          contents, &fixture->error)); /* they are lazy */
    assert_int_equal(contents->fp32_contents.count, 2);
    assert_true(contents->fp32_contents.items[0] == 1.5f && contents->fp32_contents.items[1] == -2);
    assert_int_equal(contents->int_contents.items[0], -1);
    assert_true(contents->bool_contents.items[0] && !contents->bool_contents.items[1]);
    assert_int_equal(contents->bytes_contents.count, 2);
    assert_int_equal(contents->bytes_contents.items[1].size, 0);
}

static void encoding_gives_the_same_bytes(void **state)
{
    struct fixture *fixture = *state;
    assert_true(decode(fixture, SPAN(REQUEST)));
    struct buf buf;
    buf_init(&buf, 1 << 16);
    assert_true(pb_encode(&inference_model_infer_request_pb, &fixture->request, &buf));
    assert_true(span_equal(buf_span(&buf), SPAN(REQUEST)));
    assert_int_equal(buf.size,
                     pb_encoded_size(&inference_model_infer_request_pb, &fixture->request));
    buf_fini(&buf);
}

static void a_long_nested_message_is_moved_for_its_length(void **state)
{
    struct inference_model_infer_response response = {.id = SPAN(HUNDRED HUNDRED)};
    struct inference_model_stream_infer_response stream = {.infer_response = &response};
    struct buf buf;
    buf_init(&buf, 1 << 16);
    assert_true(pb_encode(&inference_model_stream_infer_response_pb, &stream, &buf));
    assert_true(span_equal(buf_span(&buf), SPAN("\x12\xcb\x01\x1a\xc8\x01" HUNDRED HUNDRED)));
    assert_int_equal(buf.size, pb_encoded_size(&inference_model_stream_infer_response_pb, &stream));
    buf_fini(&buf);
}

static void a_full_buffer_fails(void **state)
{
    struct inference_model_infer_response response = {.id = SPAN(HUNDRED HUNDRED)};
    struct inference_model_stream_infer_response stream = {.infer_response = &response};
    for (size_t limit = 1; limit < 206; limit += 3) {
        struct buf buf;
        buf_init(&buf, limit);
        assert_false(pb_encode(&inference_model_stream_infer_response_pb, &stream, &buf));
        buf_fini(&buf);
    }
}

static void nothing_is_the_empty_message(void **state)
{
    struct fixture *fixture = *state;
    assert_true(decode(fixture, (struct span){NULL, 0}));
    assert_int_equal(fixture->request.inputs.count, 0);
    assert_int_equal(pb_encoded_size(&inference_model_infer_request_pb, &fixture->request), 0);
}

static void unpacked_numbers_are_read_too(void **state)
{
    struct fixture *fixture = *state;
    assert_true(decode(fixture, SPAN("\x2a\x06\x18\x02\x18\x03\x18\x04")));
    assert_int_equal(fixture->request.inputs.items[0].shape.count, 3);
    assert_int_equal(fixture->request.inputs.items[0].shape.items[2], 4);
}

static void chunks_of_packed_numbers_are_joined(void **state)
{
    struct fixture *fixture = *state;
    assert_true(decode(fixture, SPAN("\x2a\x09\x1a\x02\x05\x06\x1a\x00\x1a\x01\x07")));
    assert_int_equal(fixture->request.inputs.items[0].shape.count, 3);
    assert_int_equal(fixture->request.inputs.items[0].shape.items[0], 5);
    assert_int_equal(fixture->request.inputs.items[0].shape.items[2], 7);
}

static void unknown_fields_are_skipped(void **state)
{
    struct fixture *fixture = *state;
    /* fields 100 to 103: varint, 64 bits, length, 32 bits; then model_name */
    assert_true(decode(fixture, SPAN("\xa0\x06\x96\x01\xa9\x06"
                                     "12345678\xb2\x06\x02hi\xbd\x06"
                                     "1234\x0a\x01m")));
    assert_true(is(fixture->request.model_name, "m"));
}

static void the_last_value_holds_and_messages_merge(void **state)
{
    struct fixture *fixture = *state;
    assert_true(decode(fixture, SPAN("\x0a\x01"
                                     "a\x0a\x01"
                                     "b\x2a\x08\x2a\x02\x1a\x00\x2a\x02\x12\x00")));
    assert_true(is(fixture->request.model_name, "b"));
    struct inference_model_stream_infer_response stream;
    assert_true(pb_decode(&inference_model_stream_infer_response_pb,
                          SPAN("\x12\x03\x0a\x01m\x12\x03\x1a\x01i"), &fixture->arena, &stream,
                          &fixture->error));
    assert_true(is(stream.infer_response->model_name, "m"));
    assert_true(is(stream.infer_response->id, "i"));
}

static void the_last_choice_of_a_oneof_holds(void **state)
{
    struct fixture *fixture = *state;
    struct inference_infer_parameter parameter;
    assert_true(pb_decode(&inference_infer_parameter_pb, SPAN("\x1a\x02hi\x08\x01"),
                          &fixture->arena, &parameter, &fixture->error));
    assert_int_equal(parameter.which_parameter_choice, 1);
    assert_true(parameter.bool_param);
    assert_true(pb_decode(&inference_infer_parameter_pb, SPAN("\x10\x00"), &fixture->arena,
                          &parameter, &fixture->error));
    assert_int_equal(parameter.which_parameter_choice, 2);
    assert_int_equal(pb_encoded_size(&inference_infer_parameter_pb, &parameter), 2);
}

static void a_map_entry_without_value_has_an_empty_one(void **state)
{
    struct fixture *fixture = *state;
    assert_true(decode(fixture, SPAN("\x22\x03\x0a\x01k")));
    assert_non_null(fixture->request.parameters.items[0].value);
    assert_int_equal(fixture->request.parameters.items[0].value->which_parameter_choice, 0);
}

static void broken_messages_are_refused(void **state)
{
    struct fixture *fixture = *state;
    refuses(fixture, SPAN("\x80"), "bad tag at byte");
    refuses(fixture, SPAN("\x00\x01"), "bad tag");
    refuses(fixture, SPAN("\xfa\xff\xff\xff\xff\x01"), "bad tag");
    refuses(fixture, SPAN("\x0a"), "model_name: bad length");
    refuses(fixture, SPAN("\x0a\x05mmmm"), "model_name: length passes the end at byte 2");
    refuses(fixture, SPAN("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "passes the end");
    refuses(fixture, SPAN("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), "bad length");
    refuses(fixture, SPAN("\x0a\x01\xff"), "model_name: string is not UTF-8");
    refuses(fixture, SPAN("\x08\x01"), "model_name: wrong wire type");
    refuses(fixture, SPAN("\x2b\x2c"), "inputs: wrong wire type");
    refuses(fixture, SPAN("\xa3\x06\xa4\x06"), "groups are not supported");
    refuses(fixture, SPAN("\xa7\x06"), "groups are not supported");
    refuses(fixture, SPAN("\xa0\x06\x80"), "bad varint");
    refuses(fixture, SPAN("\xa9\x06\x01"), "number passes the end");
    refuses(fixture, SPAN("\xb2\x06\x05x"), "length passes the end");
}

static bool decode_contents(struct fixture *fixture, struct span bytes)
{
    struct inference_infer_tensor_contents contents;
    return pb_decode(&inference_infer_tensor_contents_pb, bytes, &fixture->arena, &contents,
                     &fixture->error);
}

static void broken_numbers_are_refused(void **state)
{
    struct fixture *fixture = *state;
    refuses(fixture, SPAN("\x2a\x04\x1a\x02\x01\x80"), "shape: bad varint");
    refuses(fixture, SPAN("\x2a\x02\x18\x80"), "shape: bad varint");
    refuses(fixture, SPAN("\x2a\x0d\x1a\x0b\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            "varint");
    refuses(fixture, SPAN("\x2a\x02\x1d\x01"), "shape: wrong wire type");
    assert_false(decode_contents(fixture, SPAN("\x32\x03\x01\x02\x03")));
    assert_non_null(strstr(fixture->error.message, "no multiple"));
    assert_false(decode_contents(fixture, SPAN("\x35\x01")));
    assert_non_null(strstr(fixture->error.message, "fp32_contents: number passes the end"));
}

/* Whatever stands after a nested message cannot be read by it. */
static void a_nested_message_ends_where_its_length_says(void **state)
{
    struct fixture *fixture = *state;
    refuses(fixture, SPAN("\x2a\x02\x0a\x01m"), "name: length passes the end");
    refuses(fixture, SPAN("\x2a\x01\x0a\x01m"), "name: bad length");
}

static void every_cut_is_refused_or_a_message(void **state)
{
    struct fixture *fixture = *state;
    struct span whole = SPAN(REQUEST);
    size_t accepted = 0;
    for (size_t size = 0; size < whole.size; size++)
        accepted += decode(fixture, (struct span){whole.data, size});
    assert_int_equal(accepted, 6); /* only between the six fields */
}

static void the_arena_limits_counts(void **state)
{
    struct fixture *fixture = *state;
    static char bytes[400002];
    for (size_t i = 0; i < sizeof bytes; i += 2)
        bytes[i] = 0x2a, bytes[i + 1] = 0; /* 200,001 empty inputs */
    assert_false(decode(fixture, (struct span){bytes, sizeof bytes}));
    assert_int_equal(fixture->error.code, ERROR_RESOURCE_EXHAUSTED);
}

/* A message that contains itself, which none of our files declares. */
struct nest {
    struct nest *nest;
};
static const struct pb_message nest_pb;
static const struct pb_field nest_fields[] = {
    {.number = 1, .type = PB_MESSAGE, .name = {"nest", 4}, .message = &nest_pb}};
static const struct pb_message nest_pb = {.name = {"Nest", 4},
                                          .fields = nest_fields,
                                          .field_count = 1,
                                          .dense = 1,
                                          .size_bytes = sizeof(struct nest)};

static void nesting_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    char bytes[256];
    for (size_t i = 0; i < sizeof bytes; i += 2)
        bytes[i] = 0x0a, bytes[i + 1] = (char)(i < 128 ? 128 - i - 2 : 0);
    struct nest nest, deep[PB_MAX_DEPTH + 1] = {{NULL}};
    assert_true(pb_decode(&nest_pb, (struct span){bytes + 2, 126}, &fixture->arena, &nest,
                          &fixture->error));
    assert_false(
        pb_decode(&nest_pb, (struct span){bytes, 128}, &fixture->arena, &nest, &fixture->error));
    assert_non_null(strstr(fixture->error.message, "too deep"));
    for (size_t i = 0; i < PB_MAX_DEPTH; i++)
        deep[i].nest = &deep[i + 1];
    struct buf buf;
    buf_init(&buf, 1 << 16);
    assert_false(pb_encode(&nest_pb, deep, &buf));
    assert_true(pb_encode(&nest_pb, deep + 1, &buf));
    buf_fini(&buf);
}

/* The types that none of our files uses, and explicit presence. */
struct all {
    bool has_sint32;
    int32_t sint32;
    int64_t sint64;
    uint32_t fixed32;
    int64_t sfixed64;
    double number;
};
#define ALL_FIELD(NUMBER, TYPE, MEMBER)                                                            \
    {.number = NUMBER, .type = TYPE, .offset = offsetof(struct all, MEMBER), .name = {#MEMBER, 5}}
static const struct pb_field all_fields[] = {
    {.number = 1,
     .type = PB_SINT32,
     .presence = PB_OPTIONAL,
     .offset = offsetof(struct all, sint32),
     .presence_offset = offsetof(struct all, has_sint32),
     .name = {"sint32", 6}},
    ALL_FIELD(2, PB_SINT64, sint64),
    ALL_FIELD(3, PB_FIXED32, fixed32),
    ALL_FIELD(5, PB_SFIXED64, sfixed64),
    ALL_FIELD(9, PB_DOUBLE, number),
};
static const struct pb_message all_pb = {.name = {"All", 3},
                                         .fields = all_fields,
                                         .field_count = 5,
                                         .dense = 3,
                                         .size_bytes = sizeof(struct all)};

static void every_kind_of_number_goes_round(void **state)
{
    struct fixture *fixture = *state;
    struct all all = {true, -3, INT64_MIN, 7, -2, -0.0}, again;
    struct buf buf;
    buf_init(&buf, 1 << 16);
    assert_true(pb_encode(&all_pb, &all, &buf));
    assert_true(span_equal(
        buf_span(&buf),
        SPAN("\x08\x05\x10" INT64_MINUS_1 "\x1d\x07\x00\x00\x00"
             "\x29\xfe\xff\xff\xff\xff\xff\xff\xff\x49\x00\x00\x00\x00\x00\x00\x00\x80")));
    assert_true(pb_decode(&all_pb, buf_span(&buf), &fixture->arena, &again, &fixture->error));
    assert_memory_equal(&all, &again, sizeof all);
    buf_fini(&buf);
}

static void presence_tells_zero_from_absent(void **state)
{
    struct fixture *fixture = *state;
    struct all all = {.has_sint32 = true}, again;
    assert_int_equal(pb_encoded_size(&all_pb, &all), 2);
    assert_true(pb_decode(&all_pb, SPAN("\x08\x00"), &fixture->arena, &again, &fixture->error));
    assert_true(again.has_sint32);
    assert_true(pb_decode(&all_pb, SPAN("\x10\x00"), &fixture->arena, &again, &fixture->error));
    assert_false(again.has_sint32);
}

static void a_bytes_head_announces_what_follows(void **state)
{
    struct buf buf;
    buf_init(&buf, 1 << 16);
    assert_true(pb_encode_bytes_head(&buf, 6, 300));
    assert_true(span_equal(buf_span(&buf), SPAN("\x32\xac\x02")));
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_is_decoded, setup, teardown),
        cmocka_unit_test_setup_teardown(tensors_and_their_contents_are_decoded, setup, teardown),
        cmocka_unit_test_setup_teardown(encoding_gives_the_same_bytes, setup, teardown),
        cmocka_unit_test(a_long_nested_message_is_moved_for_its_length),
        cmocka_unit_test(a_full_buffer_fails),
        cmocka_unit_test_setup_teardown(nothing_is_the_empty_message, setup, teardown),
        cmocka_unit_test_setup_teardown(unpacked_numbers_are_read_too, setup, teardown),
        cmocka_unit_test_setup_teardown(chunks_of_packed_numbers_are_joined, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_fields_are_skipped, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_value_holds_and_messages_merge, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_choice_of_a_oneof_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(a_map_entry_without_value_has_an_empty_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(broken_messages_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_numbers_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_nested_message_ends_where_its_length_says, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(every_cut_is_refused_or_a_message, setup, teardown),
        cmocka_unit_test_setup_teardown(the_arena_limits_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(nesting_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(every_kind_of_number_goes_round, setup, teardown),
        cmocka_unit_test_setup_teardown(presence_tells_zero_from_absent, setup, teardown),
        cmocka_unit_test(a_bytes_head_announces_what_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
