/* The scan of a ModelInferRequest; see infer_scan.h. A state machine over the top-level fields;
 * nested messages are bytes here, and what is wrong in them shows when the head is decoded. */
#include "codec/infer_scan.h"
#include "codec/protobuf_wire.h"

/* Field numbers of ModelInferRequest. */
enum { MODEL_NAME = 1, MODEL_VERSION = 2, INPUTS = 5, RAW_INPUT_CONTENTS = 7 };

void infer_scan_init(struct infer_scan *scan, const struct infer_scan_limits *limits,
                     const struct infer_scan_rooms *rooms)
{
    *scan = (struct infer_scan){.limits = *limits, .rooms = *rooms};
    buf_init(&scan->head, limits->head_bytes);
}

void infer_scan_fini(struct infer_scan *scan)
{
    if (scan)
        buf_fini(&scan->head);
}

static bool fail(const struct infer_scan *scan, const char *what, struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "cannot read inference.ModelInferRequest: %s at byte %llu", what,
                     (unsigned long long)scan->seen_bytes);
}

static bool fail_large(const struct infer_scan *scan, struct error *ret_error)
{
    return error_set(ret_error, ERROR_TOO_LARGE,
                     "the request without its tensors is larger than %zu bytes",
                     scan->limits.head_bytes);
}

static bool head_append(struct infer_scan *scan, const char *bytes, size_t size,
                        struct error *ret_error)
{
    if (size > scan->limits.head_bytes - scan->head.size)
        return fail_large(scan, ret_error);
    return buf_append(&scan->head, (struct span){bytes, size}) || error_no_memory(ret_error);
}

/* Moves tag and length to the head. */
static bool flush_pending(struct infer_scan *scan, struct error *ret_error)
{
    size_t size = scan->pending_size;
    scan->pending_size = scan->varint_start = 0;
    return head_append(scan, scan->pending, size, ret_error);
}

/* Begins the value of `size` bytes that follows. */
static void begin_value(struct infer_scan *scan, enum infer_scan_state state, uint64_t size)
{
    scan->state = size ? state : SCAN_TAG;
    scan->value_size = scan->value_left = size;
}

static bool begin_head_value(struct infer_scan *scan, uint64_t size, struct error *ret_error)
{
    if (!flush_pending(scan, ret_error))
        return false;
    if (size > scan->limits.head_bytes - scan->head.size)
        return fail_large(scan, ret_error);
    begin_value(scan, SCAN_HEAD, size);
    return true;
}

/* Counts a payload and says whether it goes outside. */
static bool begin_raw(struct infer_scan *scan, uint64_t size, struct error *ret_error)
{
    if (scan->raw_count == TENSOR_MAX_PER_REQUEST)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "a request has at most %d inputs",
                         TENSOR_MAX_PER_REQUEST);
    size_t index = scan->raw_count++;
    if (size < scan->limits.outside_bytes || size == 0 || !scan->has_model || !scan->has_input)
        return begin_head_value(scan, size, ret_error);
    scan->outside[index / 64] |= UINT64_C(1) << index % 64;
    scan->has_outside = true;
    scan->pending_size = scan->varint_start = 0;
    begin_value(scan, SCAN_OUTSIDE, size);
    return true;
}

static bool take_tag(struct infer_scan *scan, uint64_t tag, struct error *ret_error)
{
    if (tag > UINT32_MAX || tag >> 3 == 0)
        return fail(scan, "bad tag", ret_error);
    scan->field = (uint32_t)(tag >> 3);
    if (scan->has_outside && (scan->field == MODEL_NAME || scan->field == MODEL_VERSION))
        return fail(scan, "the model is named after raw_input_contents", ret_error);
    switch (tag & 7) {
    case PB_WIRE_LENGTH:
        scan->state = SCAN_LENGTH;
        scan->varint_start = scan->pending_size;
        return true;
    case PB_WIRE_VARINT:
        scan->state = SCAN_VARINT;
        scan->varint_start = scan->pending_size;
        return true;
    case PB_WIRE_64:
        return begin_head_value(scan, 8, ret_error);
    case PB_WIRE_32:
        return begin_head_value(scan, 4, ret_error);
    default:
        return fail(scan, "groups are not supported", ret_error);
    }
}

static bool take_length(struct infer_scan *scan, uint64_t length, struct error *ret_error)
{
    if (length > scan->limits.message_bytes - scan->seen_bytes)
        return fail(scan, "length passes the end", ret_error);
    if (scan->field == RAW_INPUT_CONTENTS)
        return begin_raw(scan, length, ret_error);
    scan->has_model |= scan->field == MODEL_NAME;
    scan->has_input |= scan->field == INPUTS;
    return begin_head_value(scan, length, ret_error);
}

/* Takes one byte of a varint, and acts on the varint when that was its last one. */
static bool take_varint_byte(struct infer_scan *scan, char byte, struct error *ret_error)
{
    scan->seen_bytes++;
    scan->pending[scan->pending_size++] = byte;
    if ((unsigned char)byte >= 0x80) {
        if (scan->pending_size - scan->varint_start == PB_VARINT_MAX)
            return fail(scan, "bad varint", ret_error);
        return true;
    }
    const char *at = scan->pending + scan->varint_start;
    uint64_t value;
    if (!pb_varint_read(&at, scan->pending + scan->pending_size, &value))
        return fail(scan, "bad varint", ret_error);
    switch (scan->state) {
    case SCAN_TAG:
        return take_tag(scan, value, ret_error);
    case SCAN_LENGTH:
        return take_length(scan, value, ret_error);
    default:
        scan->state = SCAN_TAG;
        return flush_pending(scan, ret_error);
    }
}

/* Takes bytes of the value that is being read; returns how many, 0 when there is no room for them
 * now. */
static size_t take_value(struct infer_scan *scan, const char *from, size_t size)
{
    if (size > scan->value_left)
        size = (size_t)scan->value_left;
    if (scan->state == SCAN_HEAD) {
        if (!buf_append(&scan->head, (struct span){from, size}))
            return 0;
    } else {
        struct room room = scan->rooms.room(scan->rooms.context, scan->raw_count - 1,
                                            scan->value_size, scan->value_size - scan->value_left);
        if (size > room.size)
            size = room.size;
        if (size)
            memcpy(room.data, from, size);
    }
    scan->seen_bytes += size;
    scan->value_left -= size;
    if (scan->value_left == 0)
        scan->state = SCAN_TAG;
    return size;
}

bool infer_scan_feed(struct infer_scan *scan, struct span bytes, size_t *ret_taken,
                     struct error *ret_error)
{
    if (bytes.size > scan->limits.message_bytes - scan->seen_bytes)
        return error_set(ret_error, ERROR_TOO_LARGE, "the message is larger than %llu bytes",
                         (unsigned long long)scan->limits.message_bytes);
    size_t at = 0;
    while (at < bytes.size) {
        if (scan->state == SCAN_HEAD || scan->state == SCAN_OUTSIDE) {
            size_t taken = take_value(scan, bytes.data + at, bytes.size - at);
            if (!buf_ok(&scan->head))
                return error_no_memory(ret_error);
            if (taken == 0)
                break;
            at += taken;
        } else if (!take_varint_byte(scan, bytes.data[at++], ret_error)) {
            return false;
        }
    }
    *ret_taken = at;
    return true;
}

bool infer_scan_end(const struct infer_scan *scan, struct error *ret_error)
{
    if (scan->state != SCAN_TAG || scan->pending_size > 0)
        return fail(scan, "message is cut", ret_error);
    return true;
}
