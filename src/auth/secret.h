/* The secret that a token's owner shows: "tensord_" and 43 letters and digits, 256 bits of chance.
 * Only its SHA-256 is kept: with that much chance in it a plain hash is enough, and short enough to
 * be computed for each request (one block of SHA-256, some 60 ns). */
#ifndef TENSORD_AUTH_SECRET_H
#define TENSORD_AUTH_SECRET_H

#include "base/error.h"
#include "base/span.h"

enum { SECRET_BYTES = 51, SECRET_HASH_BYTES = 32, SECRET_HASH_TEXT_BYTES = 65 };

/* What every secret starts with, so that people and scanners of code recognise one. */
#define SECRET_PREFIX "tensord_"

/* A new secret, terminated. False when the kernel gives no random bytes. */
bool secret_make(char ret_secret[SECRET_BYTES + 1], struct error *ret_error);

/* True for what secret_make may have made. */
bool secret_valid(struct span text);

/* The hash by which a secret is known. */
void secret_hash(struct span secret, unsigned char ret_hash[SECRET_HASH_BYTES]);

/* Compares in a time that does not depend on where they differ. */
bool secret_hash_equal(const unsigned char a[SECRET_HASH_BYTES],
                       const unsigned char b[SECRET_HASH_BYTES]);

/* The value of a hexadecimal digit, lower case only; -1 for anything else. */
static inline int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The hash as 64 hexadecimal digits, and back: lower case only, else false. */
const char *secret_hash_format(const unsigned char hash[SECRET_HASH_BYTES],
                               char text[SECRET_HASH_TEXT_BYTES]);
bool secret_hash_parse(struct span text, unsigned char ret_hash[SECRET_HASH_BYTES]);

#endif
