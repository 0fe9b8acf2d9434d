/* Digests; see digest.h. */
#include "push/digest.h"

#include <stdio.h>

bool digest_parse(struct span text, struct digest *ret_digest)
{
    if (text.size != DIGEST_CHARS)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    memcpy(ret_digest->text, text.data, DIGEST_CHARS);
    ret_digest->text[DIGEST_CHARS] = '\0';
    return true;
}

struct digest digest_finish(struct sha256_ctx *context)
{
    unsigned char bytes[SHA256_DIGEST_SIZE];
    struct digest digest = {0};
    sha256_digest(context, sizeof bytes, bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(digest.text + 2 * i, 3, "%02x", bytes[i]);
    return digest;
}
