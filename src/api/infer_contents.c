/* Typed contents; see infer_contents.h. INT8 and INT16 ride in int_contents, UINT8 and UINT16 in
 * uint_contents. */
#include "api/infer_contents.h"

/* The list that values of a datatype ride in. */
struct carrier {
    uint32_t count;
    const void *items;
    size_t item_bytes; /* 0: no such list */
};

static struct carrier carrier_of(const struct inference_infer_tensor_contents *c,
                                 enum tensord_datatype datatype)
{
    switch (datatype) {
    case TENSORD_BOOL:
        return (struct carrier){c->bool_contents.count, c->bool_contents.items, sizeof(bool)};
    case TENSORD_INT8:
    case TENSORD_INT16:
    case TENSORD_INT32:
        return (struct carrier){c->int_contents.count, c->int_contents.items, sizeof(int32_t)};
    case TENSORD_INT64:
        return (struct carrier){c->int64_contents.count, c->int64_contents.items, sizeof(int64_t)};
    case TENSORD_UINT8:
    case TENSORD_UINT16:
    case TENSORD_UINT32:
        return (struct carrier){c->uint_contents.count, c->uint_contents.items, sizeof(uint32_t)};
    case TENSORD_UINT64:
        return (struct carrier){c->uint64_contents.count, c->uint64_contents.items,
                                sizeof(uint64_t)};
    case TENSORD_FP32:
        return (struct carrier){c->fp32_contents.count, c->fp32_contents.items, sizeof(float)};
    case TENSORD_FP64:
        return (struct carrier){c->fp64_contents.count, c->fp64_contents.items, sizeof(double)};
    case TENSORD_BYTES:
        return (struct carrier){c->bytes_contents.count, c->bytes_contents.items,
                                sizeof(struct span)};
    default:
        return (struct carrier){0};
    }
}

static uint64_t total_count(const struct inference_infer_tensor_contents *c)
{
    return (uint64_t)c->bool_contents.count + c->int_contents.count + c->int64_contents.count +
           c->uint_contents.count + c->uint64_contents.count + c->fp32_contents.count +
           c->fp64_contents.count + c->bytes_contents.count;
}

bool contents_size(const struct inference_infer_tensor_contents *contents,
                   enum tensord_datatype datatype, uint64_t *ret_size_bytes,
                   struct error *ret_error)
{
    struct carrier carrier = carrier_of(contents, datatype);
    if (!carrier.item_bytes)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "%s values can only be sent in raw_input_contents",
                         datatype_name(datatype));
    if (total_count(contents) != carrier.count)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the contents hold values of another datatype than %s",
                         datatype_name(datatype));
    uint64_t size = (uint64_t)carrier.count * datatype_size_bytes(datatype);
    const struct span *strings = carrier.items;
    for (uint32_t i = 0; datatype == TENSORD_BYTES && i < carrier.count; i++)
        size += sizeof(uint32_t) + strings[i].size;
    *ret_size_bytes = size;
    return true;
}

static void copy_strings(const struct span *strings, uint32_t count, char *to)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = (uint32_t)strings[i].size;
        memcpy(to, &size, sizeof size);
        if (size)
            memcpy(to + sizeof size, strings[i].data, size);
        to += sizeof size + size;
    }
}

/* The range of the narrow integers that ride in wider ones; both carriers have 32 bits. */
static bool in_range(enum tensord_datatype datatype, const char *item)
{
    int32_t number;
    uint32_t positive;
    memcpy(&number, item, sizeof number);
    memcpy(&positive, item, sizeof positive);
    switch (datatype) {
    case TENSORD_INT8:
        return number >= INT8_MIN && number <= INT8_MAX;
    case TENSORD_INT16:
        return number >= INT16_MIN && number <= INT16_MAX;
    case TENSORD_UINT8:
        return positive <= UINT8_MAX;
    default:
        return positive <= UINT16_MAX;
    }
}

bool contents_copy(const struct inference_infer_tensor_contents *contents,
                   enum tensord_datatype datatype, char *to, struct error *ret_error)
{
    struct carrier carrier = carrier_of(contents, datatype);
    size_t size = datatype_size_bytes(datatype);
    const char *items = carrier.items;
    if (datatype == TENSORD_BYTES) {
        copy_strings(carrier.items, carrier.count, to);
        return true;
    }
    if (size == carrier.item_bytes) {
        if (carrier.count)
            memcpy(to, items, carrier.count * size);
        return true;
    }
    for (uint32_t i = 0; i < carrier.count; i++) {
        const char *item = items + i * carrier.item_bytes;
        if (!in_range(datatype, item))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "value %u of the contents does not fit %s", i,
                             datatype_name(datatype));
        memcpy(to + i * size, item, size); /* little-endian: the low bytes come first */
    }
    return true;
}
