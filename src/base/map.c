/* Hash maps with open addressing and backward-shift deletion; see map.h. */
#include "base/map.h"

#include "base/siphash.h"

#include <stdlib.h>
#include <sys/random.h>

static uint64_t seed[2];
static bool seeded;

/* SipHash-1-3: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012. */
static uint64_t hash_of(struct span key)
{
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575, seed[1] ^ 0x646f72616e646f6d,
                     seed[0] ^ 0x6c7967656e657261, seed[1] ^ 0x7465646279746573};
    size_t at = 0;
    uint64_t word;
    for (; key.size - at >= 8; at += 8) {
        memcpy(&word, key.data + at, 8);
        v[3] ^= word;
        siphash_round(v);
        v[0] ^= word;
    }
    word = (uint64_t)key.size << 56;
    for (size_t i = 0; at + i < key.size; i++)
        word |= (uint64_t)(uint8_t)key.data[at + i] << (8 * i);
    v[3] ^= word;
    siphash_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        siphash_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *map)
{
    *map = (struct map){0};
    if (!seeded)
        seeded = getrandom(seed, sizeof seed, GRND_NONBLOCK) == sizeof seed;
}

void map_fini(struct map *map)
{
    if (!map)
        return;
    free(map->slots);
    *map = (struct map){0};
}

/* The slot of key, or the free slot where it belongs. The map has a free slot. */
static struct map_slot *slot_of(const struct map *map, struct span key, uint64_t hash)
{
    size_t mask = map->capacity - 1, at = hash & mask;
    while (map->slots[at].value &&
           !(map->slots[at].hash == hash && span_equal(map->slots[at].key, key)))
        at = (at + 1) & mask;
    return &map->slots[at];
}

static bool grow(struct map *map)
{
    struct map larger = {.capacity = map->capacity ? map->capacity * 2 : 16, .count = map->count};
    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].value)
            *slot_of(&larger, map->slots[i].key, map->slots[i].hash) = map->slots[i];
    }
    free(map->slots);
    *map = larger;
    return true;
}

void *map_get(const struct map *map, struct span key)
{
    return map->count ? slot_of(map, key, hash_of(key))->value : NULL;
}

bool map_set(struct map *map, struct span key, void *value)
{
    if ((map->count + 1) * 4 > map->capacity * 3 && !grow(map))
        return false;
    uint64_t hash = hash_of(key);
    struct map_slot *slot = slot_of(map, key, hash);
    map->count += !slot->value;
    *slot = (struct map_slot){key, value, hash};
    return true;
}

void *map_remove(struct map *map, struct span key)
{
    if (!map->count)
        return NULL;
    struct map_slot *slot = slot_of(map, key, hash_of(key));
    void *value = slot->value;
    if (!value)
        return NULL;
    size_t mask = map->capacity - 1, hole = (size_t)(slot - map->slots);
    for (size_t at = (hole + 1) & mask; map->slots[at].value; at = (at + 1) & mask) {
        size_t home = map->slots[at].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = (struct map_slot){0};
    map->count--;
    return value;
}

bool map_next(const struct map *map, size_t *position, struct map_slot *ret_slot)
{
    while (*position < map->capacity) {
        struct map_slot *slot = &map->slots[(*position)++];
        if (slot->value) {
            *ret_slot = *slot;
            return true;
        }
    }
    return false;
}
