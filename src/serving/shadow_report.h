/* What copies of a model's requests have shown of its shadow (shadow.h): how its answers differ
 * from those that clients got, how long both take, how often they fail. Bounded. Loop's thread. */
#ifndef TENSORD_SERVING_SHADOW_REPORT_H
#define TENSORD_SERVING_SHADOW_REPORT_H

#include "serving/compare.h"
#include "telemetry/summary.h"

enum { SHADOW_MAX_TENSORS = 64, SHADOW_NAME_BYTES = 128, SHADOW_FAILURE_BYTES = 504 };

/* Why a request was not copied. */
enum shadow_skip {
    SHADOW_NOT_READY, /* the version does not run */
    SHADOW_BUSY, /* as many copies are on their way as may be, or its queue or memory is full */
    SHADOW_TOO_LARGE,
    SHADOW_SEVERAL, /* the model answers several times, or not at all */
    SHADOW_SKIP_COUNT
};

/* An output, in the answers that were compared. */
struct shadow_tensor {
    char name[SHADOW_NAME_BYTES]; /* cut to fit */
    enum tensord_datatype datatype;
    uint64_t answers, different; /* in which it was; and was not equal */
    uint64_t incomparable;       /* of these: with another datatype or shape, or in one of two */
    uint64_t elements, unequal;
    double max_absolute, max_relative;
};

struct shadow_report {
    uint64_t version;     /* the shadow */
    uint64_t fingerprint; /* of its files: of others it says nothing */
    uint64_t since_ns;    /* monotonic */
    uint64_t copied;      /* requests that were sent to it; of these: */
    uint64_t equal, different, failed;
    uint64_t answered, primary_failed; /* by the version that clients were answered by */
    uint64_t shadow_answered;
    uint64_t skipped[SHADOW_SKIP_COUNT];
    struct summary primary, shadow; /* durations with a worker, since the start */
    struct shadow_tensor tensors[SHADOW_MAX_TENSORS];
    size_t tensor_count;
    char failure[SHADOW_FAILURE_BYTES]; /* the shadow's last one */
};

/* Starts anew. */
void shadow_report_reset(struct shadow_report *report, uint64_t version, uint64_t fingerprint,
                         uint64_t now_ns);

/* Counts a difference of one output in one answer. What is too much to keep is left out. */
void shadow_report_tensor(struct shadow_report *report, struct span name,
                          enum tensord_datatype datatype, const struct difference *difference);

/* Counts how long the primary, or the shadow, took for a request that it has answered. */
void shadow_report_primary(struct shadow_report *report, uint64_t duration_ns);
void shadow_report_shadow(struct shadow_report *report, uint64_t duration_ns);

#endif
