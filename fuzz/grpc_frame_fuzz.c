/* gRPC framing: any bytes, in pieces whose sizes the first byte seeds, must be read within the
 * limit and give the same messages as when they come whole. Then the text parsers. */
#include "protocol/grpc.h"

#include "failing_allocation.h"

#include <assert.h>
#include <stdlib.h>

enum { LIMIT_BYTES = 4096 };

struct outcome {
    size_t messages, bytes;
    bool failed, complete;
    enum error_code code;
};

/* The size of the complete message, plain. */
static size_t take_message(struct grpc_reader *reader)
{
    struct buf plain;
    buf_init(&plain, LIMIT_BYTES);
    grpc_reader_message(reader, &plain);
    size_t size = reader->compressed ? plain.size : reader->size_bytes;
    buf_fini(&plain);
    return size;
}

/* Which encoding the call names: two bits of the first byte. */
static const struct span encodings[] = {SPAN("identity"), SPAN("deflate"), SPAN("gzip"), SPAN("x")};

static struct outcome read_in_pieces(struct span bytes, size_t piece, struct span name,
                                     bool without_memory)
{
    struct http_field encoding = {SPAN("grpc-encoding"), name};
    struct http_request request = {.fields = &encoding, .field_count = 1};
    struct outcome outcome = {0};
    struct grpc_reader reader;
    struct error error = {0};
    char message[LIMIT_BYTES] = {0};
    grpc_reader_init(&reader, &request, LIMIT_BYTES);
    if (without_memory)
        failing_allocation_begin((const uint8_t *)bytes.data, bytes.size);
    while (bytes.size && !outcome.failed) {
        struct room room = grpc_reader_room(&reader);
        if (!room.size)
            room =
                (struct room){message + (reader.size_bytes - reader.left_bytes), reader.left_bytes};
        size_t count = room.size < piece ? room.size : piece;
        count = count < bytes.size ? count : bytes.size;
        memcpy(room.data, bytes.data, count);
        bytes = span_after(bytes, count);
        enum grpc_read read = grpc_reader_advance(&reader, count, &error);
        outcome.failed = read == GRPC_READ_ERROR;
        outcome.messages += read == GRPC_READ_MESSAGE;
        if (read == GRPC_READ_MESSAGE)
            outcome.bytes += take_message(&reader);
    }
    failing_allocation_end();
    outcome.code = outcome.failed ? error.code : ERROR_OK;
    outcome.complete = !outcome.failed && grpc_reader_end(&reader, NULL);
    assert(reader.plain.size <= LIMIT_BYTES);
    grpc_reader_fini(&reader);
    return outcome;
}

static void parse_texts(struct span text)
{
    struct arena arena;
    struct span service, method, encoded;
    uint64_t timeout_ns;
    arena_init(&arena, 1024, 1 << 20);
    grpc_timeout_parse(text, &timeout_ns, NULL);
    if (grpc_method_split(text, &service, &method, NULL))
        assert(service.size + method.size + 2 == text.size);
    struct span binary, again;
    if (grpc_binary_decode(&arena, text, &binary, NULL)) {
        assert(grpc_binary_encode(&arena, binary, &encoded));
        assert(grpc_binary_decode(&arena, encoded, &again, NULL) && span_equal(binary, again));
    }
    if (grpc_message_encode(&arena, text, &encoded))
        assert(encoded.size >= text.size && encoded.size <= 3 * text.size);
    arena_fini(&arena);
}

/* The fields of a call's head: content-type, then grpc-timeout. */
static void parse_fields(struct span text)
{
    struct span timeout = text;
    struct http_field fields[] = {{SPAN("content-type"), span_split(&timeout, '\n')},
                                  {SPAN("grpc-timeout"), timeout}};
    struct http_request request = {.method = HTTP_POST, .fields = fields, .field_count = 2};
    uint64_t deadline_ns;
    if (grpc_is_call(&request))
        assert(fields[0].value.size >= sizeof "application/grpc" - 1);
    if (grpc_deadline(&request, 1000, &deadline_ns, NULL))
        assert(deadline_ns >= 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct span bytes = {(const char *)data + 1, size - 1};
    struct span encoding = encodings[data[0] >> 6];
    struct outcome whole = read_in_pieces(bytes, SIZE_MAX, encoding, false);
    struct outcome pieces = read_in_pieces(bytes, 1 + (data[0] & 0x3f), encoding, false);
    assert(whole.messages == pieces.messages && whole.bytes == pieces.bytes);
    assert(whole.failed == pieces.failed && whole.code == pieces.code);
    assert(whole.complete == pieces.complete);
    read_in_pieces(bytes, SIZE_MAX, encoding, true);
    parse_texts(bytes);
    parse_fields(bytes);
    return 0;
}
