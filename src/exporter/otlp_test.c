/* Unit tests of exporter/otlp.h; tests/test_tracing.py decodes with OpenTelemetry's own classes. */
#include "exporter/otlp.h"

#include "codec/otlp.pb.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct buf records, body;
static struct arena arena;
static struct error error;

static int setup(void **state)
{
    buf_init(&records, 1 << 20);
    buf_init(&body, 1 << 20);
    arena_init(&arena, 4096, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    buf_fini(&records);
    buf_fini(&body);
    arena_fini(&arena);
    return 0;
}

static struct span_record inference(void)
{
    struct span_record record = {.trace_id = {1},
                                 .span_id = {2},
                                 .parent_id = {3},
                                 .flags = SPAN_SERVER | SPAN_STAGED,
                                 .status = 200,
                                 .grpc_status = -1,
                                 .start_ns = 1000,
                                 .stages_ns = {10, 20, 0, 40, 50, 120}};
    record.texts[SPAN_TEXT_NAME] = SPAN("POST /x");
    record.texts[SPAN_TEXT_PATH] = SPAN("/x\xff\xc3\xa9");
    record.texts[SPAN_TEXT_PEER] = SPAN("[::1]:77");
    return record;
}

/* Encodes what is in `records` and reads it back. */
static const struct otlp_scope_spans *encode(size_t limit, size_t expected)
{
    const struct parameter resource = {.key = SPAN("service.name"), .value = SPAN("me\xfe")};
    static struct otlp_export_trace_service_request request;
    size_t bytes, count;
    buf_clear(&body);
    assert_true(
        otlp_encode(buf_span(&records), limit, &resource, 1, &body, &bytes, &count, &error));
    assert_int_equal(count, expected);
    assert_true(pb_decode(&otlp_export_trace_service_request_pb, buf_span(&body), &arena, &request,
                          &error));
    assert_int_equal(request.resource_spans.count, 1);
    const struct otlp_resource_spans *spans = request.resource_spans.items;
    assert_true(span_equal(spans->resource->attributes.items[0].value->string_value, SPAN("me?")));
    assert_int_equal(spans->scope_spans.count, 1);
    return spans->scope_spans.items;
}

static const struct otlp_any_value *attribute(const struct otlp_span *span, const char *key)
{
    for (uint32_t i = 0; i < span->attributes.count; i++) {
        if (span_equal(span->attributes.items[i].key, span_of(key)))
            return span->attributes.items[i].value;
    }
    return NULL;
}

static void a_request_has_its_stages_below_it(void **state)
{
    struct span_record record = inference();
    assert_true(span_record_write(&records, &record));
    const struct otlp_scope_spans *scope = encode(10, 1);
    assert_int_equal(scope->spans.count, 5); /* batch took no time: it is left out */
    const struct otlp_span *spans = scope->spans.items;
    assert_int_equal(spans[0].kind, OTLP_SPAN_SPAN_KIND_SERVER);
    assert_int_equal(spans[0].end_time_unix_nano, 1120);
    assert_int_equal(spans[0].parent_span_id.size, SPAN_ID_BYTES);
    assert_true(span_equal(spans[2].name, SPAN("queue")));
    assert_int_equal(spans[2].start_time_unix_nano, 1010);
    assert_int_equal(spans[3].end_time_unix_nano, 1070);
    assert_true(span_equal(spans[3].parent_span_id, spans[0].span_id));
    assert_true(span_equal(attribute(&spans[0], "url.path")->string_value, SPAN("/x?\xc3\xa9")));
    assert_true(span_equal(attribute(&spans[0], "client.address")->string_value, SPAN("::1")));
    assert_int_equal(attribute(&spans[0], "client.port")->int_value, 77);
    assert_int_equal(attribute(&spans[0], "http.response.status_code")->int_value, 200);
    assert_null(attribute(&spans[0], "error.type"));
}

static void a_failed_call_says_so(void **state)
{
    struct span_record record = {.trace_id = {1},
                                 .flags = SPAN_SERVER | SPAN_RPC | SPAN_FAILED,
                                 .status = 200,
                                 .grpc_status = 14};
    record.texts[SPAN_TEXT_PATH] = SPAN("/a.B/C");
    record.texts[SPAN_TEXT_FAILURE] = SPAN("no room");
    assert_true(span_record_write(&records, &record));
    const struct otlp_span *span = encode(10, 1)->spans.items;
    assert_int_equal(span->status->code, OTLP_STATUS_STATUS_CODE_ERROR);
    assert_true(span_equal(span->status->message, SPAN("no room")));
    assert_true(span_equal(attribute(span, "rpc.service")->string_value, SPAN("a.B")));
    assert_true(span_equal(attribute(span, "rpc.method")->string_value, SPAN("C")));
    assert_int_equal(attribute(span, "rpc.grpc.status_code")->int_value, 14);
    assert_true(span_equal(attribute(span, "error.type")->string_value, SPAN("14")));
    assert_int_equal(span->parent_span_id.size, 0);
}

static void a_batch_ends_at_its_limit_and_at_a_part_of_a_record(void **state)
{
    struct span_record record = inference();
    for (int i = 0; i < 3; i++)
        assert_true(span_record_write(&records, &record));
    encode(2, 2);
    records.size--;
    encode(10, 2);
}

static void a_record_that_is_not_sound_is_refused(void **state)
{
    struct span_record record = inference();
    size_t bytes, count;
    assert_true(span_record_write(&records, &record));
    records.data[0] ^= 1;
    assert_false(otlp_encode(buf_span(&records), 10, NULL, 0, &body, &bytes, &count, &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_has_its_stages_below_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_call_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_ends_at_its_limit_and_at_a_part_of_a_record, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_record_that_is_not_sound_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
