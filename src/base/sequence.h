/* What a request says of the sequence that it is of: `sequence_id`, `sequence_start` and
 * `sequence_end` of the protocol. Values only. */
#ifndef TENSORD_BASE_SEQUENCE_H
#define TENSORD_BASE_SEQUENCE_H

#include "base/span.h"

enum { SEQUENCE_MAX_ID = 128 }; /* bytes, of one that is text */

/* A number or a text: 7 and "7" are two sequences. Neither: the request is of none. */
struct sequence_id {
    struct span text;
    uint64_t number; /* 0: it is the text */
};

struct sequence_mark {
    struct sequence_id id;
    bool starts, ends; /* it is the first, the last of its sequence */
};

static inline bool sequence_is_named(const struct sequence_mark *mark)
{
    return mark->id.number > 0 || mark->id.text.size > 0;
}

#endif
