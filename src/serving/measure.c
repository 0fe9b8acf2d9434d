/* Measuring inferences; see measure.h. */
#include "serving/measure.h"

#include "serving/generation.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static size_t series_count; /* versions with series of their own */

static struct version_statistics *statistics_of(const struct inference *inference)
{
    return &inference->generation->version->statistics;
}

void measure_init(struct version_statistics *statistics, bool summaries, size_t series_limit)
{
    *statistics = (struct version_statistics){.has_series = series_count < series_limit};
    if (statistics->has_series)
        series_count++;
    else
        limit_hit(LIMIT_metrics_models);
    if (summaries)
        statistics->summaries = calloc(1, sizeof *statistics->summaries);
}

void measure_fini(struct version_statistics *statistics)
{
    if (statistics->has_series)
        series_count--;
    free(statistics->summaries);
    free(statistics->batches);
    free(statistics->responses);
}

void measure_leave(const struct version_statistics *statistics, struct model_metrics *gone)
{
    struct model_metrics counted = statistics->metrics;
    counted.load_ns = counted.last_inference_ms = 0; /* these do not add up */
    model_metrics_add(gone, &counted);
}

void measure_submit(struct inference *inference)
{
    inference->times.submitted_ns = clock_now_ns();
    if (!inference->times.received_ns)
        inference->times.received_ns = inference->times.submitted_ns;
    struct model *model = inference->generation->version->model;
    if (model->serving->tracer)
        tracer_decide(model->serving->tracer, &model->trace, &inference->trace);
}

/* Rows of a request, where the model's requests have rows. */
static uint64_t rows_of(const struct inference *inference)
{
    const struct schema *schema = inference->generation->schema;
    if (!schema->max_batch_size || !inference->input_count || !inference->inputs[0].shape.ndim)
        return 1;
    return (uint64_t)inference->inputs[0].shape.dims[0];
}

void measure_execute(struct inference *const *batch, size_t count)
{
    uint64_t now_ns = batch[0]->generation->dispatched_ns, rows = 0;
    for (size_t i = 0; i < count; i++) {
        batch[i]->times.executed_ns = now_ns;
        rows += rows_of(batch[i]);
    }
    batch[0]->times.batch_rows = rows;
}

/* ---- the end ---- */

/* Where the statistics of executions of so many rows are, made when it is new; NULL without memory.
 */
static struct batch_statistics *batch_of(struct version_statistics *statistics, uint64_t rows)
{
    size_t at = 0, count = statistics->batch_count;
    while (at < count && statistics->batches[at].rows < rows)
        at++;
    if (at < count && statistics->batches[at].rows == rows)
        return &statistics->batches[at];
    if (count == MEASURE_BATCH_SIZES)
        return &statistics->batches[at < count ? at : count - 1];
    struct batch_statistics *larger =
        realloc(statistics->batches, (count + 1) * sizeof *statistics->batches);
    if (!larger)
        return NULL;
    memmove(&larger[at + 1], &larger[at], (count - at) * sizeof *larger);
    larger[at] = (struct batch_statistics){.rows = rows};
    statistics->batches = larger;
    statistics->batch_count++;
    return &larger[at];
}

/* Counts the execution, once: its first request stands for it. */
static void add_execution(struct version_statistics *statistics,
                          const struct inference_times *times)
{
    if (!times->batch_rows)
        return;
    statistics->metrics.executions++;
    struct batch_statistics *batch = batch_of(statistics, times->batch_rows);
    if (!batch)
        return;
    duration_add(&batch->input, times->worker.input_ns);
    duration_add(&batch->compute, times->worker.compute_ns);
    duration_add(&batch->output, times->worker.output_ns);
}

static void observe(struct model_metrics *to, enum stage stage, uint64_t ns)
{
    histogram_observe(&to->stages[stage], &histogram_durations, ns);
}

static void add_summaries(struct model_summaries *summaries, const struct inference_times *times)
{
    uint64_t now_ns = times->answered_ns;
    summary_observe(&summaries->success, now_ns, now_ns - times->submitted_ns);
    summary_observe(&summaries->queue, now_ns, times->executed_ns - times->submitted_ns);
    summary_observe(&summaries->input, now_ns, times->worker.input_ns);
    summary_observe(&summaries->compute, now_ns, times->worker.compute_ns);
    summary_observe(&summaries->output, now_ns, times->worker.output_ns);
}

/* To a few milliseconds; costs next to nothing. */
static uint64_t epoch_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / CLOCK_NS_PER_MS;
}

/* It was with no worker. Triton counts such as requests, and not as inferences. */
static void add_hit(struct version_statistics *statistics, const struct inference_times *times)
{
    struct model_metrics *to = &statistics->metrics;
    duration_add(&to->success, times->answered_ns - times->submitted_ns);
    duration_add(&to->queue, 0);
    duration_add(&to->cache_hit, times->lookup_ns);
    to->last_inference_ms = epoch_ms();
    if (statistics->summaries)
        summary_observe(&statistics->summaries->cache_hit, times->answered_ns, times->lookup_ns);
}

static void add_miss(struct version_statistics *statistics, const struct inference_times *times)
{
    duration_add(&statistics->metrics.cache_miss, times->lookup_ns);
    if (statistics->summaries)
        summary_observe(&statistics->summaries->cache_miss, times->answered_ns, times->lookup_ns);
}

/* What Triton counts of those that were executed. */
static void add_inferences(struct model_metrics *to, const struct inference *inference)
{
    const struct channel_times *worker = &inference->times.worker;
    duration_add(&to->input, worker->input_ns);
    duration_add(&to->compute, worker->compute_ns);
    duration_add(&to->output, worker->output_ns);
    duration_add(&to->any_compute, worker->compute_ns + worker->input_ns + worker->output_ns);
    to->rows += rows_of(inference);
}

static void add_success(struct inference *inference)
{
    const struct inference_times *times = &inference->times;
    struct version_statistics *statistics = statistics_of(inference);
    struct model_metrics *to = &statistics->metrics;
    uint64_t whole_ns = times->answered_ns - times->submitted_ns;
    uint64_t compute_ns = times->worker.compute_ns;
    duration_add(&to->success, whole_ns);
    duration_add(&to->queue, times->executed_ns - times->submitted_ns);
    to->coalesced += times->shared;
    if (!times->shared)
        add_inferences(to, inference);
    to->last_inference_ms = epoch_ms();
    observe(to, STAGE_queue, times->executed_ns - times->submitted_ns);
    observe(to, STAGE_batch, times->answered_ns - times->executed_ns - compute_ns);
    observe(to, STAGE_execute, compute_ns);
    if (compute_ns)
        histogram_observe(&to->load_ratio, &histogram_load_ratio,
                          whole_ns < UINT64_MAX / 1000 ? whole_ns * 1000 / compute_ns : UINT64_MAX);
    add_execution(statistics, times);
    if (times->lookup == LOOKUP_MISS)
        add_miss(statistics, times);
    if (statistics->summaries)
        add_summaries(statistics->summaries, times);
}

static enum failure failure_of(const struct inference *inference, enum error_code code)
{
    bool executed = inference->times.executed_ns != 0;
    if (executed && inference->cancelled)
        return FAILURE_CANCELED; /* whatever the model made of it */
    switch (code) {
    case ERROR_CANCELLED:
        return FAILURE_CANCELED;
    case ERROR_DEADLINE_EXCEEDED:
        return executed ? FAILURE_CANCELED : FAILURE_REJECTED;
    case ERROR_UNAVAILABLE:
    case ERROR_FAILED:
        return executed ? FAILURE_BACKEND : FAILURE_REJECTED;
    default:
        return executed ? FAILURE_BACKEND : FAILURE_OTHER;
    }
}

/* Cuts what the worker says to the time that it had. */
static void take_times(struct inference_times *times, const struct channel_times *said)
{
    uint64_t left = times->answered_ns - times->executed_ns;
    times->worker.compute_ns = said->compute_ns < left ? said->compute_ns : left;
    left -= times->worker.compute_ns;
    times->worker.input_ns = said->input_ns < left ? said->input_ns : left;
    left -= times->worker.input_ns;
    times->worker.output_ns = said->output_ns < left ? said->output_ns : left;
}

void measure_answer(struct inference *inference, const struct error *error,
                    const struct channel_times *said)
{
    struct inference_times *times = &inference->times;
    struct model_metrics *to = &statistics_of(inference)->metrics;
    times->answered_ns = clock_now_ns();
    if (times->executed_ns && said)
        take_times(times, said);
    times->failed = error->code != ERROR_OK || inference->cancelled;
    if (!metrics_measure || inference->reuse.is_flight) /* those who share it are counted */
        return;
    if (!times->failed && times->lookup == LOOKUP_HIT) {
        add_hit(statistics_of(inference), times);
        return;
    }
    if (!times->failed) {
        add_success(inference);
        return;
    }
    duration_add(&to->fail, times->answered_ns - times->submitted_ns);
    to->failures[failure_of(inference, error->code)]++;
}

/* The server's time is the engine's: what there is of parsing and writing is its own, too. */
static void add_visit(struct model_metrics *to, const struct visit *visit, uint64_t now_ns)
{
    uint64_t queue_ns = visit->given_ns - visit->submitted_ns, with_ns = now_ns - visit->given_ns;
    duration_add(&to->success, now_ns - visit->submitted_ns);
    duration_add(&to->queue, queue_ns);
    duration_add(&to->compute, with_ns);
    duration_add(&to->any_compute, with_ns);
    to->rows++;
    to->executions++;
    observe(to, STAGE_queue, queue_ns);
    observe(to, STAGE_execute, with_ns);
    observe(to, STAGE_total, now_ns - visit->submitted_ns);
}

void measure_visit(const struct visit *visit, enum visit_end end)
{
    struct model_metrics *to = &visit->generation->version->statistics.metrics;
    uint64_t now_ns = clock_now_ns();
    to->last_inference_ms = epoch_ms();
    if (!metrics_measure)
        return;
    if (end == VISIT_ANSWERED && visit->given_ns) {
        add_visit(to, visit, now_ns);
        return;
    }
    duration_add(&to->fail, now_ns - visit->submitted_ns);
    to->failures[end == VISIT_LEFT  ? FAILURE_CANCELED
                 : !visit->given_ns ? FAILURE_REJECTED
                                    : FAILURE_BACKEND]++;
}

/* ---- several answers ---- */

/* Where the statistics of the request's next answer are; NULL without memory. */
static struct response_statistics *response_of(struct version_statistics *statistics, size_t place)
{
    if (place >= MEASURE_RESPONSES)
        place = MEASURE_RESPONSES - 1;
    if (!statistics->responses)
        statistics->responses = calloc(MEASURE_RESPONSES, sizeof *statistics->responses);
    if (!statistics->responses)
        return NULL;
    if (place >= statistics->response_count)
        statistics->response_count = place + 1;
    return &statistics->responses[place];
}

/* How long the answer that has come now took. */
static uint64_t response_ns(const struct inference_times *times, uint64_t now_ns)
{
    uint64_t since_ns = times->responded_ns  ? times->responded_ns
                        : times->executed_ns ? times->executed_ns
                                             : times->submitted_ns;
    return now_ns - since_ns;
}

void measure_response(struct inference *inference)
{
    struct inference_times *times = &inference->times;
    struct version_statistics *statistics = statistics_of(inference);
    size_t place = times->responses++;
    if (!metrics_measure)
        return;
    uint64_t now_ns = clock_now_ns();
    struct response_statistics *response = response_of(statistics, place);
    if (place == 0)
        histogram_observe(&statistics->metrics.first_response, &histogram_first_response,
                          now_ns - times->submitted_ns);
    if (response)
        duration_add(&response->success, response_ns(times, now_ns));
    times->responded_ns = now_ns;
}

void measure_last_response(struct inference *inference, const struct inference_answer *answer)
{
    const struct inference_times *times = &inference->times;
    const struct schema *schema = inference->generation->schema;
    if (!metrics_measure || (!times->responses && !(schema && schema->streams)))
        return;
    struct response_statistics *response = response_of(statistics_of(inference), times->responses);
    if (!response)
        return;
    duration_add(inference->cancelled             ? &response->cancel
                 : answer->error.code != ERROR_OK ? &response->fail
                 : answer->outputs.count == 0     ? &response->empty
                                                  : &response->success,
                 response_ns(times, clock_now_ns()));
}

void measure_written(struct inference *inference, uint64_t now_ns)
{
    const struct inference_times *times = &inference->times;
    if (!metrics_measure || !inference->generation || !times->answered_ns || times->failed)
        return;
    struct model_metrics *to = &statistics_of(inference)->metrics;
    observe(to, STAGE_parse, times->submitted_ns - times->received_ns);
    observe(to, STAGE_write, now_ns - times->answered_ns);
    observe(to, STAGE_total, now_ns - times->received_ns);
}

uint64_t measure_stage_ns(const struct inference *inference, enum stage stage, uint64_t now_ns)
{
    const struct inference_times *times = &inference->times;
    uint64_t with_worker_ns =
        times->executed_ns && times->answered_ns ? times->answered_ns - times->executed_ns : 0;
    switch (stage) {
    case STAGE_parse:
        return times->submitted_ns - times->received_ns;
    case STAGE_queue:
        return times->executed_ns ? times->executed_ns - times->submitted_ns : 0;
    case STAGE_batch:
        return with_worker_ns - times->worker.compute_ns;
    case STAGE_execute:
        return times->worker.compute_ns;
    case STAGE_write:
        return times->answered_ns ? now_ns - times->answered_ns : 0;
    default:
        return now_ns - times->received_ns;
    }
}

void measure_trace(const struct inference *inference, uint64_t now_ns, struct span_record *record)
{
    const struct inference_times *times = &inference->times;
    record->flags |= SPAN_STAGED;
    for (int stage = 0; stage < STAGE_COUNT; stage++)
        record->stages_ns[stage] = measure_stage_ns(inference, (enum stage)stage, now_ns);
    if (!times->executed_ns) /* it ended in the queue */
        record->stages_ns[STAGE_queue] =
            (times->answered_ns ? times->answered_ns : now_ns) - times->submitted_ns;
    memcpy(record->trace_id, inference->trace.trace_id, sizeof record->trace_id);
    memcpy(record->parent_id, inference->trace.parent_id, sizeof record->parent_id);
    memcpy(record->span_id, inference->trace.span_id, sizeof record->span_id);
    record->texts[SPAN_TEXT_STATE] = inference->trace.state;
    record->texts[SPAN_TEXT_MODEL] = inference->generation->spec.name;
}

void measure_span(const struct inference *inference, const struct error *error, uint64_t now_ns)
{
    struct tracer *tracer = inference->generation->version->model->serving->tracer;
    if (!tracer || !tracer->available || !inference->trace.sampled)
        return;
    struct span_record record = {
        .flags = error->code == ERROR_OK ? 0 : SPAN_FAILED,
        .start_ns = tracer_epoch_ns(inference->times.received_ns, now_ns),
        .grpc_status = -1,
    };
    char version[24];
    int size = snprintf(version, sizeof version, "%llu",
                        (unsigned long long)inference->generation->spec.version);
    record.texts[SPAN_TEXT_NAME] = SPAN("infer");
    record.texts[SPAN_TEXT_VERSION] = (struct span){version, (size_t)size};
    record.texts[SPAN_TEXT_FAILURE] = span_of(error->code == ERROR_OK ? "" : error->message);
    measure_trace(inference, now_ns, &record);
    tracer_add(tracer, &record);
}
