/* Differences; see compare.h. */
#include "serving/compare.h"

#include "codec/half.h"

#include <math.h>
#include <string.h>

/* The element as a number; 0 for what has none. */
static double number_at(enum tensord_datatype datatype, const char *at)
{
#define READ(type)                                                                                 \
    ({                                                                                             \
        type value;                                                                                \
        memcpy(&value, at, sizeof value);                                                          \
        value;                                                                                     \
    })
    switch (datatype) {
    case TENSORD_UINT8:
        return READ(uint8_t);
    case TENSORD_UINT16:
        return READ(uint16_t);
    case TENSORD_UINT32:
        return READ(uint32_t);
    case TENSORD_UINT64:
        return (double)READ(uint64_t);
    case TENSORD_INT8:
        return READ(int8_t);
    case TENSORD_INT16:
        return READ(int16_t);
    case TENSORD_INT32:
        return READ(int32_t);
    case TENSORD_INT64:
        return (double)READ(int64_t);
    case TENSORD_FP16:
        return (double)fp16_to_float(READ(uint16_t));
    case TENSORD_BF16:
        return (double)bf16_to_float(READ(uint16_t));
    case TENSORD_FP32:
        return (double)READ(float);
    case TENSORD_FP64:
        return READ(double);
    default:
        return 0;
    }
#undef READ
}

static bool is_floating(enum tensord_datatype datatype)
{
    return datatype == TENSORD_FP16 || datatype == TENSORD_BF16 || datatype == TENSORD_FP32 ||
           datatype == TENSORD_FP64;
}

static double larger_of(double a, double b)
{
    return a > b ? a : b;
}

/* Two elements whose bytes differ. */
static void note(enum tensord_datatype datatype, const char *a, const char *b,
                 struct difference *difference)
{
    double one = number_at(datatype, a), other = number_at(datatype, b);
    if (is_floating(datatype) && (one == other || (isnan(one) && isnan(other))))
        return;
    difference->unequal++;
    double absolute = fabs(one - other);
    double larger = larger_of(fabs(one), fabs(other));
    if (!isfinite(absolute))
        return;
    difference->max_absolute = larger_of(difference->max_absolute, absolute);
    if (larger > 0)
        difference->max_relative = larger_of(difference->max_relative, absolute / larger);
}

static void compare_numbers(const struct compared *a, const struct compared *b,
                            struct difference *difference)
{
    size_t size = datatype_size_bytes(a->datatype);
    for (uint64_t i = 0; i < difference->elements; i++) {
        const char *one = a->data.data + i * size, *other = b->data.data + i * size;
        if (memcmp(one, other, size) != 0)
            note(a->datatype, one, other, difference);
    }
}

static void compare_strings(const struct compared *a, const struct compared *b,
                            struct difference *difference)
{
    struct span rest_a = a->data, rest_b = b->data, one, other;
    for (uint64_t i = 0; i < difference->elements; i++) {
        if (!bytes_tensor_next(&rest_a, &one) || !bytes_tensor_next(&rest_b, &other)) {
            difference->unequal += difference->elements - i;
            return;
        }
        difference->unequal += !span_equal(one, other);
    }
}

static bool same_shape(const struct shape *a, const struct shape *b)
{
    return a->ndim == b->ndim && memcmp(a->dims, b->dims, a->ndim * sizeof *a->dims) == 0;
}

/* Whether the tensor has the bytes that its shape says. */
static bool is_whole(const struct compared *tensor, uint64_t count)
{
    uint64_t size = datatype_size_bytes(tensor->datatype);
    return size ? tensor->data.size / size == count : count <= tensor->data.size / sizeof(uint32_t);
}

void compare_tensors(const struct compared *a, const struct compared *b,
                     struct difference *ret_difference)
{
    uint64_t count;
    *ret_difference = (struct difference){.comparable = false};
    if (a->datatype != b->datatype || !same_shape(&a->shape, &b->shape) ||
        !shape_count(&a->shape, &count) || !is_whole(a, count) || !is_whole(b, count))
        return;
    ret_difference->comparable = true;
    ret_difference->elements = count;
    if (a->datatype == TENSORD_BYTES)
        compare_strings(a, b, ret_difference);
    else
        compare_numbers(a, b, ret_difference);
}
