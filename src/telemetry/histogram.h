/* Histograms with fixed bounds: how often a value fell where, for quantiles that somebody else
 * computes. A value is counted by the first bound that is not less than it. Pure. */
#ifndef TENSORD_TELEMETRY_HISTOGRAM_H
#define TENSORD_TELEMETRY_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_MAX_BOUNDS = 22 };

/* What the values of a histogram mean and where its buckets end. */
struct histogram_scale {
    size_t count;             /* of bounds, at most HISTOGRAM_MAX_BOUNDS */
    const uint64_t *bounds;   /* ascending */
    const char *const *texts; /* the bounds as they are written, in the unit that is shown */
    double unit;              /* what one of the values is in that unit */
};

/* Durations in nanoseconds, shown in seconds: 1, 2.5 and 5 of each decade from 10 µs to 100 s. */
extern const struct histogram_scale histogram_durations;

/* Durations in nanoseconds, shown in milliseconds, with the bounds that Triton has for the time to
 * a first response. */
extern const struct histogram_scale histogram_first_response;

/* Thousandths, shown as ratios, with the bounds that Triton had for its load ratio. */
extern const struct histogram_scale histogram_load_ratio;

/* Billionths, shown as ratios: each decade from 1e-7 to 1. */
extern const struct histogram_scale histogram_differences;

struct histogram {
    uint64_t buckets[HISTOGRAM_MAX_BOUNDS + 1]; /* [count]: above every bound */
    uint64_t sum;                               /* of the values */
    uint64_t guess;                             /* the bucket of the last one: a sum of histograms
                                                 * has any number here */
};

/* Counts a value. */
void histogram_observe(struct histogram *histogram, const struct histogram_scale *scale,
                       uint64_t value);

/* How many values were counted. */
uint64_t histogram_count(const struct histogram *histogram);

#endif
