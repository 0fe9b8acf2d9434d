/* Unit tests of worker/memory.h. */
#include "worker/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct error error;

static struct tensor_memory *new_memory(uint64_t limit)
{
    struct tensor_memory *memory = tensor_memory_new(limit, &error);
    assert_non_null(memory);
    return memory;
}

static void limits_hold(void **state)
{
    struct tensor_memory *memory = new_memory(4096);
    struct extent a, b;
    assert_false(tensor_memory_alloc(memory, 4097, &a, &error));
    assert_int_equal(error.code, ERROR_TOO_LARGE);
    assert_false(tensor_memory_alloc(memory, UINT64_MAX, &a, &error));
    assert_int_equal(error.code, ERROR_TOO_LARGE);
    assert_true(tensor_memory_alloc(memory, 4000, &a, &error));
    assert_false(tensor_memory_alloc(memory, 100, &b, &error));
    assert_int_equal(error.code, ERROR_RESOURCE_EXHAUSTED);
    tensor_memory_release(memory, a);
    assert_true(tensor_memory_alloc(memory, 100, &b, &error));
    tensor_memory_release(memory, b);
    assert_int_equal(tensor_memory_used_bytes(memory), 0);
    tensor_memory_free(memory);
    assert_null(tensor_memory_new(0, &error));
    assert_null(tensor_memory_new(UINT64_MAX, &error));
}

static void an_empty_piece_is_no_piece(void **state)
{
    struct tensor_memory *memory = new_memory(1);
    struct extent none;
    assert_true(tensor_memory_alloc(memory, 0, &none, &error));
    assert_int_equal(none.size, 0);
    tensor_memory_release(memory, none);
    tensor_memory_free(memory);
}

enum { MODEL_PIECES = 200, MODEL_LIMIT = 1 << 20 };

struct piece {
    struct extent extent;
    unsigned char mark;
};

static void check_and_release(struct tensor_memory *memory, struct piece *piece)
{
    unsigned char *data = tensor_memory_at(memory, piece->extent);
    for (uint64_t i = 0; i < piece->extent.size; i++)
        assert_int_equal(data[i], piece->mark);
    tensor_memory_release(memory, piece->extent);
    piece->extent.size = 0;
}

/* Pieces never overlap: each still holds its own mark when it is released. */
static void random_pieces_agree_with_a_model(void **state)
{
    struct tensor_memory *memory = new_memory(MODEL_LIMIT);
    struct piece pieces[MODEL_PIECES] = {0};
    uint64_t used = 0;
    srand(1);
    for (int step = 0; step < 20000; step++) {
        struct piece *piece = &pieces[rand() % MODEL_PIECES];
        if (piece->extent.size > 0) {
            used -= (piece->extent.size + 63) / 64 * 64;
            check_and_release(memory, piece);
        } else {
            uint64_t size = 1 + (uint64_t)rand() % (UINT64_C(1) << (rand() % 16));
            bool fits = used + (size + 63) / 64 * 64 <= MODEL_LIMIT;
            assert_int_equal(tensor_memory_alloc(memory, size, &piece->extent, &error), fits);
            if (!fits)
                continue;
            used += (size + 63) / 64 * 64;
            assert_int_equal(piece->extent.offset % 64, 0);
            piece->mark = (unsigned char)step;
            memset(tensor_memory_at(memory, piece->extent), piece->mark, size);
        }
        assert_int_equal(tensor_memory_used_bytes(memory), used);
        assert_int_equal(tensor_memory_excess_bytes(memory), 0);
        if (step % 1000 == 0)
            tensor_memory_trim(memory);
    }
    for (int i = 0; i < MODEL_PIECES; i++) {
        if (pieces[i].extent.size > 0)
            check_and_release(memory, &pieces[i]);
    }
    tensor_memory_trim(memory);
    assert_int_equal(tensor_memory_committed_bytes(memory), 0);
    tensor_memory_free(memory);
}

static void pages_are_reused_and_trimmed(void **state)
{
    struct tensor_memory *memory = new_memory(1 << 24);
    struct extent a, again;
    assert_true(tensor_memory_alloc(memory, 1 << 20, &a, &error));
    memset(tensor_memory_at(memory, a), 1, a.size);
    assert_int_equal(tensor_memory_committed_bytes(memory), 1 << 20);
    tensor_memory_release(memory, a);
    assert_true(tensor_memory_alloc(memory, 1 << 20, &again, &error));
    assert_int_equal(again.offset, a.offset);
    tensor_memory_trim(memory);
    assert_int_equal(tensor_memory_committed_bytes(memory), 1 << 20);
    tensor_memory_release(memory, again);
    tensor_memory_trim(memory);
    assert_int_equal(tensor_memory_committed_bytes(memory), 0);
    tensor_memory_free(memory);
}

/* Warm pages of many classes would add up; the allocator trims before they do. */
static void what_is_committed_stays_bounded(void **state)
{
    const uint64_t limit = 1 << 20;
    struct tensor_memory *memory = new_memory(limit);
    for (uint64_t size = 4096; size <= limit; size *= 2) {
        struct extent pieces[256];
        size_t count = 0;
        while (tensor_memory_alloc(memory, size, &pieces[count], &error)) {
            memset(tensor_memory_at(memory, pieces[count]), 1, size);
            count++;
        }
        assert_int_equal(count, limit / size);
        assert_true(tensor_memory_committed_bytes(memory) <= 2 * limit);
        while (count > 0)
            tensor_memory_release(memory, pieces[--count]);
    }
    tensor_memory_free(memory);
}

/* As a worker could: it maps all of the file. */
static void what_was_never_handed_out_is_noticed_and_taken_back(void **state)
{
    struct tensor_memory *memory = new_memory(1 << 20);
    struct extent piece, small;
    uint64_t size = tensor_memory_size_bytes(memory);
    assert_true(tensor_memory_alloc(memory, 300000, &piece, &error));
    assert_true(tensor_memory_alloc(memory, 100, &small, &error));
    memset(tensor_memory_at(memory, piece), 7, piece.size);
    memset(tensor_memory_at(memory, small), 8, small.size);
    assert_int_equal(tensor_memory_excess_bytes(memory), 0);
    for (uint64_t at = 0; at < size; at += 1 << 16) { /* here and there, beside the pieces too */
        const struct extent touched = {at, 1};
        *(volatile char *)tensor_memory_at(memory, touched) += 1;
    }
    assert_true(tensor_memory_excess_bytes(memory) > size / (1 << 16) / 2 * 4096);
    tensor_memory_reclaim(memory);
    assert_int_equal(tensor_memory_excess_bytes(memory), 0);
    assert_int_equal(*((char *)tensor_memory_at(memory, piece) + 299999), 7);
    assert_int_equal(*((char *)tensor_memory_at(memory, small) + 99), 8);
    tensor_memory_release(memory, piece);
    tensor_memory_release(memory, small);
    tensor_memory_reclaim(memory);
    assert_int_equal(tensor_memory_committed_bytes(memory), 0);
    tensor_memory_free(memory);
}

static void the_file_is_sealed(void **state)
{
    struct tensor_memory *memory = new_memory(1 << 20);
    int fd = tensor_memory_fd(memory);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, (off_t)tensor_memory_size_bytes(memory) * 2), -1);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    tensor_memory_free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(an_empty_piece_is_no_piece),
        cmocka_unit_test(random_pieces_agree_with_a_model),
        cmocka_unit_test(pages_are_reused_and_trimmed),
        cmocka_unit_test(what_is_committed_stays_bounded),
        cmocka_unit_test(what_was_never_handed_out_is_noticed_and_taken_back),
        cmocka_unit_test(the_file_is_sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
