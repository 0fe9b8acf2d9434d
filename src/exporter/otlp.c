/* OTLP; see otlp.h. */
#include "exporter/otlp.h"

#include "base/utf8.h"
#include "codec/otlp.pb.h"
#include "telemetry/random.h"

enum { BATCH_ARENA_BYTES = 64 << 20, ATTRIBUTES = 16 };

struct encoding {
    struct arena arena;
    struct otlp_span *spans;
    size_t count, capacity;
};

/* The text, with "?" for each byte that is no part of a UTF-8 character. */
static struct span clean(struct arena *arena, struct span text)
{
    struct span copy;
    if (utf8_valid(text))
        return text;
    if (!arena_copy(arena, text, &copy))
        return SPAN("");
    char *at = (char *)(uintptr_t)copy.data, *end = at + copy.size;
    while (at < end) {
        size_t size = utf8_char_size(at, end);
        if (size == 0)
            *at = '?';
        at += size ? size : 1;
    }
    return copy;
}

/* ---- attributes ---- */

struct attributes {
    struct arena *arena;
    struct otlp_key_value *items;
    struct otlp_any_value *values;
    uint32_t count;
};

static bool attributes_init(struct attributes *attributes, struct arena *arena, size_t most)
{
    *attributes = (struct attributes){
        .arena = arena,
        .items = arena_calloc(arena, most, sizeof *attributes->items),
        .values = arena_calloc(arena, most, sizeof *attributes->values),
    };
    return attributes->items && attributes->values;
}

static struct otlp_any_value *next(struct attributes *attributes, struct span key)
{
    struct otlp_any_value *value = &attributes->values[attributes->count];
    attributes->items[attributes->count++] = (struct otlp_key_value){key, value};
    return value;
}

static void put_text(struct attributes *attributes, struct span key, struct span text)
{
    if (text.size)
        *next(attributes, key) = (struct otlp_any_value){
            .which_value = 1, .string_value = clean(attributes->arena, text)};
}

static void put_number(struct attributes *attributes, struct span key, int64_t number)
{
    *next(attributes, key) = (struct otlp_any_value){.which_value = 3, .int_value = number};
}

/* "127.0.0.1:5000" or "[::1]:5000" is a host and a port; "unix" is neither. */
static void put_peer(struct attributes *attributes, struct span peer)
{
    const char *colon = peer.size ? memrchr(peer.data, ':', peer.size) : NULL;
    uint64_t port;
    if (!colon)
        return;
    struct span host = {peer.data, (size_t)(colon - peer.data)};
    if (host.size > 2 && host.data[0] == '[')
        host = (struct span){host.data + 1, host.size - 2};
    put_text(attributes, SPAN("client.address"), host);
    if (span_to_u64(span_after(peer, (size_t)(colon - peer.data) + 1), &port))
        put_number(attributes, SPAN("client.port"), (int64_t)port);
}

static void put_http(struct attributes *attributes, const struct span_record *record)
{
    put_text(attributes, SPAN("http.request.method"), record->texts[SPAN_TEXT_METHOD]);
    put_text(attributes, SPAN("url.path"), record->texts[SPAN_TEXT_PATH]);
    put_text(attributes, SPAN("http.route"), record->texts[SPAN_TEXT_ROUTE]);
    if (record->status)
        put_number(attributes, SPAN("http.response.status_code"), record->status);
}

/* "/package.Service/Method" */
static void put_rpc(struct attributes *attributes, const struct span_record *record)
{
    struct span rest = record->texts[SPAN_TEXT_PATH];
    span_split(&rest, '/');
    struct span service = rest.data ? span_split(&rest, '/') : (struct span){NULL, 0};
    put_text(attributes, SPAN("rpc.system"), SPAN("grpc"));
    put_text(attributes, SPAN("rpc.service"), service);
    put_text(attributes, SPAN("rpc.method"), rest);
    put_number(attributes, SPAN("rpc.grpc.status_code"), record->grpc_status);
}

static void put_error_type(struct attributes *attributes, const struct span_record *record)
{
    int64_t code = record->flags & SPAN_RPC ? record->grpc_status : (int64_t)record->status;
    char *text = arena_printf(attributes->arena, "%lld", (long long)code);
    if (record->flags & SPAN_FAILED)
        put_text(attributes, SPAN("error.type"), span_of(text));
}

static bool put_attributes(struct arena *arena, const struct span_record *record,
                           struct otlp_span *span)
{
    struct attributes attributes;
    if (!attributes_init(&attributes, arena, ATTRIBUTES))
        return false;
    if (record->flags & SPAN_SERVER) {
        if (record->flags & SPAN_RPC)
            put_rpc(&attributes, record);
        else
            put_http(&attributes, record);
        put_text(&attributes, SPAN("network.protocol.version"), record->texts[SPAN_TEXT_PROTOCOL]);
        put_peer(&attributes, record->texts[SPAN_TEXT_PEER]);
    }
    put_text(&attributes, SPAN("tensord.model.name"), record->texts[SPAN_TEXT_MODEL]);
    put_text(&attributes, SPAN("tensord.model.version"), record->texts[SPAN_TEXT_VERSION]);
    put_text(&attributes, SPAN("tensord.request.id"), record->texts[SPAN_TEXT_REQUEST_ID]);
    put_error_type(&attributes, record);
    span->attributes.items = attributes.items;
    span->attributes.count = attributes.count;
    return true;
}

/* ---- spans ---- */

static struct otlp_span *add_span(struct encoding *encoding)
{
    if (!arena_grow(&encoding->arena, (void **)&encoding->spans, encoding->count,
                    &encoding->capacity, sizeof *encoding->spans))
        return NULL;
    struct otlp_span *span = &encoding->spans[encoding->count++];
    *span = (struct otlp_span){.kind = OTLP_SPAN_SPAN_KIND_INTERNAL};
    return span;
}

static struct span id_of(struct arena *arena, const uint8_t *id, size_t size)
{
    struct span copy = {NULL, 0};
    arena_copy(arena, (struct span){(const char *)id, size}, &copy);
    return copy;
}

static bool has_parent(const struct span_record *record)
{
    static const uint8_t none[SPAN_ID_BYTES];
    return memcmp(record->parent_id, none, sizeof none) != 0;
}

static bool add_request(struct encoding *encoding, const struct span_record *record)
{
    struct arena *arena = &encoding->arena;
    struct otlp_span *span = add_span(encoding);
    struct otlp_status *status = arena_calloc(arena, 1, sizeof *status);
    if (!span || !status)
        return false;
    span->trace_id = id_of(arena, record->trace_id, TRACE_ID_BYTES);
    span->span_id = id_of(arena, record->span_id, SPAN_ID_BYTES);
    if (has_parent(record))
        span->parent_span_id = id_of(arena, record->parent_id, SPAN_ID_BYTES);
    span->trace_state = clean(arena, record->texts[SPAN_TEXT_STATE]);
    span->name = clean(arena, record->texts[SPAN_TEXT_NAME]);
    if (record->flags & SPAN_SERVER)
        span->kind = OTLP_SPAN_SPAN_KIND_SERVER;
    span->start_time_unix_nano = record->start_ns;
    span->end_time_unix_nano = record->start_ns + record->stages_ns[STAGE_total];
    if (record->flags & SPAN_FAILED) {
        status->code = OTLP_STATUS_STATUS_CODE_ERROR;
        status->message = clean(arena, record->texts[SPAN_TEXT_FAILURE]);
        span->status = status;
    }
    return put_attributes(arena, record, span);
}

/* One stage after the other, below the request's span. */
static bool add_stages(struct encoding *encoding, const struct span_record *record)
{
#define STAGE_NAME(name, what) SPAN(#name),
    static const struct span names[] = {STAGES(STAGE_NAME)};
    uint64_t start_ns = record->start_ns;
    for (int stage = 0; stage < STAGE_total; stage++) {
        uint64_t end_ns = start_ns + record->stages_ns[stage];
        uint8_t id[SPAN_ID_BYTES];
        if (end_ns == start_ns)
            continue; /* it did not come to that */
        struct otlp_span *span = add_span(encoding);
        if (!span)
            return false;
        random_id(id, sizeof id);
        span->trace_id = id_of(&encoding->arena, record->trace_id, TRACE_ID_BYTES);
        span->span_id = id_of(&encoding->arena, id, sizeof id);
        span->parent_span_id = id_of(&encoding->arena, record->span_id, SPAN_ID_BYTES);
        span->name = names[stage];
        span->start_time_unix_nano = start_ns;
        span->end_time_unix_nano = end_ns;
        start_ns = end_ns;
    }
    return true;
}

static bool add_records(struct encoding *encoding, struct span records, size_t limit,
                        size_t *ret_bytes, size_t *ret_count, struct error *ret_error)
{
    struct span_record record;
    size_t size, bytes = 0, count = 0;
    bool broken = false;
    while (count < limit && span_record_read(records, &record, &size, &broken)) {
        if (!add_request(encoding, &record) ||
            ((record.flags & SPAN_STAGED) && !add_stages(encoding, &record)))
            return error_no_memory(ret_error);
        records = span_after(records, size);
        bytes += size;
        count++;
    }
    if (broken)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "a record is not sound");
    *ret_bytes = bytes;
    *ret_count = count;
    return true;
}

static bool encode(struct encoding *encoding, const struct parameter *attributes,
                   size_t attribute_count, struct buf *to)
{
    struct attributes resource_attributes;
    if (!attributes_init(&resource_attributes, &encoding->arena, attribute_count))
        return false;
    for (size_t i = 0; i < attribute_count; i++)
        put_text(&resource_attributes, clean(&encoding->arena, attributes[i].key),
                 attributes[i].value);
    struct otlp_resource resource = {
        .attributes = {.items = resource_attributes.items, .count = resource_attributes.count}};
    struct otlp_instrumentation_scope scope = {SPAN("tensord"), SPAN(TENSORD_VERSION)};
    struct otlp_scope_spans scope_spans = {
        .scope = &scope, .spans = {.items = encoding->spans, .count = (uint32_t)encoding->count}};
    struct otlp_resource_spans resource_spans = {
        .resource = &resource, .scope_spans = {.items = &scope_spans, .count = 1}};
    struct otlp_export_trace_service_request request = {
        .resource_spans = {.items = &resource_spans, .count = 1}};
    return pb_encode(&otlp_export_trace_service_request_pb, &request, to);
}

bool otlp_encode(struct span records, size_t limit, const struct parameter *attributes,
                 size_t attribute_count, struct buf *to, size_t *ret_bytes, size_t *ret_count,
                 struct error *ret_error)
{
    struct encoding encoding = {0};
    arena_init(&encoding.arena, 64 * 1024, BATCH_ARENA_BYTES);
    bool good = add_records(&encoding, records, limit, ret_bytes, ret_count, ret_error);
    if (good && !encode(&encoding, attributes, attribute_count, to))
        good = error_no_memory(ret_error);
    arena_fini(&encoding.arena);
    return good;
}
