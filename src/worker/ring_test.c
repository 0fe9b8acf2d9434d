/* Unit tests of worker/ring.h: two threads, and an other side that lies. */
#include "worker/ring.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct ring_shared shared;
    struct ring writer, reader;
    _Alignas(8) unsigned char data[RING_BYTES];
    _Alignas(8) unsigned char copy[RING_RECORD_MAX];
    int doorbell[2];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    ring_init(&f->writer, &f->shared, f->data);
    ring_init(&f->reader, &f->shared, f->data);
    return pipe(f->doorbell);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    close(f->doorbell[0]);
    close(f->doorbell[1]);
    free(f);
    return 0;
}

static enum ring_state put(struct ring *ring, uint32_t size, unsigned char mark)
{
    static _Alignas(8) unsigned char record[RING_RECORD_MAX];
    memset(record, mark, size);
    memcpy(record, &(struct record_head){size, RECORD_LOG}, sizeof(struct record_head));
    return ring_write(ring, record);
}

static void full_is_a_state(void **state)
{
    struct fixture *f = *state;
    unsigned count = 0;
    uint32_t size;
    while (put(&f->writer, 1000, 1) == RING_RECORD)
        count++;
    assert_int_equal(count, RING_BYTES / 1000);
    assert_int_equal(put(&f->writer, 1000, 1), RING_FULL);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(ring_read(&f->reader, f->copy, &size), RING_RECORD);
    assert_int_equal(ring_read(&f->reader, f->copy, &size), RING_EMPTY);
    assert_int_equal(put(&f->writer, 1000, 1), RING_FULL);
    ring_publish(&f->reader);
    assert_int_equal(put(&f->writer, 1000, 1), RING_RECORD);
}

static void the_largest_record_fits_an_empty_ring_anywhere(void **state)
{
    struct fixture *f = *state;
    uint32_t size;
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(put(&f->writer, RING_RECORD_MAX - i * 7, (unsigned char)i), RING_RECORD);
        assert_int_equal(ring_read(&f->reader, f->copy, &size), RING_RECORD);
        assert_int_equal(size, RING_RECORD_MAX - i * 7);
        assert_int_equal(f->copy[size - 1], i);
        ring_publish(&f->reader);
    }
}

static void a_doorbell_is_needed_only_by_a_sleeper(void **state)
{
    struct fixture *f = *state;
    uint32_t size;
    put(&f->writer, 100, 1);
    assert_false(ring_must_wake(&f->writer));
    assert_false(ring_sleep(&f->reader)); /* there is something to read */
    assert_int_equal(ring_read(&f->reader, f->copy, &size), RING_RECORD);
    assert_true(ring_sleep(&f->reader));
    put(&f->writer, 100, 1);
    assert_true(ring_must_wake(&f->writer));
    assert_false(ring_must_wake(&f->writer)); /* once is enough */
}

enum { STREAM_RECORDS = 100000 };

static uint32_t stream_size(unsigned *seed)
{
    unsigned r = (unsigned)rand_r(seed);
    return r % 1000 == 0 ? 8 + r % (RING_RECORD_MAX - 8) : 8 + r % 300;
}

static void *write_stream(void *context)
{
    struct fixture *f = context;
    unsigned seed = 7;
    for (unsigned i = 0; i < STREAM_RECORDS; i++) {
        uint32_t size = stream_size(&seed);
        while (put(&f->writer, size, (unsigned char)i) == RING_FULL)
            ring_wait_room(&f->writer, 10000);
        if (ring_must_wake(&f->writer) && write(f->doorbell[1], "", 1) != 1)
            abort();
    }
    return NULL;
}

/* Reads every record as it was written; returns how often it slept. */
static unsigned read_stream(struct fixture *f)
{
    unsigned seed = 7, sleeps = 0;
    for (unsigned i = 0; i < STREAM_RECORDS;) {
        uint32_t size;
        enum ring_state got = ring_read(&f->reader, f->copy, &size);
        ring_publish(&f->reader);
        if (got == RING_RECORD) {
            assert_int_equal(size, stream_size(&seed));
            if (size > 8)
                assert_int_equal(f->copy[size - 1], (unsigned char)i);
            i++;
            continue;
        }
        assert_int_equal(got, RING_EMPTY);
        char byte;
        if (ring_sleep(&f->reader)) {
            assert_int_equal(read(f->doorbell[0], &byte, 1), 1);
            sleeps++;
        }
    }
    return sleeps;
}

static void two_threads_lose_nothing(void **state)
{
    struct fixture *f = *state;
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_stream, f), 0);
    read_stream(f);
    assert_int_equal(pthread_join(writer, NULL), 0);
}

static void a_writer_that_lies_is_found_out(void **state)
{
    struct fixture *f = *state;
    const uint64_t heads[] = {UINT64_MAX, RING_BYTES + 8, 12, (uint64_t)1 << 63};
    uint32_t size;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        f->shared.head = heads[i];
        assert_int_equal(ring_read(&f->reader, f->copy, &size), RING_BROKEN);
    }
    const struct record_head records[] = {
        {0, RECORD_LOG},       {7, RECORD_LOG},          {0, RECORD_PADDING},
        {4096, RECORD_LOG},    {UINT32_MAX, RECORD_LOG}, {UINT32_MAX - 6, RECORD_PADDING},
        {4096, RECORD_PADDING}};
    f->shared.head = 64;
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        memcpy(f->data, &records[i], sizeof(records[i]));
        assert_int_equal(ring_read(&f->reader, f->copy, &size), RING_BROKEN);
    }
    put(&f->writer, 64, 1);
    assert_int_equal(ring_read(&f->reader, f->copy, &size), RING_RECORD);
    f->shared.head = 8; /* backwards */
    assert_int_equal(ring_read(&f->reader, f->copy, &size), RING_BROKEN);
}

static void a_record_larger_than_allowed_is_refused(void **state)
{
    struct fixture *f = *state;
    uint32_t size;
    memcpy(f->data, &(struct record_head){RING_RECORD_MAX + 8, RECORD_LOG}, 8);
    f->shared.head = RING_RECORD_MAX + 8;
    assert_int_equal(ring_read(&f->reader, f->copy, &size), RING_BROKEN);
}

static void a_reader_that_lies_is_found_out(void **state)
{
    struct fixture *f = *state;
    while (put(&f->writer, 4096, 1) == RING_RECORD)
        ;
    f->shared.tail = f->writer.head + 8; /* read what was not written */
    assert_int_equal(put(&f->writer, 4096, 1), RING_BROKEN);
    f->shared.tail = 4096;
    assert_int_equal(put(&f->writer, 4096, 1), RING_RECORD);
    f->shared.tail = 0; /* backwards */
    assert_int_equal(put(&f->writer, 4096, 1), RING_BROKEN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(full_is_a_state),
        TEST(the_largest_record_fits_an_empty_ring_anywhere),
        TEST(a_doorbell_is_needed_only_by_a_sleeper),
        TEST(two_threads_lose_nothing),
        TEST(a_writer_that_lies_is_found_out),
        TEST(a_record_larger_than_allowed_is_refused),
        TEST(a_reader_that_lies_is_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
