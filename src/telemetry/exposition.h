/* Writes the metrics as text: Prometheus' format 0.0.4, or OpenMetrics 1.0. Pure.
 *
 * Triton's counters have names that OpenMetrics does not allow for counters (no _total at the end).
 * There they are written as of unknown type, under the same names, so that dashboards find them
 * whichever format was asked for. */
#ifndef TENSORD_TELEMETRY_EXPOSITION_H
#define TENSORD_TELEMETRY_EXPOSITION_H

#include "base/buf.h"
#include "telemetry/metrics.h"
#include "telemetry/summary.h"

enum exposition_format { EXPOSITION_PROMETHEUS, EXPOSITION_OPENMETRICS };

/* A version of a model, or several together. */
struct exposition_model {
    struct span name;
    struct span version;
    const struct model_metrics *metrics;
    const struct model_summaries *summaries; /* NULL: none are kept */
};

/* The format that an Accept field asks for (RFC 9110 §12.5.1, without weights): OpenMetrics when it
 * is named at all, as Prometheus does. */
enum exposition_format exposition_accepted(struct span accept);

/* The content-type of the format. */
struct span exposition_content_type(enum exposition_format format);

/* Appends all families. False when buf has no room. */
bool exposition_write(struct buf *to, enum exposition_format format,
                      const struct server_metrics *server, const struct exposition_model *models,
                      size_t model_count);

#endif
