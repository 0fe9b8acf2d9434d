/* Tensors in pieces; see pipeline_value.h. */
#include "serving/pipeline_value.h"

#include <assert.h>

bool pipeline_value_make(struct pipeline_value *value, enum tensord_datatype datatype,
                         const struct shape *shape, struct span data, struct arena *arena,
                         struct error *ret_error)
{
    struct span *piece = arena_alloc(arena, sizeof *piece);
    if (!piece)
        return error_no_memory(ret_error);
    *piece = data;
    *value = (struct pipeline_value){.datatype = datatype,
                                     .shape = *shape,
                                     .pieces = piece,
                                     .piece_count = 1,
                                     .size_bytes = data.size,
                                     .step = -1};
    return true;
}

void pipeline_value_empty(struct pipeline_value *value, const struct tensor_info *info)
{
    *value = (struct pipeline_value){.datatype = info->datatype, .shape = info->shape, .step = -1};
    if (!value->shape.ndim)
        value->shape.ndim = 1;
    value->shape.dims[0] = 0;
    for (uint32_t i = 1; i < value->shape.ndim; i++) {
        if (value->shape.dims[i] < 0)
            value->shape.dims[i] = 0;
    }
}

/* ---- joining ---- */

static bool joins(const struct pipeline_value *a, const struct pipeline_value *b)
{
    if (a->datatype != b->datatype || a->shape.ndim != b->shape.ndim || !a->shape.ndim)
        return false;
    for (uint32_t i = 1; i < a->shape.ndim; i++) {
        if (a->shape.dims[i] != b->shape.dims[i])
            return false;
    }
    return true;
}

static bool cannot_join(const struct pipeline_value *a, const struct pipeline_value *b,
                        struct span name, struct error *ret_error)
{
    char first[160], second[160];
    return error_set(ret_error, ERROR_INTERNAL,
                     "its parts gave '%.*s' as %s %s and as %s %s, which cannot be joined",
                     SPAN_ARGS(name), datatype_name(a->datatype),
                     shape_format(&a->shape, first, sizeof first), datatype_name(b->datatype),
                     shape_format(&b->shape, second, sizeof second));
}

bool pipeline_value_join(struct pipeline_value *value, const struct pipeline_value *const *parts,
                         size_t count, struct span name, struct arena *arena,
                         struct error *ret_error)
{
    assert(count > 0);
    if (count == 1) {
        *value = *parts[0];
        return true;
    }
    struct span *pieces = arena_calloc(arena, count, sizeof *pieces);
    if (!pieces)
        return error_no_memory(ret_error);
    struct pipeline_value joined = *parts[0];
    joined.pieces = pieces;
    joined.piece_count = 0;
    joined.size_bytes = 0;
    joined.shape.dims[0] = 0;
    for (size_t i = 0; i < count; i++) {
        assert(parts[i]->piece_count == 1);
        if (!joins(parts[0], parts[i]) ||
            __builtin_add_overflow(joined.shape.dims[0], parts[i]->shape.dims[0],
                                   &joined.shape.dims[0]))
            return cannot_join(parts[0], parts[i], name, ret_error);
        if (!parts[i]->size_bytes)
            continue;
        pieces[joined.piece_count++] = parts[i]->pieces[0];
        joined.size_bytes += parts[i]->size_bytes;
    }
    *value = joined;
    return true;
}

/* ---- dividing ---- */

/* Elements of a row; strings are counted one by one. */
static bool row_elements(const struct pipeline_value *value, uint64_t *ret_count)
{
    struct shape row = value->shape;
    row.dims[0] = 1;
    return shape_count(&row, ret_count);
}

/* Goes through the strings and notes where each part begins. */
static bool divide_strings(const struct pipeline_value *value, uint64_t part_elements,
                           uint64_t *offsets, uint32_t parts)
{
    uint64_t element = 0, done = 0;
    uint32_t part = 0;
    for (size_t i = 0; i < value->piece_count; i++) {
        struct span rest = value->pieces[i], string;
        while (rest.size) {
            if (part < parts && element == part * part_elements)
                offsets[part++] = done + (value->pieces[i].size - rest.size);
            if (!bytes_tensor_next(&rest, &string))
                return false;
            element++;
        }
        done += value->pieces[i].size;
    }
    return part == parts;
}

static bool divide_numbers(const struct pipeline_value *value, uint64_t part_elements,
                           uint64_t *offsets, uint32_t parts)
{
    uint64_t element_bytes = datatype_size_bytes(value->datatype);
    bool good = true;
    for (uint32_t i = 0; i < parts && good; i++)
        good = !__builtin_mul_overflow(i * element_bytes, part_elements, &offsets[i]) &&
               offsets[i] <= value->size_bytes;
    return good;
}

uint64_t *pipeline_value_divide(const struct pipeline_value *value, uint32_t rows,
                                uint32_t max_parts, struct arena *arena, uint32_t *ret_parts,
                                struct error *ret_error)
{
    assert(value->shape.ndim > 0 && value->shape.dims[0] >= 0 && rows > 0);
    uint64_t all = (uint64_t)value->shape.dims[0], parts = all / rows + (all % rows != 0);
    uint64_t part_elements = 0;
    if (parts > max_parts) {
        error_set(ret_error, ERROR_INVALID_ARGUMENT,
                  "it would be called for %llu parts, and %u is the most",
                  (unsigned long long)parts, max_parts);
        return NULL;
    }
    uint64_t *offsets = arena_calloc(arena, parts + 1, sizeof *offsets);
    if (!offsets) {
        error_no_memory(ret_error);
        return NULL;
    }
    offsets[parts] = value->size_bytes;
    bool good = row_elements(value, &part_elements) &&
                !__builtin_mul_overflow(part_elements, (uint64_t)rows, &part_elements);
    if (good && parts && value->datatype == TENSORD_BYTES && part_elements)
        good = divide_strings(value, part_elements, offsets, (uint32_t)parts);
    else if (good && value->datatype != TENSORD_BYTES)
        good = divide_numbers(value, part_elements, offsets, (uint32_t)parts);
    if (!good) {
        error_set(ret_error, ERROR_INTERNAL, "what it would be called for has no such rows");
        return NULL;
    }
    *ret_parts = (uint32_t)parts;
    return offsets;
}

void pipeline_value_copy(const struct pipeline_value *value, uint64_t from, uint64_t to,
                         char *ret_data)
{
    for (size_t i = 0; i < value->piece_count && from < to; i++) {
        struct span piece = value->pieces[i]; /* `from` and `to` count from its start */
        uint64_t end = to < piece.size ? to : piece.size;
        if (from < end) {
            memcpy(ret_data, piece.data + from, end - from);
            ret_data += end - from;
        }
        from = from > piece.size ? from - piece.size : 0;
        to -= end;
    }
}
