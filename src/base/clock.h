/* Time. Everything but dates uses the monotonic clock. */
#ifndef TENSORD_BASE_CLOCK_H
#define TENSORD_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_NS_PER_US UINT64_C(1000)
#define CLOCK_NS_PER_MS UINT64_C(1000000)
#define CLOCK_NS_PER_S UINT64_C(1000000000)

/* No deadline. */
#define CLOCK_NEVER UINT64_MAX

/* Nanoseconds of CLOCK_MONOTONIC. Any thread; about 20 ns. */
static inline uint64_t clock_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * CLOCK_NS_PER_S + (uint64_t)t.tv_nsec;
}

#endif
