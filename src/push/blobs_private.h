/* What the files of the blobs share. For blob*.c alone. */
#ifndef TENSORD_PUSH_BLOBS_PRIVATE_H
#define TENSORD_PUSH_BLOBS_PRIVATE_H

#include "push/blobs.h"

enum { PART_NAME_BYTES = DIGEST_CHARS + 8, BLOB_MODE = 0444 };

/* The name of the file that has not come whole. */
static inline const char *blob_part_name(const struct digest *digest, char name[PART_NAME_BYTES])
{
    memcpy(name, digest->text, DIGEST_CHARS);
    memcpy(name + DIGEST_CHARS, ".part", 6);
    return name;
}

/* A blob that is being received, or was a moment ago: its open file, and the hash of what is there,
 * so that one that comes in many requests is not read again for each. */
struct blob_partial {
    struct list_link link;
    struct blobs *blobs;
    struct digest digest;
    struct timer timer; /* closes it when nobody goes on */
    int fd;             /* -1: not open yet; locked by this server when it is */
    uint64_t size;      /* bytes that are there and hashed */
    struct sha256_ctx hash;
    uint64_t known_bytes; /* of size, what the loop knows */
    bool busy;            /* an upload has it: size, hash and fd are its thread's */
};

#endif
