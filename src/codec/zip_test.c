/* gzip and deflate: what is written reads back, in any pieces; what is wrong or too much is
 * refused. */
#include "codec/zip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TEXT_BYTES = 200000, BOMB_BYTES = 64 << 20 };

static struct buf encode(enum zip_format format, const char *text, size_t size)
{
    struct buf encoded;
    buf_init(&encoded, BOMB_BYTES);
    const struct iovec vectors[] = {{(void *)(uintptr_t)text, size / 3},
                                    {(void *)(uintptr_t)(text + size / 3), size - size / 3}};
    assert_true(zip_write(format, vectors, 2, &encoded));
    return encoded;
}

/* Reads in pieces; the error's code, ERROR_OK without one. */
static enum error_code decode(struct zip_reader *reader, struct span encoded, size_t piece,
                              struct buf *to)
{
    struct error error = {.code = ERROR_OK};
    for (size_t at = 0; at < encoded.size && error.code == ERROR_OK; at += piece) {
        size_t left = encoded.size - at;
        zip_read(reader, (struct span){encoded.data + at, left < piece ? left : piece}, to, &error);
    }
    if (error.code == ERROR_OK)
        zip_read_end(reader, &error);
    return error.code;
}

static enum error_code decode_once(enum zip_format format, struct span encoded, size_t limit_bytes)
{
    struct zip_reader *reader = zip_reader_new(format);
    struct buf text;
    buf_init(&text, limit_bytes);
    enum error_code code = decode(reader, encoded, 16384, &text);
    buf_fini(&text);
    zip_reader_free(reader);
    return code;
}

static void what_is_written_reads_back(void **state)
{
    static char text[TEXT_BYTES];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * i >> 7);
    for (enum zip_format format = ZIP_GZIP; format <= ZIP_DEFLATE; format++) {
        struct buf encoded = encode(format, text, sizeof text), decoded;
        struct zip_reader *reader = zip_reader_new(format);
        buf_init(&decoded, sizeof text);
        for (size_t piece = 1; piece < 100000; piece *= 10) {
            zip_reader_reset(reader);
            buf_clear(&decoded);
            assert_int_equal(decode(reader, buf_span(&encoded), piece, &decoded), ERROR_OK);
            assert_true(span_equal(buf_span(&decoded), (struct span){text, sizeof text}));
        }
        zip_reader_free(reader);
        buf_fini(&encoded);
        buf_fini(&decoded);
    }
}

static void nothing_reads_back_as_nothing(void **state)
{
    struct buf encoded = encode(ZIP_GZIP, "", 0);
    assert_int_equal(decode_once(ZIP_GZIP, buf_span(&encoded), 0), ERROR_OK);
    assert_int_equal(decode_once(ZIP_GZIP, (struct span){NULL, 0}, 10), ERROR_INVALID_ARGUMENT);
    buf_fini(&encoded);
}

static void damage_is_found(void **state)
{
    struct buf encoded = encode(ZIP_GZIP, "hello hello hello", 17);
    struct span whole = buf_span(&encoded);
    assert_int_equal(decode_once(ZIP_GZIP, whole, 17), ERROR_OK);
    assert_int_equal(decode_once(ZIP_DEFLATE, whole, 17), ERROR_INVALID_ARGUMENT);
    for (size_t size = 0; size < whole.size; size++)
        assert_int_equal(decode_once(ZIP_GZIP, (struct span){whole.data, size}, 17),
                         ERROR_INVALID_ARGUMENT);
    encoded.data[encoded.size - 8] ^= 1; /* of the checksum */
    assert_int_equal(decode_once(ZIP_GZIP, whole, 17), ERROR_INVALID_ARGUMENT);
    encoded.data[encoded.size - 8] ^= 1;
    buf_append_char(&encoded, 'x');
    assert_int_equal(decode_once(ZIP_GZIP, buf_span(&encoded), 17), ERROR_INVALID_ARGUMENT);
    buf_fini(&encoded);
}

static void limits_hold(void **state)
{
    char *zeros = calloc(1, BOMB_BYTES);
    struct buf bomb = encode(ZIP_GZIP, zeros, BOMB_BYTES),
               small = encode(ZIP_DEFLATE, zeros, ZIP_FREE_BYTES);
    assert_int_equal(decode_once(ZIP_GZIP, buf_span(&bomb), BOMB_BYTES), ERROR_RESOURCE_EXHAUSTED);
    assert_int_equal(decode_once(ZIP_DEFLATE, buf_span(&small), ZIP_FREE_BYTES), ERROR_OK);
    assert_int_equal(decode_once(ZIP_DEFLATE, buf_span(&small), ZIP_FREE_BYTES - 1),
                     ERROR_RESOURCE_EXHAUSTED);
    struct buf full;
    buf_init(&full, 10);
    assert_false(zip_write(ZIP_GZIP, &(struct iovec){zeros, 1000}, 1, &full));
    buf_fini(&full);
    buf_fini(&small);
    buf_fini(&bomb);
    free(zeros);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(nothing_reads_back_as_nothing),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
