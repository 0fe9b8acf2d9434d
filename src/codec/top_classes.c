/* The best of each row; see top_classes.h.
 *
 * A value is turned into a rank, 64 bits whose order is that of the values, so that one heap serves
 * all datatypes, and back into a value to be written. The heap holds the best so far, the worst of
 * them at its root. */
#include "codec/top_classes.h"

#include "base/unset.h"
#include "codec/element.h"
#include "codec/half.h"

#include <math.h>
#include <stdio.h>

enum { VALUE_CHARS = 352 }; /* "%f" of the largest double has 316 */

static const uint64_t sign = UINT64_C(1) << 63;

struct entry {
    uint64_t rank;
    uint64_t index;
};

/* ---- ranks ---- */

static uint64_t rank_of_double(double value)
{
    uint64_t bits;
    if (isnan(value))
        return 0;
    value += 0.0; /* of the two zeros, one */
    memcpy(&bits, &value, sizeof bits);
    return bits & sign ? ~bits : bits | sign;
}

static double double_of_rank(uint64_t rank)
{
    double value;
    uint64_t bits = rank & sign ? rank & ~sign : ~rank;
    memcpy(&value, &bits, sizeof value);
    return rank ? value : (double)NAN;
}

static uint64_t rank_of_integer(int64_t value)
{
    return (uint64_t)value ^ sign;
}

/* The rank of the element at a place that others may write. */
static uint64_t rank_at(enum tensord_datatype datatype, const char *at)
{
    union element v = element_read(datatype, at);
    switch (datatype) {
    case TENSORD_UINT8:
        return v.u8;
    case TENSORD_UINT16:
        return v.u16;
    case TENSORD_UINT32:
        return v.u32;
    case TENSORD_UINT64:
        return v.u64;
    case TENSORD_INT8:
        return rank_of_integer(v.i8);
    case TENSORD_INT16:
        return rank_of_integer(v.i16);
    case TENSORD_INT32:
        return rank_of_integer(v.i32);
    case TENSORD_INT64:
        return rank_of_integer(v.i64);
    case TENSORD_FP16:
        return rank_of_double((double)fp16_to_float(v.u16));
    case TENSORD_BF16:
        return rank_of_double((double)bf16_to_float(v.u16));
    case TENSORD_FP32:
        return rank_of_double((double)v.f32);
    default:
        return rank_of_double(v.f64);
    }
}

static int print_value(enum tensord_datatype datatype, uint64_t rank, char text[VALUE_CHARS])
{
    switch (datatype) {
    case TENSORD_UINT8:
    case TENSORD_UINT16:
    case TENSORD_UINT32:
    case TENSORD_UINT64:
        return snprintf(text, VALUE_CHARS, "%llu", (unsigned long long)rank);
    case TENSORD_INT8:
    case TENSORD_INT16:
    case TENSORD_INT32:
    case TENSORD_INT64:
        return snprintf(text, VALUE_CHARS, "%lld", (long long)(rank ^ sign));
    default:
        return snprintf(text, VALUE_CHARS, "%f", double_of_rank(rank));
    }
}

/* ---- the heap ---- */

static bool is_worse(struct entry a, struct entry b)
{
    return a.rank < b.rank || (a.rank == b.rank && a.index > b.index);
}

static void sink(struct entry *heap, size_t count, size_t at)
{
    struct entry moved = heap[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && is_worse(heap[child + 1], heap[child]))
            child++;
        if (!is_worse(heap[child], moved))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

/* Finds the best of a row, the first one the best. */
static void select_row(enum tensord_datatype datatype, const char *row, size_t width,
                       struct entry *best, size_t count)
{
    size_t size = datatype_size_bytes(datatype);
    for (size_t i = 0; i < count; i++)
        best[i] = (struct entry){rank_at(datatype, row + i * size), i};
    for (size_t i = count / 2; i-- > 0;)
        sink(best, count, i);
    for (size_t i = count; i < width; i++) {
        struct entry entry = {rank_at(datatype, row + i * size), i};
        if (!is_worse(best[0], entry))
            continue;
        best[0] = entry;
        sink(best, count, 0);
    }
    for (size_t left = count; left-- > 1;) { /* the worst that is left goes behind the others */
        struct entry worst = best[0];
        best[0] = best[left];
        best[left] = worst;
        sink(best, left, 0);
    }
}

/* ---- the answer ---- */

static bool put_class(enum tensord_datatype datatype, struct entry entry, const struct span *labels,
                      size_t label_count, struct buf *out)
{
    char text[VALUE_CHARS + 32] UNSET;
    int size = print_value(datatype, entry.rank, text);
    size += snprintf(text + size, 32, ":%llu", (unsigned long long)entry.index);
    struct span label = entry.index < label_count ? labels[entry.index] : (struct span){NULL, 0};
    uint32_t length = (uint32_t)((size_t)size + (label.size ? label.size + 1 : 0));
    buf_append(out, (struct span){(char *)&length, sizeof length});
    buf_append(out, (struct span){text, (size_t)size});
    if (label.size) {
        buf_append_char(out, ':');
        buf_append(out, label);
    }
    return buf_ok(out);
}

bool top_classes(enum tensord_datatype datatype, size_t rows, size_t width, size_t count,
                 struct span data, const struct span *labels, size_t label_count, struct buf *out,
                 struct error *ret_error)
{
    struct buf heap;
    if (datatype == TENSORD_BOOL || datatype == TENSORD_BYTES)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "class result not available for output due to unsupported type '%s'",
                         datatype_name(datatype));
    if (count == 0 || rows == 0)
        return true;
    buf_init_within(&heap, SIZE_MAX / 2, out->budget);
    struct entry *best = (struct entry *)(void *)buf_reserve(&heap, count * sizeof *best);
    bool good = best != NULL;
    size_t row_bytes = width * datatype_size_bytes(datatype);
    for (size_t row = 0; good && row < rows; row++) {
        select_row(datatype, data.data + row * row_bytes, width, best, count);
        for (size_t i = 0; good && i < count; i++)
            good = put_class(datatype, best[i], labels, label_count, out);
    }
    buf_fini(&heap);
    return good || error_no_memory(ret_error);
}
