/* What inferences took, and what is counted of them: for a version's metrics and statistics, for
 * traces and for Server-Timing. The clock is read at a change of stage only.
 *
 *     received ── parse ── submitted ── queue ── executed ── batch, execute ── answered ── write ──
 *
 * A worker tells how much of the time with it was joining, the engine, and splitting. That may be a
 * lie, so it is cut to the time that the front saw. Stages add up to the whole: what a worker does
 * not account for is the way to it and back, and counts as batch.
 *
 * Without metrics_measure the clock is still read, for traces and Server-Timing, but nothing is
 * counted. */
#ifndef TENSORD_SERVING_MEASURE_H
#define TENSORD_SERVING_MEASURE_H

#include "serving/inference.h"
#include "serving/visit.h"
#include "telemetry/metrics.h"
#include "telemetry/span_record.h"
#include "telemetry/summary.h"

enum {
    MEASURE_BATCH_SIZES = 64, /* that a version keeps apart; larger ones share the last */
    MEASURE_RESPONSES = 64,   /* likewise, by their place among a request's answers */
};

/* Executions of one batch size. */
struct batch_statistics {
    uint64_t rows;
    struct duration input, compute, output;
};

/* The n-th answers of requests that were, or may be, answered several times. Each took from the one
 * before it, or from the start of its execution. */
struct response_statistics {
    struct duration success, fail, empty, cancel;
};

/* What is known of a version's inferences. */
struct version_statistics {
    struct model_metrics metrics;
    struct model_summaries *summaries; /* NULL: not kept */
    struct batch_statistics *batches;  /* by rows, ascending */
    size_t batch_count;
    struct response_statistics *responses; /* by their place; MEASURE_RESPONSES, or NULL */
    size_t response_count;
    bool has_series; /* of its own; else /metrics shows it together with others */
};

/* Starts empty; with summaries, quantiles are kept too, if there is memory. series_limit bounds how
 * many versions have series of their own at once. */
void measure_init(struct version_statistics *statistics, bool summaries, size_t series_limit);

void measure_fini(struct version_statistics *statistics);

/* What a version that goes has counted is added to *gone. */
void measure_leave(const struct version_statistics *statistics, struct model_metrics *gone);

/* The inference was handed over; it is in no queue yet. */
void measure_submit(struct inference *inference);

/* The requests leave the queue, in the running dispatch of their generation, as one execution. */
void measure_execute(struct inference *const *batch, size_t count);

/* The inference has its final answer: OK or the error, and what the worker says it took (NULL: it
 * was with none). */
void measure_answer(struct inference *inference, const struct error *error,
                    const struct channel_times *times);

/* A response that is not the last has come. */
void measure_response(struct inference *inference);

/* The last has; measure_answer follows. */
void measure_last_response(struct inference *inference, const struct inference_answer *answer);

/* The answer was taken by the kernel at now_ns. Does nothing unless it was answered well. */
void measure_written(struct inference *inference, uint64_t now_ns);

/* How long a stage took, in ns; 0 when the inference has not been through it. STAGE_write and
 * STAGE_total end at now_ns. */
uint64_t measure_stage_ns(const struct inference *inference, enum stage stage, uint64_t now_ns);

/* Fills in what the inference, which is bound, knows of the record of its trace: ids, stages up to
 * now_ns, the model. */
void measure_trace(const struct inference *inference, uint64_t now_ns, struct span_record *record);

/* A visit to a managed server has ended, so. */
void measure_visit(const struct visit *visit, enum visit_end end);

/* Gives the tracer the span of an inference that is a part of a larger request, below that one's:
 * ended at now_ns, well or with the error. Does nothing when it is not traced. */
void measure_span(const struct inference *inference, const struct error *error, uint64_t now_ns);

#endif
