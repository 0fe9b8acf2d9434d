/* What a model's config has executed before it serves: requests that make an engine compile, cache
 * and allocate what it does at the first ones. Crosses between processes as bytes, like the rest of
 * a config (base/pack.h). Pure. */
#ifndef TENSORD_BASE_WARM_UP_H
#define TENSORD_BASE_WARM_UP_H

#include "base/pack.h"

enum {
    WARM_UP_MOST = 64,           /* of a model */
    WARM_UP_MOST_TIMES = 10000,  /* that each is executed */
    WARM_UP_FILE_BYTES = 1 << 20 /* of all files of a model together */
};

enum warm_up_data {
    WARM_UP_ZERO,   /* of BYTES: empty strings */
    WARM_UP_RANDOM, /* small numbers; of BYTES: digits */
    WARM_UP_FILE,   /* the bytes of a file */
    WARM_UP_DATA_COUNT
};

struct warm_up_input {
    struct span name;
    enum tensord_datatype datatype;
    struct shape shape; /* without rows, where the model's requests have rows */
    enum warm_up_data data;
    struct span file;  /* its name in the folder `warmup` */
    struct span bytes; /* what that holds: of one row, or of all */
};

/* A request, and how often. */
struct warm_up {
    struct span name;
    uint64_t rows, times; /* at least 1 */
    struct warm_up_input *inputs;
    size_t input_count;
};

struct warm_ups {
    struct warm_up *items;
    size_t count;
};

/* Appends; a failure shows in buf_ok. */
void warm_ups_write(const struct warm_ups *warm_ups, struct buf *buf);

/* Reads what warm_ups_write wrote; a failure shows in unpack_end. */
void warm_ups_read(struct unpack *unpack, struct warm_ups *warm_ups);

/* A deep copy in the arena. False when there is no memory. */
bool warm_ups_copy(struct arena *arena, const struct warm_ups *from, struct warm_ups *ret_copy);

#endif
