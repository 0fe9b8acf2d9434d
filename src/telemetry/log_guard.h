/* Keeps repeated lines from filling a log. Pure; the caller tells the time. */
#ifndef TENSORD_TELEMETRY_LOG_GUARD_H
#define TENSORD_TELEMETRY_LOG_GUARD_H

#include <stdbool.h>
#include <stdint.h>

enum { LOG_GUARD_SLOTS = 256 };

struct log_guard_slot {
    uint64_t key; /* 0: free */
    int64_t since_s;
    uint32_t count;   /* lines since then */
    uint32_t omitted; /* those that were left out */
};

struct log_guard {
    struct log_guard_slot slots[LOG_GUARD_SLOTS];
};

/* Whether a line with this key (not 0) may be written at now_s (monotonic seconds): at most
 * LOG_REPEATS in LOG_PERIOD_S. *ret_omitted is how many like it were left out before this one and
 * are to be told now; mostly 0. With more keys than slots the one that has been quiet for longest
 * is forgotten. */
bool log_guard_admit(struct log_guard *guard, uint64_t key, int64_t now_s, uint32_t *ret_omitted);

#endif
