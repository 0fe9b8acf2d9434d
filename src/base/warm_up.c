/* Warm-ups as bytes and as a copy; see warm_up.h. */
#include "base/warm_up.h"

static void write_input(const struct warm_up_input *input, struct buf *buf)
{
    pack_string(buf, input->name);
    pack_number(buf, input->datatype);
    pack_number(buf, input->shape.ndim);
    for (uint32_t d = 0; d < input->shape.ndim; d++)
        pack_number(buf, (uint64_t)input->shape.dims[d]);
    pack_number(buf, input->data);
    pack_string(buf, input->file);
    pack_string(buf, input->bytes);
}

void warm_ups_write(const struct warm_ups *warm_ups, struct buf *buf)
{
    pack_number(buf, warm_ups->count);
    for (size_t i = 0; i < warm_ups->count; i++) {
        const struct warm_up *warm_up = &warm_ups->items[i];
        pack_string(buf, warm_up->name);
        pack_number(buf, warm_up->rows);
        pack_number(buf, warm_up->times);
        pack_number(buf, warm_up->input_count);
        for (size_t j = 0; j < warm_up->input_count; j++)
            write_input(&warm_up->inputs[j], buf);
    }
}

static void read_input(struct unpack *unpack, struct warm_up_input *input)
{
    input->name = unpack_string(unpack);
    input->datatype = (enum tensord_datatype)unpack_number(unpack, TENSORD_DATATYPE_COUNT - 1);
    input->shape.ndim = (uint32_t)unpack_number(unpack, TENSOR_MAX_DIMS - 1);
    for (uint32_t d = 0; d < input->shape.ndim; d++)
        input->shape.dims[d] = (int64_t)unpack_number(unpack, INT64_MAX);
    input->data = (enum warm_up_data)unpack_number(unpack, WARM_UP_DATA_COUNT - 1);
    input->file = unpack_string(unpack);
    input->bytes = unpack_bytes(unpack);
}

void warm_ups_read(struct unpack *unpack, struct warm_ups *warm_ups)
{
    warm_ups->items = unpack_array(unpack, WARM_UP_MOST, sizeof *warm_ups->items, &warm_ups->count);
    for (size_t i = 0; i < warm_ups->count && !unpack->failed; i++) {
        struct warm_up *warm_up = &warm_ups->items[i];
        warm_up->name = unpack_string(unpack);
        warm_up->rows = unpack_number(unpack, INT32_MAX);
        unpack->failed |= warm_up->rows == 0;
        warm_up->times = unpack_number(unpack, WARM_UP_MOST_TIMES);
        warm_up->inputs = unpack_array(unpack, TENSOR_MAX_PER_REQUEST, sizeof *warm_up->inputs,
                                       &warm_up->input_count);
        for (size_t j = 0; j < warm_up->input_count && !unpack->failed; j++)
            read_input(unpack, &warm_up->inputs[j]);
    }
}

static bool copy_inputs(struct arena *arena, const struct warm_up *from, struct warm_up *to)
{
    to->inputs = arena_calloc(arena, from->input_count, sizeof *to->inputs);
    for (size_t i = 0; to->inputs && i < from->input_count; i++) {
        struct warm_up_input *input = &to->inputs[i];
        *input = from->inputs[i];
        if (!arena_copy(arena, input->name, &input->name) ||
            !arena_copy(arena, input->file, &input->file) ||
            !arena_copy(arena, input->bytes, &input->bytes))
            return false;
    }
    return to->inputs != NULL;
}

bool warm_ups_copy(struct arena *arena, const struct warm_ups *from, struct warm_ups *ret_copy)
{
    struct warm_up *copy = arena_calloc(arena, from->count, sizeof *copy);
    for (size_t i = 0; copy && i < from->count; i++) {
        copy[i] = from->items[i];
        if (!arena_copy(arena, copy[i].name, &copy[i].name) ||
            !copy_inputs(arena, &from->items[i], &copy[i]))
            return false;
    }
    *ret_copy = (struct warm_ups){copy, from->count};
    return copy != NULL;
}
