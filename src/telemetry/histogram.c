/* Histograms; see histogram.h. */
#include "telemetry/histogram.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define S UINT64_C(1000000000)

static const uint64_t duration_bounds[] = {
    10 * US,   25 * US, 50 * US, 100 * US, 250 * US, 500 * US, 1 * MS,   2500 * US,
    5 * MS,    10 * MS, 25 * MS, 50 * MS,  100 * MS, 250 * MS, 500 * MS, 1 * S,
    2500 * MS, 5 * S,   10 * S,  25 * S,   50 * S,   100 * S,
};
static const char *const duration_texts[] = {
    "1e-05", "2.5e-05", "5e-05", "0.0001", "0.00025", "0.0005", "0.001", "0.0025",
    "0.005", "0.01",    "0.025", "0.05",   "0.1",     "0.25",   "0.5",   "1.0",
    "2.5",   "5.0",     "10.0",  "25.0",   "50.0",    "100.0",
};
static const uint64_t first_response_bounds[] = {100 * MS, 500 * MS, 2 * S, 5 * S};
static const char *const first_response_texts[] = {"100.0", "500.0", "2000.0", "5000.0"};
static const uint64_t load_ratio_bounds[] = {1050, 1100, 1250, 1500, 2000, 10000, 50000};
static const char *const load_ratio_texts[] = {"1.05", "1.1", "1.25", "1.5", "2.0", "10.0", "50.0"};

static const uint64_t difference_bounds[] = {100,     1000,     10000,     100000,
                                             1000000, 10000000, 100000000, 1000000000};
static const char *const difference_texts[] = {"1e-07", "1e-06", "1e-05", "0.0001",
                                               "0.001", "0.01",  "0.1",   "1.0"};

#define SCALE(name, unit)                                                                          \
    {sizeof name##_bounds / sizeof *name##_bounds, name##_bounds, name##_texts, unit}

const struct histogram_scale histogram_durations = SCALE(duration, 1e-9);
const struct histogram_scale histogram_first_response = SCALE(first_response, 1e-6);
const struct histogram_scale histogram_load_ratio = SCALE(load_ratio, 1e-3);
const struct histogram_scale histogram_differences = SCALE(difference, 1e-9);

_Static_assert(sizeof duration_bounds / sizeof *duration_bounds <= HISTOGRAM_MAX_BOUNDS &&
                   sizeof duration_bounds / sizeof *duration_bounds ==
                       sizeof duration_texts / sizeof *duration_texts,
               "each bound has a text");

static size_t bucket_of(const struct histogram_scale *scale, uint64_t value)
{
    size_t low = 0, high = scale->count; /* the bucket is in [low, high] */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (value <= scale->bounds[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void histogram_observe(struct histogram *histogram, const struct histogram_scale *scale,
                       uint64_t value)
{
    uint64_t at = histogram->guess; /* where one fell, the next is likely to */
    if (at > scale->count || (at < scale->count && value > scale->bounds[at]) ||
        (at > 0 && value <= scale->bounds[at - 1]))
        histogram->guess = at = bucket_of(scale, value);
    histogram->buckets[at]++;
    histogram->sum += value;
}

uint64_t histogram_count(const struct histogram *histogram)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= HISTOGRAM_MAX_BOUNDS; i++)
        count += histogram->buckets[i];
    return count;
}
