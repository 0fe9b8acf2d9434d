/* Choosing among versions; see rollout.h. */
#include "schedule/rollout.h"

#include <string.h>

/* Mixes all bits into all (Steele, Lea, Flood 2014: SplitMix64). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* FNV-1a. Clients choose keys, and may choose those of one version: that is no more than naming it.
 */
uint64_t rollout_key(struct span text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * UINT64_C(0x100000001b3);
    return mix(hash);
}

static bool takes_part(const struct rollout *rollout, const bool *usable, size_t at)
{
    return usable[at] && rollout->weights[at].weight > 0;
}

size_t rollout_turn(const struct rollout *rollout, struct rollout_turns *turns,
                    const bool usable[ROLLOUT_MAX_VERSIONS])
{
    size_t chosen = ROLLOUT_NONE;
    int64_t total = 0;
    if (memcmp(turns->usable, usable, rollout->weight_count * sizeof *usable) != 0)
        memset(turns->credits, 0, sizeof turns->credits);
    memcpy(turns->usable, usable, rollout->weight_count * sizeof *usable);
    for (size_t i = 0; i < rollout->weight_count; i++) {
        if (!takes_part(rollout, usable, i))
            continue;
        turns->credits[i] += rollout->weights[i].weight;
        total += rollout->weights[i].weight;
        if (chosen == ROLLOUT_NONE || turns->credits[i] > turns->credits[chosen])
            chosen = i;
    }
    if (chosen != ROLLOUT_NONE)
        turns->credits[chosen] -= total;
    return chosen;
}

/* -log2(x / 2^64) in units of 2^-32, x > 0: by squaring, bit after bit. */
static uint64_t minus_log2(uint64_t x)
{
    unsigned zeros = (unsigned)__builtin_clzll(x);
    uint64_t fraction = 0;
    x <<= zeros;
    for (int bit = 31; bit >= 0; bit--) {
        unsigned __int128 square = (unsigned __int128)x * x;
        bool above = (bool)(square >> 127);
        fraction |= (uint64_t)above << bit;
        x = (uint64_t)(square >> (above ? 64 : 63));
    }
    return ((uint64_t)(zeros + 1) << 32) - fraction;
}

/* What a version draws: the smallest, divided by its weight, wins. */
static uint64_t draw(uint64_t key, uint64_t version)
{
    uint64_t bits = mix(key ^ mix(version + UINT64_C(0x9e3779b97f4a7c15)));
    return minus_log2(bits ? bits : 1);
}

size_t rollout_stick(const struct rollout *rollout, uint64_t key,
                     const bool usable[ROLLOUT_MAX_VERSIONS])
{
    size_t chosen = ROLLOUT_NONE;
    uint64_t best = 0; /* below 2^39: its products with weights fit */
    for (size_t i = 0; i < rollout->weight_count; i++) {
        if (!takes_part(rollout, usable, i))
            continue;
        uint64_t drawn = draw(key, rollout->weights[i].version);
        if (chosen != ROLLOUT_NONE &&
            drawn * rollout->weights[chosen].weight >= best * rollout->weights[i].weight)
            continue;
        chosen = i;
        best = drawn;
    }
    return chosen;
}

size_t rollout_primary(const struct rollout *rollout, const bool usable[ROLLOUT_MAX_VERSIONS])
{
    size_t chosen = ROLLOUT_NONE;
    for (size_t i = 0; i < rollout->weight_count; i++) {
        if (takes_part(rollout, usable, i) &&
            (chosen == ROLLOUT_NONE ||
             rollout->weights[i].weight > rollout->weights[chosen].weight))
            chosen = i;
    }
    return chosen;
}

bool rollout_copies(const struct rollout *rollout, struct rollout_turns *turns)
{
    turns->shadow_credit += rollout->shadow_share;
    if (turns->shadow_credit < ROLLOUT_WHOLE)
        return false;
    turns->shadow_credit -= ROLLOUT_WHOLE;
    return true;
}

bool rollout_equal(const struct rollout *a, const struct rollout *b)
{
    if (a->weight_count != b->weight_count || strcmp(a->sticky, b->sticky) != 0 ||
        a->shadow != b->shadow || a->shadow_share != b->shadow_share)
        return false;
    for (size_t i = 0; i < a->weight_count; i++) {
        if (a->weights[i].version != b->weights[i].version ||
            a->weights[i].weight != b->weights[i].weight)
            return false;
    }
    return true;
}
