/* Secrets; see secret.h. SHA-256 is nettle's: it takes 16 KiB of each process's own memory, where
 * OpenSSL's libcrypto takes 400 KiB, and every worker is a process of this program. Hashes are
 * compared word by word: nettle's memeql_sec goes byte by byte and takes longer than the hash. */
#include "auth/secret.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

enum { LETTERS = sizeof alphabet - 1, PREFIX_BYTES = sizeof SECRET_PREFIX - 1 };

/* 62^43 > 2^256 */
_Static_assert(SECRET_BYTES - PREFIX_BYTES == 43 && LETTERS == 62, "a secret has 256 bits");

bool secret_make(char ret_secret[SECRET_BYTES + 1], struct error *ret_error)
{
    size_t at = PREFIX_BYTES;
    char secret[SECRET_BYTES + 1] = SECRET_PREFIX;
    while (at < SECRET_BYTES) {
        unsigned char chance[64];
        if (getrandom(chance, sizeof chance, 0) != sizeof chance)
            return error_set(ret_error, ERROR_INTERNAL, "the kernel gives no random bytes: %s",
                             strerror(errno));
        for (size_t i = 0; i < sizeof chance && at < SECRET_BYTES; i++) {
            if (chance[i] < 256 / LETTERS * LETTERS) /* else the first letters would be likelier */
                secret[at++] = alphabet[chance[i] % LETTERS];
        }
    }
    memcpy(ret_secret, secret, sizeof secret);
    return true;
}

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool secret_valid(struct span text)
{
    if (text.size != SECRET_BYTES || !span_starts_with(text, SPAN(SECRET_PREFIX)))
        return false;
    for (size_t i = PREFIX_BYTES; i < SECRET_BYTES; i++) {
        if (!is_letter_or_digit(text.data[i]))
            return false;
    }
    return true;
}

void secret_hash(struct span secret, unsigned char ret_hash[SECRET_HASH_BYTES])
{
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, secret.size, (const uint8_t *)secret.data);
    sha256_digest(&context, SECRET_HASH_BYTES, ret_hash);
}

bool secret_hash_equal(const unsigned char a[SECRET_HASH_BYTES],
                       const unsigned char b[SECRET_HASH_BYTES])
{
    uint64_t difference = 0;
    for (size_t i = 0; i < SECRET_HASH_BYTES; i += sizeof(uint64_t)) {
        uint64_t left, right;
        memcpy(&left, a + i, sizeof left);
        memcpy(&right, b + i, sizeof right);
        difference |= left ^ right;
        __asm__("" : "+r"(difference)); /* no compiler may know when it is decided */
    }
    return difference == 0;
}

const char *secret_hash_format(const unsigned char hash[SECRET_HASH_BYTES],
                               char text[SECRET_HASH_TEXT_BYTES])
{
    for (size_t i = 0; i < SECRET_HASH_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    return text;
}

bool secret_hash_parse(struct span text, unsigned char ret_hash[SECRET_HASH_BYTES])
{
    unsigned char hash[SECRET_HASH_BYTES];
    if (text.size != 2 * SECRET_HASH_BYTES)
        return false;
    for (size_t i = 0; i < SECRET_HASH_BYTES; i++) {
        int high = hex_value(text.data[2 * i]), low = hex_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        hash[i] = (unsigned char)(high << 4 | low);
    }
    memcpy(ret_hash, hash, sizeof hash);
    return true;
}
