/* Records of a channel, piece by piece: what channel_layout.h describes, written into and taken out
 * of private memory. Taking checks that every piece lies within the record and is well formed;
 * whether it makes sense is the taker's to check. Pure; shared by both ends. */
#ifndef TENSORD_WORKER_RECORD_H
#define TENSORD_WORKER_RECORD_H

#include "worker/channel.h"
#include "worker/channel_layout.h"

/* A record that is being written. */
struct record_writer {
    unsigned char *data; /* RING_RECORD_MAX bytes, aligned to 8 */
    uint32_t size;
    bool failed; /* it has become too large */
};

/* Starts a record in `data`. */
void record_begin(struct record_writer *writer, unsigned char *data, enum record_type type);

/* Appends; after a failure nothing more is done, so that record_end alone needs to be looked at. */
void record_put(struct record_writer *writer, const void *part, size_t size);
void record_put_string(struct record_writer *writer, struct span string);
/* name: empty where the record says no names. */
void record_put_tensor(struct record_writer *writer, const struct channel_tensor *tensor,
                       struct span name);

/* Completes the record for ring_write. False when it has become too large. */
bool record_end(struct record_writer *writer);

/* A record that is being taken apart; what is taken stays in its memory. */
struct record_reader {
    const unsigned char *data; /* aligned to 8 */
    size_t size;
};

/* Starts behind the head of a record that ring_read has copied. */
struct record_reader record_read(const void *record, enum record_type *ret_type);

/* The next `size` bytes, or NULL when the record ends before. */
const void *record_take(struct record_reader *reader, size_t size);

/* A string of `size` bytes; its data is followed by a NUL. False when it is not there. */
bool record_take_string(struct record_reader *reader, uint32_t size, struct span *ret_string);

/* A tensor. Its datatype is a datatype and its dimensions are ≥ 0 and ≤ TENSOR_MAX_DIMS many; its
 * bytes' size agrees with them, except that of BYTES, which only its content can tell. */
bool record_take_tensor(struct record_reader *reader, struct channel_tensor *ret_tensor,
                        struct span *ret_name);

#endif
