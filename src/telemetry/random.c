/* Random ids; see random.h. */
#include "telemetry/random.h"

#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static uint64_t seed(void)
{
    uint64_t value;
    struct timespec now;
    if (getrandom(&value, sizeof value, GRND_NONBLOCK) == sizeof value)
        return value;
    clock_gettime(CLOCK_REALTIME, &now); /* early in a boot: different per process will do */
    return (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec;
}

uint64_t random_next(void)
{
    static uint64_t state;
    static bool seeded;
    if (!seeded)
        state = seed();
    seeded = true;
    state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void random_id(uint8_t *to, size_t size)
{
    for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
        uint64_t number = random_next();
        size_t left = size - at;
        memcpy(to + at, &number, left < sizeof number ? left : sizeof number);
    }
    to[0] |= to[0] == 0;
}
