/* Tensors as JSON: arrays of numbers, booleans or strings to the bytes of a tensor, and back.
 *
 * Arrays are flat, [1,2,3,4], or nested as the shape says, [[1,2],[3,4]]: row-major both. A tensor
 * without dimensions may also be the value alone. Every datatype of the protocol is read: integers
 * within their range, BOOL from true, false, 0 and 1, FP16 and BF16 rounded to nearest even, BYTES
 * from strings. What a datatype cannot hold is an error that names the value, never a wrapped or
 * infinite number. Pure; not for several threads at once. */
#ifndef TENSORD_CODEC_TENSOR_JSON_H
#define TENSORD_CODEC_TENSOR_JSON_H

#include "base/tensor.h"
#include "codec/json.h"
#include "codec/json_writer.h"

/* Finds the shape of the arrays that come next, from the first row at each depth; checks that they
 * are JSON and does not move the reader. That the other rows have that shape too, tensor_from_json
 * checks. */
bool tensor_json_shape(struct json *json, struct shape *ret_shape);

/* Finds how many bytes the strings that come next take as a BYTES tensor; does not move the reader.
 */
bool tensor_json_bytes_size(struct json *json, uint64_t *ret_size_bytes);

/* Reads the value that comes next into `out`, whose size is what shape_size_bytes says (BYTES: what
 * tensor_json_bytes_size says). The shape has no negative dimension. On failure `out` holds
 * anything. */
bool tensor_from_json(struct json *json, enum tensord_datatype datatype, const struct shape *shape,
                      struct room out);

/* Writes `data`, a tensor of that datatype and shape, as a flat array. Each of its bytes is read
 * once and then checked, so it may lie in memory that another process writes. INVALID_ARGUMENT,
 * with a part of the array written, when JSON cannot say it: NaN or an infinity (unless
 * writer->write_nonfinite), or BYTES that are not UTF-8. INTERNAL when `data` is not such a tensor.
 * A full buffer is left to buf_ok. */
bool tensor_to_json(struct json_writer *writer, enum tensord_datatype datatype,
                    const struct shape *shape, struct span data, struct error *ret_error);

/* Takes a tensor of that datatype and shape off the front of *data and writes it nested as the
 * shape says: [[1,2],[3,4]]. Without dimensions it is the value alone; without elements, []. Else
 * as tensor_to_json; INTERNAL when *data is shorter. */
bool tensor_take_to_json(struct json_writer *writer, enum tensord_datatype datatype,
                         const struct shape *shape, struct span *data, struct error *ret_error);

/* As tensor_to_json, but a tensor of one element is written as the element alone. */
bool tensor_to_json_or_value(struct json_writer *writer, enum tensord_datatype datatype,
                             const struct shape *shape, struct span data, struct error *ret_error);

#endif
