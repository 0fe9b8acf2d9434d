/* Structs as bytes, between processes of this one program: numbers as 8 bytes little-endian,
 * strings as a length and their bytes. Both ends are the same build, so that nothing has to be
 * skipped or defaulted: whoever reads refuses what does not fit exactly. Pure. */
#ifndef TENSORD_BASE_PACK_H
#define TENSORD_BASE_PACK_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/parameter.h"
#include "base/tensor.h"

/* Appends; a failure shows in buf_ok. */
void pack_number(struct buf *buf, uint64_t value);
void pack_string(struct buf *buf, struct span string);
void pack_tensors(struct buf *buf, const struct tensor_info *tensors, size_t count);
void pack_parameters(struct buf *buf, const struct parameter *parameters, size_t count);

/* Bytes that are being read. After a failure everything reads as zero or empty, so that it is
 * checked once, by unpack_end. */
struct unpack {
    struct span rest;
    struct arena *arena; /* of arrays; strings are views of the bytes */
    bool failed;
};

/* A number that is at most `limit`. */
uint64_t unpack_number(struct unpack *unpack, uint64_t limit);
bool unpack_bool(struct unpack *unpack);

/* A string without NUL, as paths and C strings must be. */
struct span unpack_string(struct unpack *unpack);

/* Bytes of any kind. */
struct span unpack_bytes(struct unpack *unpack);

/* How many elements follow, at most `limit`, and cleared room for them; a count that the rest of
 * the bytes cannot hold is a failure before anything is allocated. */
void *unpack_array(struct unpack *unpack, uint64_t limit, size_t element_size, size_t *ret_count);

/* At most TENSOR_MAX_PER_REQUEST descriptions. */
struct tensor_info *unpack_tensors(struct unpack *unpack, size_t *ret_count);

/* At most `limit` parameters. */
struct parameter *unpack_parameters(struct unpack *unpack, uint64_t limit, size_t *ret_count);

/* True when nothing failed and nothing is left. */
bool unpack_end(const struct unpack *unpack);

#endif
