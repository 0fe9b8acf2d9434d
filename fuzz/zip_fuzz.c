/* Compressed texts: whole and in pieces they decode to the same, within the limit, and what was
 * decoded is so again when it has been compressed by us. The first byte says the format and the
 * size of the pieces. */
#include "codec/zip.h"

#include "failing_allocation.h"

#include <assert.h>

enum { LIMIT_BYTES = 3 << 20 };

static bool decode(struct zip_reader *reader, struct span encoded, size_t piece, struct buf *to)
{
    struct error error;
    zip_reader_reset(reader);
    buf_init(to, LIMIT_BYTES);
    while (encoded.size) {
        struct span next = {encoded.data, encoded.size < piece ? encoded.size : piece};
        if (!zip_read(reader, next, to, &error)) {
            assert(error.code == ERROR_INVALID_ARGUMENT || error.code == ERROR_RESOURCE_EXHAUSTED);
            return false;
        }
        assert(to->size <= LIMIT_BYTES);
        encoded = span_after(encoded, next.size);
    }
    return zip_read_end(reader, &error);
}

static void decode_again(struct zip_reader *reader, enum zip_format format, struct span plain)
{
    struct buf encoded, again;
    struct iovec vector = {(void *)(uintptr_t)plain.data, plain.size};
    buf_init(&encoded, LIMIT_BYTES);
    if (plain.size < LIMIT_BYTES / 2) {
        assert(zip_write(format, &vector, 1, &encoded));
        /* Long runs of one byte are a bomb, even if they are ours. */
        if (decode(reader, buf_span(&encoded), SIZE_MAX, &again))
            assert(span_equal(buf_span(&again), plain));
        else
            assert(plain.size > ZIP_FREE_BYTES);
        buf_fini(&again);
    }
    buf_fini(&encoded);
}

static void decode_without_memory(const uint8_t *data, size_t size, enum zip_format format)
{
    struct buf plain, encoded;
    struct iovec vector = {(void *)(uintptr_t)data, size};
    buf_init(&plain, LIMIT_BYTES);
    buf_init(&encoded, size / 2); /* it may not fit, too */
    failing_allocation_begin(data, size);
    struct zip_reader *reader = zip_reader_new(format);
    if (reader)
        zip_read(reader, (struct span){(const char *)data, size}, &plain, NULL);
    zip_write(format, &vector, 1, &encoded);
    failing_allocation_end();
    zip_reader_free(reader);
    buf_fini(&plain);
    buf_fini(&encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    enum zip_format format = data[0] & 1 ? ZIP_GZIP : ZIP_DEFLATE;
    struct span encoded = {(const char *)data + 1, size - 1};
    struct buf whole, pieces;
    struct zip_reader *reader = zip_reader_new(format);
    assert(reader);
    bool good = decode(reader, encoded, SIZE_MAX, &whole);
    bool good_in_pieces = decode(reader, encoded, (size_t)data[0] / 2 + 1, &pieces);
    /* In pieces a bomb is seen earlier. */
    assert(good_in_pieces == good || whole.size > ZIP_FREE_BYTES);
    assert(!good || !good_in_pieces || span_equal(buf_span(&whole), buf_span(&pieces)));
    if (good)
        decode_again(reader, format, buf_span(&whole));
    buf_fini(&whole);
    buf_fini(&pieces);
    zip_reader_free(reader);
    decode_without_memory(data + 1, size - 1, format);
    return 0;
}
