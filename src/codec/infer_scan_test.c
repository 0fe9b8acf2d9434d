/* Unit tests of codec/infer_scan.h: however the message is cut, head and tensors are the same. */
#include "codec/infer_scan.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NAME "\x0a\x01m"
#define INPUT "\x2a\x03\x0a\x01x"
#define TENSOR "\x3a\x03\x61\x62\x63" /* "abc" */
#define EMPTY "\x3a\x00"

enum { HEAD_BYTES = 64 };

struct outcome {
    struct infer_scan scan;
    struct buf head;
    struct error error;
    char tensors[64]; /* one after the other */
    size_t tensors_size;
    size_t refuse_at; /* the tensor for which there is no room */
};

/* Gives places to tensors that begin. */
static bool place(struct outcome *outcome)
{
    uint64_t size;
    while (infer_scan_asks(&outcome->scan, &size)) {
        assert_int_equal(infer_scan_room(&outcome->scan).size, 0);
        if (outcome->scan.tensor_count == outcome->refuse_at)
            return error_set(&outcome->error, ERROR_RESOURCE_EXHAUSTED, "no room");
        assert_true(outcome->tensors_size + size <= sizeof outcome->tensors);
        infer_scan_place(&outcome->scan, outcome->tensors + outcome->tensors_size);
        outcome->tensors_size += size;
    }
    return true;
}

/* Feeds the message, at most slice_bytes at a time. */
static bool feed(struct outcome *outcome, struct span message, size_t slice_bytes, size_t refuse_at)
{
    *outcome = (struct outcome){.refuse_at = refuse_at};
    buf_init(&outcome->head, HEAD_BYTES);
    infer_scan_init(&outcome->scan, &outcome->head, message.size);
    while (message.size) {
        struct room room = infer_scan_room(&outcome->scan);
        size_t count = room.size < message.size ? room.size : message.size;
        count = count < slice_bytes ? count : slice_bytes;
        if (count == 0)
            return error_no_memory(&outcome->error);
        memcpy(room.data, message.data, count);
        message = span_after(message, count);
        if (!infer_scan_advance(&outcome->scan, count, &outcome->error) || !place(outcome))
            return false;
    }
    return infer_scan_complete(&outcome->scan) ||
           error_set(&outcome->error, ERROR_INVALID_ARGUMENT, "cut");
}

static void splits(struct span message, struct span head, struct span tensors, size_t tensor_count)
{
    for (size_t slice = 1; slice <= message.size; slice++) {
        struct outcome outcome;
        assert_true(feed(&outcome, message, slice, SIZE_MAX));
        assert_true(span_equal(buf_span(&outcome.head), head));
        assert_true(span_equal((struct span){outcome.tensors, outcome.tensors_size}, tensors));
        assert_int_equal(outcome.scan.tensor_count, tensor_count);
        buf_fini(&outcome.head);
    }
}

static void refuses(struct span message, enum error_code code)
{
    for (size_t slice = 1; slice <= message.size; slice++) {
        struct outcome outcome;
        assert_false(feed(&outcome, message, slice, SIZE_MAX));
        assert_int_equal(outcome.error.code, code);
        buf_fini(&outcome.head);
    }
}

static void tensors_leave_the_head(void **state)
{
    splits(SPAN(NAME INPUT INPUT TENSOR TENSOR), SPAN(NAME INPUT INPUT), SPAN("abcabc"), 2);
    splits(SPAN(NAME TENSOR INPUT TENSOR "\x1a\x01i"), SPAN(NAME INPUT "\x1a\x01i"), SPAN("abcabc"),
           2);
    splits(SPAN(NAME EMPTY TENSOR), SPAN(NAME), SPAN("abc"), 2);
    splits(SPAN(NAME "\xba\x00\x03"
                     "abc"),
           SPAN(NAME), SPAN("abc"), 1); /* a tag of two bytes */
}

static void every_wire_type_goes_to_the_head(void **state)
{
    struct span message = SPAN("\xa0\x06\x96\x01\xa9\x06TENBYTES\xb2\x06\x00\xbd\x06NINE" NAME);
    splits(message, message, SPAN(""), 0);
}

static void what_is_no_message_is_refused(void **state)
{
    refuses(SPAN(NAME "\x3b"), ERROR_INVALID_ARGUMENT); /* a group */
    refuses(SPAN("\x02\x00"), ERROR_INVALID_ARGUMENT);  /* field 0 */
    refuses(SPAN("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
            ERROR_INVALID_ARGUMENT); /* over 64 bits */
    refuses(SPAN(NAME "\x3a\x04"
                      "abc"),
            ERROR_INVALID_ARGUMENT);                    /* longer than the rest */
    refuses(SPAN(NAME "\x0a"), ERROR_INVALID_ARGUMENT); /* cut */
    refuses(SPAN("\x0a\x41"
                 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefX"),
            ERROR_RESOURCE_EXHAUSTED); /* the head is full */
}

static void no_room_for_a_tensor_ends_the_scan(void **state)
{
    struct outcome outcome;
    assert_false(feed(&outcome, SPAN(NAME TENSOR TENSOR), 100, 1));
    assert_int_equal(outcome.error.code, ERROR_RESOURCE_EXHAUSTED);
    buf_fini(&outcome.head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_leave_the_head),
        cmocka_unit_test(every_wire_type_goes_to_the_head),
        cmocka_unit_test(what_is_no_message_is_refused),
        cmocka_unit_test(no_room_for_a_tensor_ends_the_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
