/* Tensors that a model has otherwise than clients: reshaped, joined although their shapes differ,
 * or made by the server from how a batch was put together. As a model's config says it; crosses
 * between processes as bytes, like the rest of a config (base/pack.h). Pure. */
#ifndef TENSORD_BASE_SHAPING_H
#define TENSORD_BASE_SHAPING_H

#include "base/padding.h"

enum shaped_kind {
    SHAPED_RESHAPED,  /* the same elements, in another shape */
    SHAPED_RAGGED,    /* an input: of all joined requests one row of elements, without padding */
    SHAPED_SCATTERED, /* an output: each request gets as much as the shape of an input says */
    SHAPED_KIND_COUNT
};

/* A tensor that clients see in another shape than the model. Shapes have the rows in front where
 * the model's requests have rows. */
struct shaped_tensor {
    struct span name;
    bool is_output;
    enum shaped_kind kind;
    struct shape client;
    struct shape model; /* of a RESHAPED one: with as many dimensions of any size */
    struct span source; /* of a SCATTERED one: the input whose dimensions it has where its own are
                           of any size */
};

/* In Triton's order, and with its meaning. */
enum batch_input_kind {
    BATCH_ELEMENT_COUNT,
    BATCH_ACCUMULATED_ELEMENT_COUNT,
    BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO,
    BATCH_MAX_ELEMENT_COUNT_AS_SHAPE,
    BATCH_ITEM_SHAPE,
    BATCH_ITEM_SHAPE_FLATTEN,
    BATCH_INPUT_KIND_COUNT
};

/* An input that the server makes. */
struct batch_input {
    struct span name;
    enum batch_input_kind kind;
    enum tensord_datatype datatype; /* INT32 or FP32 */
    struct span source;             /* the input of which it tells */
};

struct shaping {
    struct shaped_tensor *tensors;
    size_t tensor_count;
    struct batch_input *batch_inputs;
    size_t batch_input_count;
    struct padding *paddings;
    size_t padding_count;
};

/* Appends; a failure shows in buf_ok. */
void shaping_write(const struct shaping *shaping, struct buf *buf);

/* Reads what shaping_write wrote; a failure shows in unpack_end. */
void shaping_read(struct unpack *unpack, struct shaping *shaping);

/* A deep copy in the arena. False when there is no memory. */
bool shaping_copy(struct arena *arena, const struct shaping *from, struct shaping *ret_copy);

/* Makes of a model's own schema what clients see: their shapes, and which inputs are none of their
 * business. False with INVALID_ARGUMENT when the model has not what the config names. */
bool shaping_show(const struct shaping *shaping, struct schema *schema, struct error *ret_error);

/* How an input of that schema is padded; NULL: it is not. */
const struct padding *shaping_padding(const struct shaping *shaping,
                                      const struct tensor_info *info);

/* ---- shapes ---- */

/* Whether every tensor of one of the shapes has as many elements as it has in the other: the
 * dimensions of any size come in the same order, and those between them give the same product. */
bool reshape_is_possible(const struct shape *from, const struct shape *to);

/* The shape `to` with its dimensions of any size as they are in `shape`, which is one of `from`.
 * False when it is none. */
bool reshape(const struct shape *from, const struct shape *to, const struct shape *shape,
             struct shape *ret_shape);

/* `pattern` with the dimensions of `source` where its own are of any size. False when source has
 * not so many. */
bool shape_fill(const struct shape *pattern, const struct shape *source, struct shape *ret_shape);

/* ---- inputs that the server makes ---- */

/* The shape of such an input: items[i] is the shape of the source in request i, of at least one,
 * all with as many dimensions and rows in front. False on overflow. */
bool batch_input_shape(enum batch_input_kind kind, const struct shape *items, size_t count,
                       struct shape *ret_shape);

/* Its elements: of as many as batch_input_shape says. False when one is more than the datatype
 * holds. BATCH_MAX_ELEMENT_COUNT_AS_SHAPE has zeros. */
bool batch_input_fill(const struct batch_input *input, const struct shape *items, size_t count,
                      void *data);

#endif
