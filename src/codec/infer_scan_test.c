/* Unit tests of codec/infer_scan.h. */
#include "codec/infer_scan.h"

#include "codec/inference.pb.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NAME "\x0a\x01m"
#define VERSION "\x12\x01\x31"
#define INPUT "\x2a\x03\x0a\x01x"
#define SMALL "\x3a\x03\x61\x62\x63"
#define LARGE "\x3a\x0a\x30\x31\x32\x33\x34\x35\x36\x37\x38\x39"
#define TEN "0123456789"

/* A scan and what came of it. */
struct outcome {
    struct infer_scan scan;
    struct error error;
    char outside[64]; /* all payloads that went outside, one after the other */
    size_t payloads_size, payload_start;
    size_t room_bytes;   /* what is given at once */
    size_t refusals;     /* how often there is no room, first */
    size_t head_at_room; /* bytes of the head when room was first asked for */
};

static struct room give_room(void *context, size_t index, uint64_t size, uint64_t offset)
{
    struct outcome *outcome = context;
    if (outcome->refusals) {
        outcome->refusals--;
        return (struct room){NULL, 0};
    }
    if (outcome->payloads_size == 0)
        outcome->head_at_room = outcome->scan.head.size;
    if (offset == 0) {
        outcome->payload_start = outcome->payloads_size;
        outcome->payloads_size += (size_t)size;
        assert_true(outcome->payloads_size <= sizeof outcome->outside);
    }
    size_t left = (size_t)(size - offset);
    return (struct room){outcome->outside + outcome->payload_start + offset,
                         left < outcome->room_bytes ? left : outcome->room_bytes};
}

static void begin(struct outcome *outcome, size_t message_bytes)
{
    static const struct outcome empty = {.room_bytes = 64};
    const struct infer_scan_limits limits = {message_bytes, 64, 8};
    const struct infer_scan_rooms rooms = {outcome, give_room};
    *outcome = empty;
    infer_scan_init(&outcome->scan, &limits, &rooms);
}

/* Feeds the message in slices; tries again where there was no room. */
static bool feed(struct outcome *outcome, struct span message, size_t slice_bytes)
{
    while (message.size) {
        struct span slice = {message.data, message.size < slice_bytes ? message.size : slice_bytes};
        size_t taken;
        if (!infer_scan_feed(&outcome->scan, slice, &taken, &outcome->error))
            return false;
        message = span_after(message, taken);
    }
    return infer_scan_end(&outcome->scan, &outcome->error);
}

/* Whatever the slices, the head and the payloads are these. */
static void splits(struct span message, struct span head, struct span outside)
{
    for (size_t slice = 1; slice <= message.size; slice++) {
        for (size_t room = 1; room <= 10; room += 3) {
            struct outcome outcome;
            begin(&outcome, message.size);
            outcome.room_bytes = room;
            outcome.refusals = slice % 3;
            assert_true(feed(&outcome, message, slice));
            assert_true(span_equal(buf_span(&outcome.scan.head), head));
            assert_int_equal(outcome.payloads_size, outside.size);
            assert_memory_equal(outcome.outside, outside.data, outside.size);
            infer_scan_fini(&outcome.scan);
        }
    }
}

/* Whatever the slices, the message is refused with this. */
static void refuses(struct span message, size_t message_bytes, enum error_code code,
                    const char *what)
{
    for (size_t slice = 1; slice <= message.size; slice++) {
        struct outcome outcome;
        begin(&outcome, message_bytes);
        assert_false(feed(&outcome, message, slice));
        assert_int_equal(outcome.error.code, code);
        if (!strstr(outcome.error.message, what))
            fail_msg("\"%s\" does not say \"%s\"", outcome.error.message, what);
        infer_scan_fini(&outcome.scan);
    }
}

static void large_payloads_leave_the_head(void **state)
{
    splits(SPAN(NAME INPUT INPUT LARGE LARGE), SPAN(NAME INPUT INPUT), SPAN(TEN TEN));
    splits(SPAN(NAME INPUT LARGE SMALL LARGE), SPAN(NAME INPUT SMALL), SPAN(TEN TEN));
    splits(SPAN(NAME INPUT LARGE INPUT LARGE "\x1a\x01i"), SPAN(NAME INPUT INPUT "\x1a\x01i"),
           SPAN(TEN TEN));
}

static void payloads_before_the_model_or_inputs_stay(void **state)
{
    splits(SPAN(LARGE NAME INPUT LARGE), SPAN(LARGE NAME INPUT), SPAN(TEN));
    splits(SPAN(NAME LARGE INPUT), SPAN(NAME LARGE INPUT), SPAN(""));
    splits(SPAN(INPUT LARGE NAME), SPAN(INPUT LARGE NAME), SPAN(""));
}

static void every_wire_type_goes_to_the_head(void **state)
{
    splits(SPAN("\xa0\x06\x96\x01\xa9\x06TENBYTES\xb2\x06\x00\xbd\x06NINE" NAME),
           SPAN("\xa0\x06\x96\x01\xa9\x06TENBYTES\xb2\x06\x00\xbd\x06NINE" NAME), SPAN(""));
}

static void the_order_of_payloads_is_remembered(void **state)
{
    struct outcome outcome;
    begin(&outcome, 1000);
    assert_true(feed(&outcome, SPAN(LARGE NAME INPUT LARGE SMALL LARGE), 1000));
    assert_int_equal(outcome.scan.raw_count, 4);
    assert_false(infer_scan_is_outside(&outcome.scan, 0));
    assert_true(infer_scan_is_outside(&outcome.scan, 1));
    assert_false(infer_scan_is_outside(&outcome.scan, 2));
    assert_true(infer_scan_is_outside(&outcome.scan, 3));
    infer_scan_fini(&outcome.scan);
}

static void the_head_can_be_decoded_when_room_is_asked_for(void **state)
{
    struct outcome outcome;
    begin(&outcome, 1000);
    assert_true(feed(&outcome, SPAN(NAME VERSION INPUT LARGE), 3));
    assert_int_equal(outcome.head_at_room, sizeof(NAME VERSION INPUT) - 1);
    struct arena arena;
    struct inference_model_infer_request request;
    arena_init(&arena, 1024, 4096);
    assert_true(pb_decode(&inference_model_infer_request_pb, buf_span(&outcome.scan.head), &arena,
                          &request, &outcome.error));
    assert_true(span_equal(request.model_name, SPAN("m")));
    assert_int_equal(request.inputs.count, 1);
    arena_fini(&arena);
    infer_scan_fini(&outcome.scan);
}

static void no_room_stops_where_it_is(void **state)
{
    struct outcome outcome;
    struct span message = SPAN(NAME INPUT LARGE);
    size_t taken;
    begin(&outcome, message.size);
    outcome.refusals = 2;
    assert_true(infer_scan_feed(&outcome.scan, message, &taken, &outcome.error));
    assert_int_equal(taken, message.size - 10);
    message = span_after(message, taken);
    assert_true(infer_scan_feed(&outcome.scan, message, &taken, &outcome.error));
    assert_int_equal(taken, 0);
    assert_true(infer_scan_feed(&outcome.scan, message, &taken, &outcome.error));
    assert_int_equal(taken, 10);
    infer_scan_fini(&outcome.scan);
}

static void broken_messages_are_refused(void **state)
{
    enum error_code code = ERROR_INVALID_ARGUMENT;
    refuses(SPAN("\x00\x01"), 2, code, "bad tag");
    refuses(SPAN("\xff\xff\xff\xff\xff\x01"), 6, code, "bad tag");
    refuses(SPAN("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 11, code, "bad varint");
    refuses(SPAN("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), 11, code, "bad varint");
    refuses(SPAN("\x0b\x0c"), 2, code, "groups are not supported");
    refuses(SPAN("\x0a\x04mmm"), 5, code, "length passes the end");
    refuses(SPAN(NAME INPUT "\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f" TEN), 30, code,
            "length passes the end");
    refuses(SPAN("\x0a\x01"), 10, code, "message is cut");
    refuses(SPAN("\x0a"), 10, code, "message is cut");
    refuses(SPAN(NAME "\xa0\x06\x96"), 10, code, "message is cut");
    refuses(SPAN(NAME INPUT LARGE NAME), 100, code, "named after");
    refuses(SPAN(NAME INPUT LARGE VERSION), 100, code, "named after");
}

static void limits_hold(void **state)
{
    refuses(SPAN("\xa0\x06\x01\xa0\x06\x01"), 5, ERROR_TOO_LARGE, "larger than 5 bytes");
    refuses(SPAN(LARGE LARGE LARGE LARGE LARGE LARGE), 100, ERROR_TOO_LARGE, "larger than 64");
    refuses(SPAN("\x2a\x3f" TEN), 100, ERROR_TOO_LARGE, "larger than 64"); /* before it is here */
    static char many[2 * (TENSOR_MAX_PER_REQUEST + 1)];
    for (size_t i = 0; i < sizeof many; i += 2)
        many[i] = 0x3a;
    struct outcome outcome;
    begin(&outcome, sizeof many);
    outcome.scan.limits.head_bytes = outcome.scan.head.limit_bytes = 1 << 20;
    assert_false(feed(&outcome, (struct span){many, sizeof many}, 100));
    assert_non_null(strstr(outcome.error.message, "at most 1024"));
    infer_scan_fini(&outcome.scan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_payloads_leave_the_head),
        cmocka_unit_test(payloads_before_the_model_or_inputs_stay),
        cmocka_unit_test(every_wire_type_goes_to_the_head),
        cmocka_unit_test(the_order_of_payloads_is_remembered),
        cmocka_unit_test(the_head_can_be_decoded_when_room_is_asked_for),
        cmocka_unit_test(no_room_stops_where_it_is),
        cmocka_unit_test(broken_messages_are_refused),
        cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
