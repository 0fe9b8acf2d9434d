/* Writing and taking apart records; see record.h. */
#include "worker/record.h"

#include <string.h>

static size_t padded(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

void record_begin(struct record_writer *writer, unsigned char *data, enum record_type type)
{
    *writer = (struct record_writer){.data = data};
    record_put(writer, &(struct record_head){.type = type}, sizeof(struct record_head));
}

/* The next `size` bytes of the record, padded with zeros; NULL when it is too large. */
static unsigned char *extend(struct record_writer *writer, size_t size)
{
    if (writer->failed || size > RING_RECORD_MAX - writer->size ||
        padded(size) > RING_RECORD_MAX - writer->size) {
        writer->failed = true;
        return NULL;
    }
    unsigned char *part = writer->data + writer->size;
    memset(part + size, 0, padded(size) - size);
    writer->size += (uint32_t)padded(size);
    return part;
}

void record_put(struct record_writer *writer, const void *part, size_t size)
{
    unsigned char *room = extend(writer, size);
    if (room)
        memcpy(room, part, size);
}

void record_put_string(struct record_writer *writer, struct span string)
{
    unsigned char *room = extend(writer, string.size + 1);
    if (!room)
        return;
    if (string.size)
        memcpy(room, string.data, string.size);
    room[string.size] = 0;
}

void record_put_tensor(struct record_writer *writer, const struct channel_tensor *tensor,
                       struct span name)
{
    const struct record_tensor head = {
        .index = tensor->index,
        .datatype = tensor->datatype,
        .ndim = tensor->shape.ndim,
        .name_size = (uint32_t)name.size,
        .offset = tensor->extent.offset,
        .size_bytes = tensor->extent.size,
    };
    record_put(writer, &head, sizeof head);
    record_put(writer, tensor->shape.dims, tensor->shape.ndim * sizeof(int64_t));
    if (name.size)
        record_put_string(writer, name);
}

bool record_end(struct record_writer *writer)
{
    if (!writer->failed)
        ((struct record_head *)(void *)writer->data)->size = writer->size;
    return !writer->failed;
}

struct record_reader record_read(const void *record, enum record_type *ret_type)
{
    const struct record_head *head = record;
    *ret_type = head->type;
    return (struct record_reader){(const unsigned char *)record + sizeof *head,
                                  head->size - sizeof *head};
}

const void *record_take(struct record_reader *reader, size_t size)
{
    if (size > reader->size)
        return NULL;
    const void *part = reader->data;
    size_t step = padded(size) < reader->size ? padded(size) : reader->size;
    reader->data += step;
    reader->size -= step;
    return part;
}

bool record_take_string(struct record_reader *reader, uint32_t size, struct span *ret_string)
{
    const char *string = record_take(reader, (size_t)size + 1);
    if (!string || string[size] != '\0')
        return false;
    *ret_string = (struct span){string, size};
    return true;
}

static bool size_agrees(const struct channel_tensor *tensor)
{
    uint64_t size;
    if (tensor->datatype == TENSORD_BYTES)
        return shape_count(&tensor->shape, &size);
    return shape_size_bytes(&tensor->shape, tensor->datatype, &size) && size == tensor->extent.size;
}

bool record_take_tensor(struct record_reader *reader, struct channel_tensor *ret_tensor,
                        struct span *ret_name)
{
    const struct record_tensor *head = record_take(reader, sizeof *head);
    if (!head || head->datatype == TENSORD_INVALID || head->datatype >= TENSORD_DATATYPE_COUNT ||
        head->ndim > TENSOR_MAX_DIMS)
        return false;
    const int64_t *dims = record_take(reader, head->ndim * sizeof *dims);
    struct channel_tensor tensor = {
        .index = head->index,
        .datatype = (enum tensord_datatype)head->datatype,
        .shape = {.ndim = head->ndim},
        .extent = {head->offset, head->size_bytes},
    };
    struct span name = {0};
    if (!dims || (head->name_size && !record_take_string(reader, head->name_size, &name)))
        return false;
    memcpy(tensor.shape.dims, dims, head->ndim * sizeof *dims);
    if (!size_agrees(&tensor))
        return false;
    *ret_tensor = tensor;
    *ret_name = name;
    return true;
}
