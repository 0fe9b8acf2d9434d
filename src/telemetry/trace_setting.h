/* Which requests are traced: Triton's trace settings, of the server and of a model, and
 * OpenTelemetry's sampling by them. Pure.
 *
 * What a model's settings do not say, the server's do. A request whose caller has already decided
 * follows its caller (unless that is switched off); of the others one in `rate` is traced, by its
 * trace id, so that all parts of a system that sample alike choose the same ones. */
#ifndef TENSORD_TELEMETRY_TRACE_SETTING_H
#define TENSORD_TELEMETRY_TRACE_SETTING_H

#include "telemetry/trace_context.h"

struct trace_setting {
    bool has_on, has_ratio, has_count; /* of a model: it says so itself */
    bool on;                           /* trace_level: TIMESTAMPS, else OFF */
    double ratio;                      /* of requests that are traced, 0 to 1; 1 / trace_rate */
    int64_t count;                     /* requests that may still be traced; -1: no limit */
};

/* What holds for a model: its own setting where it has one. `own` may be NULL. */
struct trace_setting trace_setting_merge(const struct trace_setting *server,
                                         const struct trace_setting *own);

/* Decides whether the request is traced, once, and counts it: fills context->sampled and, when it
 * is, the ids that it has not. `follow`: the caller's decision counts. */
void trace_setting_decide(struct trace_setting *server, struct trace_setting *own, bool follow,
                          struct trace_context *context);

/* The largest trace_rate, as Triton's is. */
#define TRACE_RATE_MAX UINT64_C(4294967295)

/* trace_rate, as Triton shows it: 1 in how many, at most TRACE_RATE_MAX; 0 when none. */
uint64_t trace_setting_rate(const struct trace_setting *setting);

#endif
