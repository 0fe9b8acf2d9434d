/* The digest by which a file's content is known: its SHA-256 as text. */
#ifndef TENSORD_PUSH_DIGEST_H
#define TENSORD_PUSH_DIGEST_H

#include "base/span.h"

#include <nettle/sha2.h>

enum { DIGEST_CHARS = 64 };

/* 64 hexadecimal digits, lower case, terminated: it is the name of a file, too. */
struct digest {
    char text[DIGEST_CHARS + 1];
};

/* Takes over a text. False, and nothing taken, when it is anything but 64 such digits. */
bool digest_parse(struct span text, struct digest *ret_digest);

/* The digest of what the context was given, which starts anew. */
struct digest digest_finish(struct sha256_ctx *context);

static inline bool digest_equal(const struct digest *a, const struct digest *b)
{
    return memcmp(a->text, b->text, DIGEST_CHARS) == 0;
}

#endif
