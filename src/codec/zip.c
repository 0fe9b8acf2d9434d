/* zlib with our limits; see zip.h. */
#include "codec/zip.h"

#include <assert.h>
#include <stdlib.h>
#include <zlib.h>

enum {
    WINDOW_BITS = 15,
    GZIP_BITS = 16, /* added to the window's: gzip instead of zlib's own format */
    MEMORY_LEVEL = 8,
    ROOM_BYTES = 64 * 1024, /* is offered to zlib at a time */
    PIECE_BYTES = 1 << 30,  /* zlib counts in unsigned int */
};

struct zip_reader {
    z_stream zlib;
    size_t encoded_bytes, decoded_bytes; /* of the text so far */
    bool ended;
};

static int window_bits(enum zip_format format)
{
    return format == ZIP_GZIP ? WINDOW_BITS + GZIP_BITS : WINDOW_BITS;
}

struct zip_reader *zip_reader_new(enum zip_format format)
{
    struct zip_reader *reader = calloc(1, sizeof *reader);
    if (reader && inflateInit2(&reader->zlib, window_bits(format)) == Z_OK)
        return reader;
    free(reader);
    return NULL;
}

void zip_reader_free(struct zip_reader *reader)
{
    if (!reader)
        return;
    inflateEnd(&reader->zlib);
    free(reader);
}

void zip_reader_reset(struct zip_reader *reader)
{
    inflateReset(&reader->zlib);
    reader->encoded_bytes = reader->decoded_bytes = 0;
    reader->ended = false;
}

static bool is_bomb(const struct zip_reader *reader)
{
    return reader->decoded_bytes > ZIP_FREE_BYTES &&
           reader->decoded_bytes / ZIP_MAX_RATIO > reader->encoded_bytes;
}

/* Room of the buffer, as much as its limit allows; NULL when that is none. */
static char *take_room(struct buf *to, size_t *ret_size)
{
    size_t left = to->limit_bytes > to->size ? to->limit_bytes - to->size : 0;
    *ret_size = left < ROOM_BYTES ? left : ROOM_BYTES;
    return *ret_size ? buf_reserve(to, *ret_size) : NULL;
}

/* One call of zlib's. At the buffer's limit it gets one byte of room, to tell the end from more. */
static int step(struct zip_reader *reader, struct buf *to, bool *ret_full)
{
    char beyond = 0;
    size_t size;
    char *room = take_room(to, &size);
    if (!room && size)
        return Z_MEM_ERROR;
    reader->zlib.next_out = (Bytef *)(room ? room : &beyond);
    reader->zlib.avail_out = room ? (uInt)size : 1;
    int status = inflate(&reader->zlib, Z_NO_FLUSH);
    size_t decoded = (room ? size : 1) - reader->zlib.avail_out;
    *ret_full = !room && decoded;
    if (room)
        to->size += decoded;
    reader->decoded_bytes += decoded;
    return status;
}

bool zip_read(struct zip_reader *reader, struct span encoded, struct buf *to,
              struct error *ret_error)
{
    bool full = false;
    assert(encoded.size <= PIECE_BYTES);
    reader->encoded_bytes += encoded.size;
    reader->zlib.next_in = (Bytef *)(uintptr_t)encoded.data;
    reader->zlib.avail_in = (uInt)encoded.size;
    while (!reader->ended && !full && !is_bomb(reader)) {
        int status = step(reader, to, &full);
        reader->ended = status == Z_STREAM_END;
        if (status == Z_BUF_ERROR || (status == Z_OK && reader->zlib.avail_out))
            break; /* all of the piece is taken */
        if (status == Z_MEM_ERROR)
            return error_no_memory(ret_error);
        /* What comes before damage is looked at first: it may have come alone. */
        if (status != Z_OK && !reader->ended && !full && !is_bomb(reader))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "the compressed data are damaged");
    }
    if (full || is_bomb(reader))
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                         "the compressed data expand to more than the limit");
    if (reader->zlib.avail_in)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "something follows the compressed data");
    return true;
}

bool zip_read_end(const struct zip_reader *reader, struct error *ret_error)
{
    return reader->ended ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT, "the compressed data are cut short");
}

/* Gives zlib one vector, or with Z_FINISH nothing, and takes all that it has to say. */
static bool deflate_all(z_stream *zlib, struct iovec vector, int flush, struct buf *to)
{
    int status;
    zlib->next_in = vector.iov_base;
    zlib->avail_in = (uInt)vector.iov_len;
    do {
        size_t size;
        char *room = take_room(to, &size);
        if (!room)
            return false;
        zlib->next_out = (Bytef *)room;
        zlib->avail_out = (uInt)size;
        status = deflate(zlib, flush);
        to->size += size - zlib->avail_out;
    } while (status == Z_OK && !zlib->avail_out);
    return status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR;
}

bool zip_write(enum zip_format format, const struct iovec *vectors, size_t count, struct buf *to)
{
    z_stream zlib = {0};
    if (deflateInit2(&zlib, Z_BEST_SPEED, Z_DEFLATED, window_bits(format), MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    bool good = true;
    for (size_t i = 0; i < count && good; i++)
        good = vectors[i].iov_len <= PIECE_BYTES && deflate_all(&zlib, vectors[i], Z_NO_FLUSH, to);
    good = good && deflate_all(&zlib, (struct iovec){NULL, 0}, Z_FINISH, to);
    deflateEnd(&zlib);
    return good;
}
