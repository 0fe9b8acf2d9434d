/* Messages out of a call's body; see grpc.h. Pure.
 *
 * A compressed message is received piece by piece into a small buffer and decompressed from there,
 * so that a turn of the loop decompresses no more than it has received. */
#include "protocol/grpc.h"

#include "protocol/message_memory.h"
#include "telemetry/metrics.h"

#include <assert.h>
#include <stdlib.h>

enum { PIECE_BYTES = 16 * 1024 };

struct grpc_inflater {
    struct zip_reader *zip;
    char piece[PIECE_BYTES];
};

static enum grpc_encoding encoding_of(struct span name)
{
    if (!name.size || span_equal_nocase(name, SPAN("identity")))
        return GRPC_IDENTITY;
    if (span_equal_nocase(name, SPAN("gzip")))
        return GRPC_GZIP;
    return span_equal_nocase(name, SPAN("deflate")) ? GRPC_DEFLATE : GRPC_OTHER;
}

void grpc_reader_init(struct grpc_reader *reader, const struct http_request *request,
                      size_t limit_bytes)
{
    *reader = (struct grpc_reader){
        .limit_bytes = limit_bytes,
        .encoding = encoding_of(http_field(request, SPAN("grpc-encoding"))),
    };
    buf_init(&reader->plain, limit_bytes);
}

void grpc_reader_fini(struct grpc_reader *reader)
{
    buf_fini(&reader->plain);
    if (!reader->inflater)
        return;
    zip_reader_free(reader->inflater->zip);
    free(reader->inflater);
    reader->inflater = NULL;
}

struct room grpc_reader_room(struct grpc_reader *reader)
{
    if (!reader->left_bytes)
        return (struct room){reader->prefix + reader->prefix_count,
                             (size_t)GRPC_PREFIX_BYTES - reader->prefix_count};
    if (!reader->compressed)
        return (struct room){0};
    return (struct room){reader->inflater->piece,
                         reader->left_bytes < PIECE_BYTES ? reader->left_bytes : PIECE_BYTES};
}

static bool prepare_inflater(struct grpc_reader *reader)
{
    struct grpc_inflater *inflater = reader->inflater;
    if (inflater) {
        zip_reader_reset(inflater->zip);
        return true;
    }
    inflater = malloc(sizeof *inflater);
    if (!inflater)
        return false;
    inflater->zip = zip_reader_new(reader->encoding == GRPC_GZIP ? ZIP_GZIP : ZIP_DEFLATE);
    if (!inflater->zip) {
        free(inflater);
        return false;
    }
    reader->inflater = inflater;
    return true;
}

static bool start_compressed(struct grpc_reader *reader, struct error *ret_error)
{
    if (reader->encoding == GRPC_IDENTITY)
        return error_set(ret_error, ERROR_INTERNAL,
                         "the message is compressed, but the call names no grpc-encoding");
    buf_clear(&reader->plain);
    return prepare_inflater(reader) || error_no_memory(ret_error);
}

/* A prefix is complete: one byte of flags, then the length in network order. */
static enum grpc_read start_message(struct grpc_reader *reader, struct error *ret_error)
{
    const unsigned char *p = (const unsigned char *)reader->prefix;
    uint32_t size = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    reader->prefix_count = 0;
    reader->compressed = p[0] == 1;
    if (p[0] > 1)
        error_set(ret_error, ERROR_INTERNAL, "the message's flags are 0x%02x", p[0]);
    else if (reader->encoding == GRPC_OTHER) /* whatever the flag says: the client relies on it */
        error_set(ret_error, ERROR_UNIMPLEMENTED,
                  "the grpc-encoding is not supported; gzip and deflate are");
    else if (size > reader->limit_bytes) {
        limit_hit(LIMIT_max_body_mib);
        error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                  "the message has %u bytes, more than the limit of %zu", size,
                  reader->limit_bytes);
    } else if (!reader->compressed || start_compressed(reader, ret_error)) {
        reader->size_bytes = reader->left_bytes = size;
        if (!size)
            return GRPC_READ_MESSAGE; /* nothing, compressed, is still nothing */
        return reader->compressed ? GRPC_READ_MORE : GRPC_READ_STARTED;
    }
    return GRPC_READ_ERROR;
}

/* A part of a compressed message is in the inflater's piece. To whoever sent it, damage is a fault
 * of its own library's: INTERNAL, as elsewhere. */
static enum grpc_read inflate_piece(struct grpc_reader *reader, size_t count,
                                    struct error *ret_error)
{
    struct error error;
    struct span piece = {reader->inflater->piece, count};
    reader->left_bytes -= (uint32_t)count;
    if (zip_read(reader->inflater->zip, piece, &reader->plain, &error) &&
        (reader->left_bytes || zip_read_end(reader->inflater->zip, &error)))
        return reader->left_bytes ? GRPC_READ_MORE : GRPC_READ_MESSAGE;
    if (error.code == ERROR_INVALID_ARGUMENT)
        error.code = ERROR_INTERNAL;
    if (reader->plain.unaffordable)
        message_no_memory(&reader->plain, &error);
    if (ret_error)
        *ret_error = error;
    return GRPC_READ_ERROR;
}

enum grpc_read grpc_reader_advance(struct grpc_reader *reader, size_t count,
                                   struct error *ret_error)
{
    if (reader->left_bytes) {
        assert(count <= reader->left_bytes);
        if (reader->compressed)
            return inflate_piece(reader, count, ret_error);
        reader->left_bytes -= (uint32_t)count;
        return reader->left_bytes ? GRPC_READ_MORE : GRPC_READ_MESSAGE;
    }
    assert(count <= (size_t)GRPC_PREFIX_BYTES - reader->prefix_count);
    reader->prefix_count = (uint8_t)(reader->prefix_count + count);
    return reader->prefix_count < GRPC_PREFIX_BYTES ? GRPC_READ_MORE
                                                    : start_message(reader, ret_error);
}

void grpc_reader_message(struct grpc_reader *reader, struct buf *message)
{
    if (!reader->compressed)
        return;
    buf_fini(message);
    *message = reader->plain;
    buf_init_within(&reader->plain, message->limit_bytes, message->budget);
}

bool grpc_reader_idle(const struct grpc_reader *reader)
{
    return !reader->left_bytes && !reader->prefix_count;
}

bool grpc_reader_end(const struct grpc_reader *reader, struct error *ret_error)
{
    if (!grpc_reader_idle(reader))
        return error_set(ret_error, ERROR_INTERNAL, "the request ends inside a message");
    return true;
}
