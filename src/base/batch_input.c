/* Inputs that the server makes from how a batch was put together; see shaping.h. Two requests with
 * a source of shapes (2, 3, 1) and (1, 2, 2), which are 6 and 4 elements:
 *
 *     ELEMENT_COUNT                        [6, 4]
 *     ACCUMULATED_ELEMENT_COUNT            [6, 10]
 *     ACCUMULATED_ELEMENT_COUNT_WITH_ZERO  [0, 6, 10]
 *     MAX_ELEMENT_COUNT_AS_SHAPE           six elements
 *     ITEM_SHAPE                           [[3, 1], [3, 1], [2, 2]]
 *     ITEM_SHAPE_FLATTEN                   [3, 1, 3, 1, 2, 2] */
#include "base/shaping.h"

static bool count_most(const struct shape *items, size_t count, uint64_t *ret_most)
{
    *ret_most = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t elements;
        if (!shape_count(&items[i], &elements))
            return false;
        if (elements > *ret_most)
            *ret_most = elements;
    }
    return *ret_most <= INT64_MAX;
}

static bool count_rows(const struct shape *items, size_t count, int64_t *ret_rows)
{
    *ret_rows = 0;
    for (size_t i = 0; i < count; i++) {
        if (items[i].ndim == 0 || items[i].ndim != items[0].ndim || items[i].dims[0] < 0 ||
            __builtin_add_overflow(*ret_rows, items[i].dims[0], ret_rows))
            return false;
    }
    return true;
}

bool batch_input_shape(enum batch_input_kind kind, const struct shape *items, size_t count,
                       struct shape *ret_shape)
{
    struct shape shape = {.ndim = 1, .dims = {(int64_t)count}};
    uint64_t most;
    switch (kind) {
    case BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO:
        shape.dims[0]++;
        break;
    case BATCH_MAX_ELEMENT_COUNT_AS_SHAPE:
        if (!count_most(items, count, &most))
            return false;
        shape.dims[0] = (int64_t)most;
        break;
    case BATCH_ITEM_SHAPE:
        if (!count_rows(items, count, &shape.dims[0]))
            return false;
        shape.ndim = 2;
        shape.dims[1] = items[0].ndim - 1;
        break;
    case BATCH_ITEM_SHAPE_FLATTEN:
        if (!count_rows(items, count, &shape.dims[0]) ||
            __builtin_mul_overflow(shape.dims[0], (int64_t)items[0].ndim - 1, &shape.dims[0]))
            return false;
        break;
    default:
        break;
    }
    *ret_shape = shape;
    return true;
}

/* Where the next number goes. */
struct numbers {
    enum tensord_datatype datatype;
    char *next;
};

static bool put(struct numbers *numbers, uint64_t value)
{
    const int32_t integer = (int32_t)value;
    const float real = (float)value;
    const void *from = &integer;
    if (numbers->datatype == TENSORD_FP32)
        from = &real;
    else if (value > INT32_MAX)
        return false;
    memcpy(numbers->next, from, sizeof integer);
    numbers->next += sizeof integer;
    return true;
}

static bool put_counts(struct numbers *numbers, bool accumulated, const struct shape *items,
                       size_t count)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t elements;
        if (!shape_count(&items[i], &elements) ||
            __builtin_add_overflow(accumulated ? total : 0, elements, &total) ||
            !put(numbers, total))
            return false;
    }
    return true;
}

static bool put_item_shapes(struct numbers *numbers, const struct shape *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int64_t row = 0; row < items[i].dims[0]; row++) {
            for (uint32_t d = 1; d < items[i].ndim; d++) {
                if (items[i].dims[d] < 0 || !put(numbers, (uint64_t)items[i].dims[d]))
                    return false;
            }
        }
    }
    return true;
}

bool batch_input_fill(const struct batch_input *input, const struct shape *items, size_t count,
                      void *data)
{
    struct numbers numbers = {input->datatype, data};
    uint64_t most;
    switch (input->kind) {
    case BATCH_ELEMENT_COUNT:
        return put_counts(&numbers, false, items, count);
    case BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO:
        return put(&numbers, 0) && put_counts(&numbers, true, items, count);
    case BATCH_ACCUMULATED_ELEMENT_COUNT:
        return put_counts(&numbers, true, items, count);
    case BATCH_MAX_ELEMENT_COUNT_AS_SHAPE:
        if (!count_most(items, count, &most))
            return false;
        memset(data, 0, most * sizeof(int32_t));
        return true;
    default:
        return put_item_shapes(&numbers, items, count);
    }
}
