/* Summaries; see summary.h. */
#include "telemetry/summary.h"

#include <string.h>

#define HALF_NS UINT64_C(30000000000)
#define UNIT_NS UINT64_C(1000) /* durations below it count as one */

const double summary_quantiles[SUMMARY_QUANTILES] = {0.5, 0.9, 0.95, 0.99, 0.999};
const char *const summary_quantile_texts[SUMMARY_QUANTILES] = {"0.5", "0.9", "0.95", "0.99",
                                                               "0.999"};

/* A duration of 2^p µs or more and less than 2^(p+1) is in one of the 16 buckets of power p. */
static size_t bucket_of(uint64_t duration_ns)
{
    uint64_t units = duration_ns < UNIT_NS ? UNIT_NS : duration_ns; /* ns, at least 1 µs */
    unsigned power = 0;
    while (power + 1 < SUMMARY_POWERS && units >= UNIT_NS << (power + 1))
        power++;
    uint64_t step = ((units - (UNIT_NS << power)) * SUMMARY_STEPS) / (UNIT_NS << power);
    return power * SUMMARY_STEPS + (step < SUMMARY_STEPS ? (size_t)step : SUMMARY_STEPS - 1);
}

/* The end of a bucket. */
static uint64_t bound_of(size_t bucket)
{
    uint64_t start = UNIT_NS << (bucket / SUMMARY_STEPS);
    return start + start * (bucket % SUMMARY_STEPS + 1) / SUMMARY_STEPS;
}

static void turn(struct summary *summary, uint64_t now_ns)
{
    uint64_t passed_ns = now_ns - summary->since_ns;
    if (summary->since_ns && passed_ns < HALF_NS)
        return;
    if (passed_ns >= 2 * HALF_NS)
        memset(summary->buckets, 0, sizeof summary->buckets);
    summary->half = !summary->half;
    memset(summary->buckets[summary->half], 0, sizeof summary->buckets[summary->half]);
    summary->since_ns = now_ns;
}

void summary_observe(struct summary *summary, uint64_t now_ns, uint64_t duration_ns)
{
    turn(summary, now_ns);
    summary->buckets[summary->half][bucket_of(duration_ns)]++;
}

uint64_t summary_quantile(const struct summary *summary, double quantile)
{
    uint64_t count = 0, seen = 0;
    for (size_t i = 0; i < SUMMARY_BUCKETS; i++)
        count += (uint64_t)summary->buckets[0][i] + summary->buckets[1][i];
    uint64_t wanted = (uint64_t)(quantile * (double)count);
    for (size_t i = 0; i < SUMMARY_BUCKETS && count; i++) {
        seen += (uint64_t)summary->buckets[0][i] + summary->buckets[1][i];
        if (seen > wanted || seen == count)
            return bound_of(i);
    }
    return 0;
}
