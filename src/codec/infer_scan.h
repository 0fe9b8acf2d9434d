/* Receives one large ModelInferRequest so that its tensors land where they stay.
 *
 * Field 7, raw_input_contents, holds the tensors' bytes; it comes last, since encoders write fields
 * in the order of their numbers. The scan reads the message's outermost tags, collects all other
 * fields in `head` (which is then a message of its own, without the tensors) and stops before each
 * tensor until it is told where its bytes go. It is pulled: it says where the next bytes belong and
 * never takes more, so nothing is copied twice. Pure.
 *
 * (Protocol Buffers encoding: https://protobuf.dev/programming-guides/encoding/) */
#ifndef TENSORD_CODEC_INFER_SCAN_H
#define TENSORD_CODEC_INFER_SCAN_H

#include "base/buf.h"
#include "base/error.h"

struct infer_scan {
    struct buf *head;    /* may be exchanged for another between two calls */
    uint64_t left_bytes; /* of the message */
    uint64_t run_bytes;  /* still to come of the field, or 0: a tag or length comes next */
    uint64_t varint;     /* as far as it was read */
    uint32_t varint_bytes, tag_bytes;
    uint32_t number; /* of the field */
    uint32_t wire_type;
    enum infer_scan_state {
        SCAN_TAG,
        SCAN_VALUE,
        SCAN_LENGTH,
        SCAN_FIELD,
        SCAN_ASKS,
        SCAN_TENSOR
    } state;
    size_t tensor_count; /* that have a place */
    char *to;            /* where the tensor's next byte goes */
};

/* Starts a message of size_bytes; head must be empty. */
void infer_scan_init(struct infer_scan *scan, struct buf *head, uint64_t size_bytes);

/* True when a tensor of *ret_size bytes (perhaps 0) begins and has no place yet: infer_scan_place
 * tells it, now or later. Until then there is no room. To be asked after each advance, and again
 * after each place. */
bool infer_scan_asks(const struct infer_scan *scan, uint64_t *ret_size);
void infer_scan_place(struct infer_scan *scan, char *to);

/* Where the next bytes of the message go; size 0 when it is complete or asks, or when there is no
 * memory. */
struct room infer_scan_room(struct infer_scan *scan);

/* `count` bytes, at most the room's size, were put there. */
bool infer_scan_advance(struct infer_scan *scan, size_t count, struct error *ret_error);

/* True when the message is complete and ended between two fields. */
bool infer_scan_complete(const struct infer_scan *scan);

#endif
