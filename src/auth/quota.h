/* Quotas of one token: requests per time, and requests at once. Pure: the time is given. */
#ifndef TENSORD_AUTH_QUOTA_H
#define TENSORD_AUTH_QUOTA_H

#include "base/error.h"
#include "base/span.h"

struct quota_limits {
    uint64_t rate_count;     /* requests per rate_period_ns; 0: as many as they like */
    uint64_t rate_period_ns; /* a second, a minute or an hour */
    uint64_t burst;          /* requests that may come at once, after a rest; ≥ 1 with a rate */
    uint64_t concurrency;    /* requests that run at once; 0: as many as they like */
};

struct quota {
    uint64_t full_ns; /* when the allowance would be whole again */
    uint64_t running;
};

enum quota_answer { QUOTA_GIVEN, QUOTA_RATE, QUOTA_CONCURRENCY };

/* Takes one request; it counts as running until quota_release. Not QUOTA_GIVEN: nothing was taken,
 * and *ret_wait_ns is the time after which the rate would give one (QUOTA_RATE), else unchanged. */
enum quota_answer quota_take(struct quota *quota, const struct quota_limits *limits,
                             uint64_t now_ns, uint64_t *ret_wait_ns);

/* A request that was taken has ended. */
void quota_release(struct quota *quota);

enum { QUOTA_RATE_TEXT_BYTES = 24, QUOTA_MAX_COUNT = 1000000 };

/* Reads "20" or "20/s", "30/m", "1000/h": at most QUOTA_MAX_COUNT. Sets rate_count and
 * rate_period_ns. False (INVALID_ARGUMENT) otherwise. */
bool quota_rate_parse(struct span text, struct quota_limits *limits, struct error *ret_error);

/* Writes what quota_rate_parse reads. Returns text. */
const char *quota_rate_format(const struct quota_limits *limits, char text[QUOTA_RATE_TEXT_BYTES]);

#endif
