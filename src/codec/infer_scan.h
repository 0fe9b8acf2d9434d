/* Splits a ModelInferRequest that arrives in slices into its head and its large tensors.
 *
 * A request over gRPC is one protobuf message, most of which are the payloads of raw_input_contents
 * (field 7). Collecting it whole before decoding would cost a copy of everything. Instead the
 * top-level fields are followed as they arrive: what is small becomes the head, and a payload of
 * outside_bytes or more is copied straight to where the caller wants it, as soon as the head names
 * the model. The head is itself a valid ModelInferRequest: its raw_input_contents are those
 * payloads that stayed in it, in their order.
 *
 * Fields may come in any order: a payload that comes before model_name or before any input stays in
 * the head, whatever its size, up to head_bytes. Only model_name and model_version may not follow a
 * payload that was already put where they said.
 *
 * Pure: no clock, no input or output. Any thread, one at a time. */
#ifndef TENSORD_CODEC_INFER_SCAN_H
#define TENSORD_CODEC_INFER_SCAN_H

#include "base/buf.h"
#include "base/error.h"
#include "base/tensor.h"

struct infer_scan_limits {
    uint64_t message_bytes; /* of the message: its size, where that is known */
    size_t head_bytes;
    size_t outside_bytes; /* payloads of this size and more leave the head */
};

/* The caller's room for payloads. */
struct infer_scan_rooms {
    void *context;
    /* Where the bytes of raw_input_contents[index], of `size` bytes in all, go from `offset` on.
     * The room may be for a part of them; this is called again for the rest. Size 0: there is no
     * room now. At the first call for a payload the scan's head may be decoded. */
    struct room (*room)(void *context, size_t index, uint64_t size, uint64_t offset);
};

struct infer_scan {
    struct infer_scan_limits limits;
    struct infer_scan_rooms rooms;
    struct buf head;
    uint64_t seen_bytes;                           /* of the message */
    size_t raw_count;                              /* payloads that have begun */
    uint64_t outside[TENSOR_MAX_PER_REQUEST / 64]; /* bit i: payload i is not in the head */
    bool has_model, has_input, has_outside;
    enum infer_scan_state {
        SCAN_TAG,     /* in the tag of a field */
        SCAN_LENGTH,  /* in the length of a field */
        SCAN_VARINT,  /* in a varint, which goes to the head */
        SCAN_HEAD,    /* in a value, which goes to the head */
        SCAN_OUTSIDE, /* in a payload that goes outside */
    } state;
    char pending[20]; /* tag and length, until it is known where they go */
    uint8_t pending_size;
    uint8_t varint_start; /* of the varint that is being read, in pending */
    uint32_t field;       /* number of the field whose value is read */
    uint64_t value_size;
    uint64_t value_left;
};

/* Starts to scan a message. Nothing is allocated yet. */
void infer_scan_init(struct infer_scan *scan, const struct infer_scan_limits *limits,
                     const struct infer_scan_rooms *rooms);

/* Frees the head. */
void infer_scan_fini(struct infer_scan *scan);

/* Takes in the next bytes of the message. *ret_taken is how many were taken: all of them, unless
 * there was no room for a payload; the rest is to be fed again when there is. False when the bytes
 * are no such message (INVALID_ARGUMENT), a limit is passed (TOO_LARGE) or there is no memory; the
 * scan is then over. */
bool infer_scan_feed(struct infer_scan *scan, struct span bytes, size_t *ret_taken,
                     struct error *ret_error);

/* Ends the message; false when it is cut. The head is then complete. */
bool infer_scan_end(const struct infer_scan *scan, struct error *ret_error);

/* Whether raw_input_contents[index] went outside; else it is the next one of the head's. */
static inline bool infer_scan_is_outside(const struct infer_scan *scan, size_t index)
{
    return scan->outside[index / 64] >> index % 64 & 1;
}

#endif
