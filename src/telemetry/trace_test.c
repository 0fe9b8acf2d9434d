/* Unit tests of telemetry/trace_setting.h, span_record.h and tracer.h. */
#include "telemetry/tracer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct trace_setting setting(double ratio)
{
    return (struct trace_setting){true, true, true, true, ratio, -1};
}

static bool decide(struct trace_setting *server, struct trace_setting *own, bool follow,
                   struct trace_context context)
{
    trace_setting_decide(server, own, follow, &context);
    return context.sampled;
}

static void a_share_of_the_requests_is_chosen(void **state)
{
    struct trace_setting server = setting(0.25);
    int chosen = 0;
    for (int i = 0; i < 20000; i++)
        chosen += decide(&server, NULL, true, (struct trace_context){0});
    assert_in_range(chosen, 4500, 5500);
    server.ratio = 0;
    assert_false(decide(&server, NULL, true, (struct trace_context){0}));
    server.ratio = 1;
    assert_true(decide(&server, NULL, true, (struct trace_context){0}));
}

/* All who sample by the id choose the same traces. */
static void the_id_decides(void **state)
{
    struct trace_setting server = setting(0.5);
    struct trace_context low = {.trace_id = {1}, .remote = true}, high = low;
    high.trace_id[8] = 0x80;
    assert_true(decide(&server, NULL, false, low));
    assert_false(decide(&server, NULL, false, high));
}

static void a_caller_is_followed(void **state)
{
    struct trace_setting server = setting(0);
    struct trace_context sampled = {.trace_id = {1}, .remote = true, .sampled = true};
    struct trace_context unsampled = {.trace_id = {1}, .remote = true};
    assert_true(decide(&server, NULL, true, sampled));
    assert_false(decide(&server, NULL, false, sampled));
    server.ratio = 1;
    assert_false(decide(&server, NULL, true, unsampled));
    server.on = false;
    assert_false(decide(&server, NULL, true, sampled));
}

static void a_model_has_its_own_say(void **state)
{
    struct trace_setting server = setting(1), own = {.has_on = true, .on = false};
    assert_false(decide(&server, &own, true, (struct trace_context){0}));
    own = (struct trace_setting){.has_count = true, .count = 2};
    for (int i = 0; i < 4; i++)
        assert_int_equal(decide(&server, &own, true, (struct trace_context){0}), i < 2);
    assert_int_equal(server.count, -1);
    server.count = 1;
    assert_true(decide(&server, NULL, true, (struct trace_context){0}));
    assert_false(decide(&server, NULL, true, (struct trace_context){0}));
}

static void a_decision_is_made_once(void **state)
{
    struct trace_setting server = setting(1);
    struct trace_context context = {0}, first;
    trace_setting_decide(&server, NULL, true, &context);
    first = context;
    trace_setting_decide(&server, NULL, true, &context);
    assert_memory_equal(&first, &context, sizeof first);
    server = setting(0.1);
    assert_int_equal(trace_setting_rate(&server), 10);
    server = setting(1e-300); /* as OTEL_TRACES_SAMPLER_ARG may have it */
    assert_int_equal(trace_setting_rate(&server), TRACE_RATE_MAX);
    server = setting(0);
    assert_int_equal(trace_setting_rate(&server), 0);
}

static struct span_record record_of(const char *name)
{
    struct span_record record = {.trace_id = {1, 2},
                                 .flags = SPAN_SERVER | SPAN_FAILED,
                                 .status = 503,
                                 .grpc_status = -1,
                                 .start_ns = 77};
    record.stages_ns[STAGE_total] = 1000;
    record.texts[SPAN_TEXT_NAME] = span_of(name);
    record.texts[SPAN_TEXT_FAILURE] = SPAN("no room");
    return record;
}

static void records_come_back_as_they_went(void **state)
{
    struct buf buf;
    struct span_record record = record_of("POST /x"), got;
    size_t size;
    bool broken;
    buf_init(&buf, 1 << 16);
    assert_true(span_record_write(&buf, &record));
    assert_true(span_record_write(&buf, &record));
    for (size_t cut = 0; cut < buf.size / 2; cut++) {
        assert_false(span_record_read((struct span){buf.data, cut}, &got, &size, &broken));
        assert_false(broken);
    }
    assert_true(span_record_read(buf_span(&buf), &got, &size, &broken));
    assert_int_equal(size, buf.size / 2);
    assert_int_equal(got.status, 503);
    assert_int_equal(got.stages_ns[STAGE_total], 1000);
    assert_true(span_equal(got.texts[SPAN_TEXT_NAME], SPAN("POST /x")));
    assert_true(span_equal(got.texts[SPAN_TEXT_FAILURE], SPAN("no room")));
    assert_int_equal(got.texts[SPAN_TEXT_MODEL].size, 0);
    buf.data[0] ^= 1; /* the size */
    assert_false(span_record_read(buf_span(&buf), &got, &size, &broken));
    assert_true(broken);
    buf_fini(&buf);
}

static unsigned woken;

static void wake(void *context)
{
    woken++;
}

/* Reads records from a stream until none is left; returns how many. */
static unsigned read_records(int fd)
{
    static char bytes[1 << 20];
    static size_t have;
    struct span_record record;
    size_t size;
    bool broken;
    unsigned count = 0;
    for (ssize_t got; (got = recv(fd, bytes + have, sizeof bytes - have, MSG_DONTWAIT)) > 0;) {
        have += (size_t)got;
        while (span_record_read((struct span){bytes, have}, &record, &size, &broken)) {
            memmove(bytes, bytes + size, have -= size);
            count++;
        }
        assert_false(broken);
    }
    return count;
}

static void a_slow_reader_costs_records_and_no_time(void **state)
{
    struct tracer tracer;
    struct trace_setting all = setting(1);
    struct span_record record = record_of("POST /x");
    int pair[2];
    unsigned added = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    memset(&metrics, 0, sizeof metrics);
    tracer_init(&tracer, &all, true);
    tracer.wake = wake;
    while (metrics.spans[SPAN_DROPPED] < 10) { /* first the socket fills, then the buffer */
        tracer_add(&tracer, &record);
        assert_true(tracer_flush(&tracer, pair[0]));
        added++;
    }
    assert_true(woken > 0);
    assert_int_equal(metrics.spans[SPAN_QUEUED], added - 10);
    unsigned seen = 0;
    while (tracer.waiting.size) {
        seen += read_records(pair[1]);
        assert_true(tracer_flush(&tracer, pair[0]));
    }
    assert_int_equal(seen + read_records(pair[1]), added - 10);
    close(pair[1]);
    tracer_add(&tracer, &record);
    assert_false(tracer_flush(&tracer, pair[0]));
    close(pair[0]);
    tracer_fini(&tracer);
}

static void nothing_is_traced_without_an_exporter(void **state)
{
    struct tracer tracer;
    struct trace_context context = {.remote = true, .sampled = true, .trace_id = {1}};
    tracer_init(&tracer, NULL, true);
    tracer_decide(&tracer, NULL, &context);
    assert_true(context.decided); /* the caller's flag is handed on */
    assert_false(tracer.available);
    tracer_fini(&tracer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_of_the_requests_is_chosen),
        cmocka_unit_test(the_id_decides),
        cmocka_unit_test(a_caller_is_followed),
        cmocka_unit_test(a_model_has_its_own_say),
        cmocka_unit_test(a_decision_is_made_once),
        cmocka_unit_test(records_come_back_as_they_went),
        cmocka_unit_test(a_slow_reader_costs_records_and_no_time),
        cmocka_unit_test(nothing_is_traced_without_an_exporter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
