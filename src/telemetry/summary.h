/* Quantiles of durations over the last minute, as Triton's summaries give them.
 *
 * Durations are counted in buckets whose width is a sixteenth of their power of two, so that a
 * quantile is at most 1/16 too high, in two halves of 30 s each, one of which is being filled. Kept
 * only when a setting asks for it: a model's seven take 31 KiB. Pure: the caller tells the time. */
#ifndef TENSORD_TELEMETRY_SUMMARY_H
#define TENSORD_TELEMETRY_SUMMARY_H

#include <stddef.h>
#include <stdint.h>

enum {
    SUMMARY_STEPS = 16,  /* buckets per power of two */
    SUMMARY_POWERS = 34, /* from 1 µs to 4 hours */
    SUMMARY_BUCKETS = SUMMARY_STEPS * SUMMARY_POWERS,
    SUMMARY_QUANTILES = 5,
};

/* The quantiles that are shown, and their texts. */
extern const double summary_quantiles[SUMMARY_QUANTILES];
extern const char *const summary_quantile_texts[SUMMARY_QUANTILES];

struct summary {
    uint32_t buckets[2][SUMMARY_BUCKETS];
    uint64_t since_ns; /* the half that is being filled began then */
    unsigned half;     /* which one that is */
};

/* What Triton keeps summaries of: ROW(member of struct model_metrics, name, help). */
#define SUMMARIES(ROW)                                                                             \
    ROW(success, "nv_inference_request_summary_us",                                                \
        "Time of inference requests over the last minute")                                         \
    ROW(queue, "nv_inference_queue_summary_us",                                                    \
        "Time of inference requests in the queue over the last minute")                            \
    ROW(input, "nv_inference_compute_input_summary_us",                                            \
        "Time of preparing inputs over the last minute")                                           \
    ROW(compute, "nv_inference_compute_infer_summary_us",                                          \
        "Time in the engine over the last minute")                                                 \
    ROW(output, "nv_inference_compute_output_summary_us",                                          \
        "Time of preparing outputs over the last minute")                                          \
    ROW(cache_hit, "nv_cache_hit_summary_per_model",                                               \
        "Time to find answers that were kept, over the last minute, in microseconds")              \
    ROW(cache_miss, "nv_cache_miss_summary_per_model",                                             \
        "Time to find none and keep a new one, over the last minute, in microseconds")

struct model_summaries {
#define SUMMARY_MEMBER(member, name, help) struct summary member;
    SUMMARIES(SUMMARY_MEMBER)
#undef SUMMARY_MEMBER
};

/* Counts a duration at the time now_ns (monotonic). */
void summary_observe(struct summary *summary, uint64_t now_ns, uint64_t duration_ns);

/* The quantile (0 to 1) of the last 30 to 60 s before the last observation, in ns; 0 when nothing
 * was counted. */
uint64_t summary_quantile(const struct summary *summary, double quantile);

#endif
