/* What a request says of the shared memory of one of its tensors. */
#ifndef TENSORD_API_REGION_WORDS_H
#define TENSORD_API_REGION_WORDS_H

#include "base/span.h"

/* Zeroed at first: the tensor is not in shared memory. */
struct region_words {
    struct span region; /* its name; data NULL: none is named */
    uint64_t offset, size_bytes;
    bool has_offset, has_size;
};

#endif
