/* Who makes a request, as far as the gate has found out. A small value, copied: requests outlive
 * the connections and the tokens that they came with. Equal callers share what is shared fairly. */
#ifndef TENSORD_BASE_CALLER_H
#define TENSORD_BASE_CALLER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum caller_kind {
    CALLER_NOBODY, /* came over a network and showed no token */
    CALLER_LOCAL,  /* came over loopback and showed no token */
    CALLER_USER,   /* a user of this machine, over a unix socket */
    CALLER_TOKEN,
};

struct caller {
    enum caller_kind kind;
    uint32_t id;     /* the user's uid, or the token's id */
    uint32_t weight; /* of its turns among others'; 0: 1. Not what it is known by */
};

static inline bool caller_equal(struct caller a, struct caller b)
{
    return a.kind == b.kind && a.id == b.id;
}

enum { CALLER_TEXT_BYTES = 32 };

/* Writes "nobody", "local", "user 1000" or "token 3f9c2a71" into text, cut to fit. Returns text. */
static inline const char *caller_format(struct caller caller, char *text, size_t size)
{
    switch (caller.kind) {
    case CALLER_NOBODY:
        snprintf(text, size, "nobody");
        break;
    case CALLER_LOCAL:
        snprintf(text, size, "local");
        break;
    case CALLER_USER:
        snprintf(text, size, "user %u", caller.id);
        break;
    case CALLER_TOKEN:
        snprintf(text, size, "token %08x", caller.id);
        break;
    }
    return text;
}

#endif
