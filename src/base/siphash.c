/* SipHash-2-4-128; see siphash.h. */
#include "base/siphash.h"

#include <string.h>

enum { WORD = 8 };

void siphash_init(struct siphash *hash, const uint64_t key[2])
{
    *hash = (struct siphash){{key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d ^ 0xee,
                              key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573},
                             0,
                             0};
}

static void add_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    siphash_round(v);
    siphash_round(v);
    v[0] ^= word;
}

/* Adds bytes one by one until a word is whole, or there are no more. */
static struct span fill_tail(struct siphash *hash, struct span bytes)
{
    while (bytes.size && hash->size % WORD) {
        hash->tail |= (uint64_t)(uint8_t)bytes.data[0] << (hash->size % WORD * 8);
        bytes = span_after(bytes, 1);
        if (++hash->size % WORD == 0) {
            add_word(hash->v, hash->tail);
            hash->tail = 0;
        }
    }
    return bytes;
}

void siphash_add(struct siphash *hash, struct span bytes)
{
    bytes = fill_tail(hash, bytes);
    uint64_t v[4] = {hash->v[0], hash->v[1], hash->v[2], hash->v[3]}; /* in registers */
    size_t at = 0;
    for (; bytes.size - at >= WORD; at += WORD) {
        uint64_t word;
        memcpy(&word, bytes.data + at, WORD);
        add_word(v, word);
    }
    memcpy(hash->v, v, sizeof v);
    hash->size += at;
    for (; at < bytes.size; at++, hash->size++)
        hash->tail |= (uint64_t)(uint8_t)bytes.data[at] << (hash->size % WORD * 8);
}

void siphash_add_u64(struct siphash *hash, uint64_t number)
{
    siphash_add(hash, (struct span){(const char *)&number, sizeof number});
}

void siphash_add_string(struct siphash *hash, struct span string)
{
    siphash_add_u64(hash, string.size);
    siphash_add(hash, string);
}

static uint64_t squeeze(uint64_t v[4])
{
    for (int i = 0; i < 4; i++)
        siphash_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct siphash_value siphash_finish(struct siphash *hash)
{
    struct siphash_value value;
    add_word(hash->v, hash->tail | hash->size << 56);
    hash->v[2] ^= 0xee;
    value.words[0] = squeeze(hash->v);
    hash->v[1] ^= 0xdd;
    value.words[1] = squeeze(hash->v);
    return value;
}
