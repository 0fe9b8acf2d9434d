/* The scan of a ModelInferRequest; see infer_scan.h. A state machine over tag, length and payload;
 * tags and lengths come byte by byte, payloads in one piece. */
#include "codec/infer_scan.h"

#include <assert.h>

enum { RAW_INPUT_CONTENTS = 7, VARINT_MAX_BYTES = 10 };
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

void infer_scan_init(struct infer_scan *scan, struct buf *head, uint64_t size_bytes)
{
    assert(head->size == 0);
    *scan = (struct infer_scan){.head = head, .left_bytes = size_bytes};
}

struct room infer_scan_room(struct infer_scan *scan)
{
    uint64_t size = scan->state == SCAN_FIELD || scan->state == SCAN_TENSOR ? scan->run_bytes : 1;
    if (!scan->left_bytes || scan->state == SCAN_ASKS)
        return (struct room){NULL, 0};
    if (scan->state == SCAN_TENSOR)
        return (struct room){scan->to, size};
    if (size > scan->head->limit_bytes - scan->head->size)
        return (struct room){NULL, 0};
    return buf_room(scan->head, size);
}

static bool malformed(struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "the message is no ModelInferRequest");
}

/* Takes the last byte of head into the varint. *ret_done tells whether it is complete. */
static bool take_varint(struct infer_scan *scan, bool *ret_done, struct error *ret_error)
{
    uint8_t byte = (uint8_t)scan->head->data[scan->head->size - 1];
    if (scan->varint_bytes == VARINT_MAX_BYTES - 1 && byte > 1)
        return malformed(ret_error);
    scan->varint |= (uint64_t)(byte & 0x7f) << (7 * scan->varint_bytes++);
    *ret_done = byte < 0x80;
    return true;
}

static void begin(struct infer_scan *scan, enum infer_scan_state state)
{
    scan->state = state;
    scan->varint = 0;
    scan->varint_bytes = 0;
}

static bool begin_run(struct infer_scan *scan, uint64_t size, struct error *ret_error)
{
    if (size > scan->left_bytes)
        return malformed(ret_error);
    scan->run_bytes = size;
    begin(scan, size ? SCAN_FIELD : SCAN_TAG);
    return true;
}

static bool take_tag(struct infer_scan *scan, struct error *ret_error)
{
    uint64_t tag = scan->varint;
    scan->wire_type = (uint32_t)(tag & 7);
    if (tag >> 3 == 0 || tag >> 3 >= UINT32_C(1) << 29)
        return malformed(ret_error);
    scan->number = (uint32_t)(tag >> 3);
    scan->tag_bytes = scan->varint_bytes;
    switch (scan->wire_type) {
    case WIRE_VARINT:
        begin(scan, SCAN_VALUE);
        return true;
    case WIRE_BYTES:
        begin(scan, SCAN_LENGTH);
        return true;
    case WIRE_64:
        return begin_run(scan, 8, ret_error);
    case WIRE_32:
        return begin_run(scan, 4, ret_error);
    default:
        return malformed(ret_error);
    }
}

static bool begin_tensor(struct infer_scan *scan, uint64_t size, struct error *ret_error)
{
    if (size > scan->left_bytes)
        return malformed(ret_error);
    scan->run_bytes = size;
    begin(scan, SCAN_ASKS);
    return true;
}

bool infer_scan_asks(const struct infer_scan *scan, uint64_t *ret_size)
{
    if (scan->state == SCAN_ASKS)
        *ret_size = scan->run_bytes;
    return scan->state == SCAN_ASKS;
}

void infer_scan_place(struct infer_scan *scan, char *to)
{
    assert(scan->state == SCAN_ASKS);
    scan->to = to;
    scan->tensor_count++;
    begin(scan, scan->run_bytes ? SCAN_TENSOR : SCAN_TAG);
}

static bool take_length(struct infer_scan *scan, struct error *ret_error)
{
    uint64_t size = scan->varint;
    if (scan->number != RAW_INPUT_CONTENTS)
        return begin_run(scan, size, ret_error);
    scan->head->size -=
        scan->varint_bytes + scan->tag_bytes; /* neither tag nor length belongs to the head */
    return begin_tensor(scan, size, ret_error);
}

static bool take_byte(struct infer_scan *scan, struct error *ret_error)
{
    bool done = false;
    scan->head->size++;
    if (!take_varint(scan, &done, ret_error))
        return false;
    if (!done)
        return true;
    switch (scan->state) {
    case SCAN_TAG:
        return take_tag(scan, ret_error);
    case SCAN_LENGTH:
        return take_length(scan, ret_error);
    default:
        begin(scan, SCAN_TAG);
        return true;
    }
}

bool infer_scan_advance(struct infer_scan *scan, size_t count, struct error *ret_error)
{
    assert(count <= scan->left_bytes && scan->state != SCAN_ASKS);
    scan->left_bytes -= count;
    if (scan->state != SCAN_FIELD && scan->state != SCAN_TENSOR)
        return take_byte(scan, ret_error);
    assert(count <= scan->run_bytes);
    if (scan->state == SCAN_TENSOR)
        scan->to += count;
    else
        scan->head->size += count;
    scan->run_bytes -= count;
    if (!scan->run_bytes)
        begin(scan, SCAN_TAG);
    return true;
}

bool infer_scan_complete(const struct infer_scan *scan)
{
    return !scan->left_bytes && scan->state == SCAN_TAG && !scan->varint_bytes;
}
