/* The requests of a generation: what the scheduler says of them (schedule/schedule.h) is done here.
 * The queue is emptied in one place, dispatch(), at the end of a loop turn. */
#include "base/unset.h"
#include "serving/batch.h"
#include "serving/filler.h"
#include "serving/generation_workers.h"
#include "serving/inference_internal.h"
#include "serving/replica.h"
#include "serving/sequence_check.h"
#include "serving/server_pool.h"
#include "serving/stateful.h"
#include "serving/visit.h"

#include <assert.h>

enum {
    NO_MEMORY_MS = 10, /* before another try to hand requests to an idle worker */
    STREAM_ROOM_BYTES = 64 << 10,
};

static struct serving *serving_of(const struct generation *generation)
{
    return generation->version->model->serving;
}

/* ---- memory ---- */

/* Room for one answer. */
static uint64_t answer_room(const struct generation *generation, int64_t rows)
{
    const struct schema *schema = generation->schema;
    uint64_t room = 0;
    for (size_t i = 0; schema && i < schema->output_count; i++) {
        struct shape shape = schema->outputs[i].shape;
        uint64_t size;
        if (schema->max_batch_size && shape.ndim && shape.dims[0] < 0)
            shape.dims[0] = rows;
        if (schema->outputs[i].datatype == TENSORD_BYTES ||
            !shape_size_bytes(&shape, schema->outputs[i].datatype, &size) || size > UINT32_MAX)
            return tensor_memory_charge(generation->output_bytes);
        room += tensor_memory_charge(size);
    }
    return room;
}

/* A model that streams has room for several answers as long as they are small: it then need not
 * wait until the client has each. */
uint64_t generation_room(const struct generation *generation, int64_t rows)
{
    if (generation->plan)
        return 0; /* outputs lie in the memory of those who gave them */
    uint64_t room = answer_room(generation, rows);
    if (!generation->schema || !generation->schema->streams || room >= STREAM_ROOM_BYTES)
        return room;
    uint64_t ahead = room * INFERENCE_ANSWERS_AHEAD;
    return ahead < STREAM_ROOM_BYTES ? ahead : STREAM_ROOM_BYTES;
}

static void admit(struct loop_task *task)
{
    struct generation *generation = list_entry(task, struct generation, admit);
    struct admission_share *share;
    generation_ref(generation); /* until all have been told */
    while ((share = admission_next(&generation->admission)))
        inference_admit(list_entry(share, struct inference, share));
    generation_unref(generation);
}

void generation_admit(struct generation *generation)
{
    generation->admit.run = admit;
    if (generation->admission.waiting_count)
        loop_defer(serving_of(generation)->loop, &generation->admit);
}

/* ---- into the queue and out of it ---- */

void generation_failed_error(const struct generation *generation, struct error *ret_error)
{
    error_set(ret_error, ERROR_FAILED, "model '%.*s' has failed: %s",
              SPAN_ARGS(generation->spec.name), generation->failure.message);
}

static bool full_error(struct error *ret_error)
{
    limit_hit(LIMIT_queue_limit);
    return error_set(ret_error, ERROR_UNAVAILABLE, "Exceeds maximum queue size");
}

static bool still_serves(const struct generation *generation, struct error *ret_error)
{
    if (generation_has_failed(generation))
        generation_failed_error(generation, ret_error);
    return !generation_has_failed(generation);
}

static struct inference *inference_of(struct queue_entry *entry)
{
    return list_entry(entry, struct inference, entry);
}

/* Rows that count: those of a model whose requests are joined. */
static uint64_t rows_of(const struct generation *generation, const struct inference *inference)
{
    return generation->schema && !generation->schema->joins ? 1 : batch_rows(inference);
}

static bool late_error(const char *what, uint64_t retry_ns, struct error *ret_error)
{
    uint64_t retry_ms = retry_ns / CLOCK_NS_PER_MS + 1;
    error_set(ret_error, ERROR_UNAVAILABLE, "the request %s: try again in about %llu ms", what,
              (unsigned long long)retry_ms);
    return error_set_retry(ret_error, retry_ns);
}

/* Asks the scheduler to let it in. */
static bool enter_queue(struct generation *generation, struct inference *inference,
                        struct error *ret_error)
{
    struct schedule *schedule = &generation->schedule;
    struct queue_entry *entry = &inference->entry;
    uint64_t retry_ns = 0;
    schedule->policy.queue_limit = serving_of(generation)->options.queue_limit;
    schedule->policy.wait_limit_ns =
        serving_of(generation)->options.queue_wait_ms * CLOCK_NS_PER_MS;
    entry->rows = rows_of(generation, inference);
    entry->caller = inference->caller;
    entry->weight = inference->caller.weight;
    entry->level = policy_level(&schedule->policy, inference->priority);
    entry->deadline_ns = inference->deadline_ns;
    entry->alone = inference->runs_alone;
    switch (schedule_submit(schedule, entry, inference->times.submitted_ns, &retry_ns)) {
    case SCHEDULE_ADMITTED:
        return true;
    case SCHEDULE_FULL:
        full_error(ret_error);
        return error_set_retry(ret_error, retry_ns);
    case SCHEDULE_LONG:
        limit_hit(LIMIT_queue_wait_ms);
        return late_error("would wait for too long", retry_ns, ret_error);
    case SCHEDULE_LATE:
        break;
    }
    return late_error("would be answered too late", retry_ns, ret_error);
}

/* One more request is in the queue. */
static void queued(struct generation *generation)
{
    generation->state.queued++;
    residence_use(generation);
    generation_dispatch(generation);
    generation_notice(generation, GENERATION_REQUEST);
}

/* It waits in its sequence until it has its turn. */
static bool enter_sequence(const struct generation *generation, struct inference *inference,
                           struct error *ret_error)
{
    if (generation->state.queued >= serving_of(generation)->options.queue_limit) {
        full_error(ret_error);
        return error_set_retry(ret_error, schedule_backlog_ns(&generation->schedule));
    }
    return (generation->schema || sequence_check(inference, ret_error)) &&
           stateful_submit(inference, ret_error);
}

void generation_enter(struct generation *generation, struct inference *inference)
{
    struct error error UNSET;
    if (generation->stateful ? enter_sequence(generation, inference, &error)
                             : enter_queue(generation, inference, &error))
        queued(generation);
    else
        inference_refuse(inference, &error);
}

void generation_submit(struct generation *generation, struct inference *inference)
{
    struct error error UNSET;
    generation->active = true;
    if (!still_serves(generation, &error) ||
        (generation->schema && !inference_check(inference, &error)))
        inference_refuse(inference, &error);
    else if (!generation->reuse.on || !generation->schema || !reuse_begin(inference))
        generation_enter(generation, inference);
}

/* Puts a request back into the queue that was with a worker. */
static bool goes_back(struct generation *generation, struct inference *inference)
{
    return !generation->stateful && generation->state.phase == GENERATION_READY &&
           !inference->cancelled &&
           schedule_repeat(&generation->schedule, &inference->entry, clock_now_ns());
}

bool generation_repeat(struct generation *generation, struct inference *inference)
{
    if (!generation->repeatable || inference->repeated || inference->times.responses > 0 ||
        !goes_back(generation, inference))
        return false;
    inference->entry.alone = inference->repeated = true;
    inference_waits(inference);
    queued(generation);
    return true;
}

bool generation_wait_on(struct generation *generation, struct inference *inference)
{
    if (!goes_back(generation, inference))
        return false;
    inference->times.executed_ns = 0; /* it was with no worker after all */
    inference_waits(inference);
    queued(generation);
    return true;
}

static void left(struct generation *generation)
{
    generation->state.queued--;
    if (!generation->state.queued)
        generation_withdraw_claim(generation);
    generation_notice(generation, GENERATION_LEFT);
    residence_rest(generation);
}

void generation_submit_visit(struct generation *generation, struct visit *visit)
{
    struct error error UNSET;
    if (!still_serves(generation, &error) ||
        (generation->state.queued >= serving_of(generation)->options.queue_limit &&
         !full_error(&error))) {
        visit_refuse(visit, &error);
        return;
    }
    list_add(&generation->pool->waiting, &visit->link);
    queued(generation);
}

void generation_withdraw_visit(struct generation *generation, struct visit *visit)
{
    list_remove(&visit->link);
    left(generation);
    server_pool_rest(generation->pool);
}

void generation_withdraw(struct generation *generation, struct inference *inference)
{
    if (inference->entry.waits)
        schedule_leave(&generation->schedule, &inference->entry);
    left(generation);
}

void generation_too_late(const struct generation *generation, const struct inference *inference,
                         struct error *ret_error)
{
    late_error("has waited, and would be answered too late",
               schedule_lateness_ns(&generation->schedule, &inference->entry, clock_now_ns()),
               ret_error);
}

/* Its deadline has passed; else its time in the queue is over; else it was let in, has waited, and
 * is now foreseen to be answered too late. */
static void refuse_late(const struct generation *generation, struct inference *inference,
                        uint64_t now_ns)
{
    struct error error UNSET;
    const struct queue_entry *entry = &inference->entry;
    if (entry->deadline_ns <= now_ns)
        inference_deadline_error(inference, false, &error);
    else if (entry->expires_ns <= now_ns)
        error_set(&error, ERROR_UNAVAILABLE, "Request timeout expired");
    else
        generation_too_late(generation, inference, &error);
    inference_refuse(inference, &error);
}

void generation_expire(struct generation *generation, struct inference *inference)
{
    uint64_t now_ns = clock_now_ns();
    enum schedule_expiry expiry = SCHEDULE_WAITS;
    if (inference->entry.waits)
        expiry = schedule_expire(&generation->schedule, &inference->entry, now_ns);
    else if (inference->deadline_ns <= now_ns)
        expiry = SCHEDULE_TOO_LATE;
    if (expiry == SCHEDULE_WAITS)
        return;
    left(generation);
    refuse_late(generation, inference, now_ns);
}

static void refuse_sequences(struct stateful *stateful, const struct error *error)
{
    struct list_link *link;
    while ((link = list_first(&stateful->sequences.requests))) {
        struct sequence_request *request = list_entry(link, struct sequence_request, wait_link);
        inference_refuse(list_entry(request, struct inference, turn), error);
    }
}

void generation_refuse(struct generation *generation, const struct error *error)
{
    struct queue_entry *entry;
    if (generation->pool)
        server_pool_refuse(generation->pool, error);
    while ((entry = queue_first(&generation->schedule.queue))) {
        schedule_leave(&generation->schedule, entry);
        inference_refuse(inference_of(entry), error);
    }
    if (generation->stateful)
        refuse_sequences(generation->stateful, error);
    residence_rest(generation);
}

/* No worker has served yet: all that is of sequences waits in them. */
static void check_sequences(struct generation *generation, struct stateful *stateful)
{
    list_each(link, &stateful->sequences.requests)
    {
        struct sequence_request *request = list_entry(link, struct sequence_request, wait_link);
        struct inference *inference = list_entry(request, struct inference, turn);
        struct error error;
        if (inference_check(inference, &error))
            continue;
        generation_withdraw(generation, inference);
        inference_refuse(inference, &error);
    }
}

void generation_check_queue(struct generation *generation)
{
    if (generation->stateful)
        check_sequences(generation, generation->stateful);
    struct queue *queue = &generation->schedule.queue;
    for (struct queue_entry *entry = queue_first(queue), *next; entry; entry = next) {
        struct inference *inference = inference_of(entry);
        struct error error;
        next = queue_after(queue, entry);
        if (inference_check(inference, &error)) {
            schedule_recount(&generation->schedule, entry, rows_of(generation, inference),
                             inference->runs_alone);
            continue;
        }
        generation_withdraw(generation, inference);
        inference_refuse(inference, &error);
    }
}

/* ---- to the worker ---- */

/* Fills in what the channel needs of a request that leaves the queue. */
static bool prepare(struct generation *generation, struct inference *inference,
                    struct error *ret_error)
{
    struct channel_request *request = &inference->request;
    struct channel_request *const alone = request;
    if (!inference->turn.sequence) { /* else it has them, with those that the server gives */
        request->inputs = inference->inputs;
        request->input_count = inference->input_count;
    }
    request->parameters = inference->parameters;
    request->parameter_count = inference->parameter_count;
    request->id = inference->id;
    request->deadline_ns = inference->deadline_ns;
    request->credits = INFERENCE_ANSWERS_AHEAD;
    if (!channel_fitting(&alone, 1))
        return error_set(ret_error, ERROR_TOO_LARGE,
                         "the request's parameters are longer than a worker can be sent");
    return request->grant.size || inference_take_grant(inference, ret_error);
}

/* Prepares each request of a batch and refuses those that cannot go. */
static void prepare_batch(struct generation *generation, struct schedule_batch *batch)
{
    size_t kept = 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct error error UNSET;
        struct queue_entry *entry = batch->entries[i];
        if (prepare(generation, inference_of(entry), &error)) {
            batch->entries[kept++] = entry;
            continue;
        }
        batch->rows -= entry->rows;
        inference_refuse(inference_of(entry), &error);
    }
    batch->count = kept;
}

/* What does not go is put back where it was. */
static void put_back(struct generation *generation, struct schedule_batch *batch, size_t kept)
{
    while (batch->count > kept) {
        struct queue_entry *entry = batch->entries[--batch->count];
        batch->rows -= entry->rows;
        schedule_put_back(&generation->schedule, entry);
        generation->state.queued++;
    }
}

static void dispatch_again(struct timer *timer)
{
    generation_dispatch(list_entry(timer, struct generation, dispatch_again));
}

static void wait_is_over(struct fine_timer *timer)
{
    generation_dispatch(list_entry(timer, struct generation, batch_wait));
}

/* Looks again at that time: what waits then is to go. */
static void dispatch_at(struct generation *generation, uint64_t time_ns)
{
    if (time_ns != CLOCK_NEVER)
        fine_timer_start(&generation->batch_wait, serving_of(generation)->loop, time_ns,
                         wait_is_over);
}

/* Takes the next batch off the queue and refuses what has become too late. False: there is none. */
static bool take_batch(struct generation *generation, uint64_t room, struct schedule_batch *batch)
{
    schedule_take(&generation->schedule, generation->dispatched_ns, room, batch);
    generation->state.queued -= batch->count + batch->late_count;
    for (size_t i = 0; i < batch->late_count; i++)
        refuse_late(generation, inference_of(batch->late[i]), generation->dispatched_ns);
    return batch->count > 0 || batch->late_count > 0;
}

/* Hands a batch of sequences that keep their rows to their worker. */
static bool send_rows(struct generation *generation, struct schedule_batch *batch,
                      struct inference **inferences)
{
    size_t count = batch->count;
    struct replica *replica = stateful_replica(inferences[0]);
    if (filler_pad(inferences, &count)) {
        if (replica_execute(replica, inferences, count, count))
            return true;
        filler_drop(inferences, count);
    }
    put_back(generation, batch, 0);
    return false;
}

/* Hands a batch, or the first part of it, to the worker. False: it takes nothing now. */
static bool send_batch(struct generation *generation, struct schedule_batch *batch)
{
    struct inference *inferences[BATCH_MAX_REQUESTS] UNSET;
    prepare_batch(generation, batch);
    for (size_t i = 0; i < batch->count; i++)
        inferences[i] = inference_of(batch->entries[i]);
    put_back(generation, batch, replica_fitting(inferences, batch->count));
    if (batch->count == 0)
        return true;
    if (generation->stateful && generation->stateful->keeps_rows)
        return send_rows(generation, batch, inferences);
    uint64_t rows = generation->schema->joins ? batch->rows : 1;
    struct replica *replica = generation->stateful ? stateful_replica(inferences[0])
                                                   : generation_workers_next(generation);
    if (replica_execute(replica, inferences, batch->count, rows))
        return true;
    put_back(generation, batch, 0);
    return false;
}

/* Sends batches to workers as long as that can be done now. True when it waits for resources that
 * others have. */
static bool send_batches(struct generation *generation)
{
    struct serving *serving = serving_of(generation);
    struct schedule_batch batch UNSET;
    uint64_t room;
    while (generation->state.phase == GENERATION_READY && generation->state.queued > 0 &&
           (room = generation_workers_room(generation)) > 0) {
        if (!limiter_may(&serving->limiter, &generation->claim))
            return true;
        if (!take_batch(generation, room, &batch)) {
            dispatch_at(generation, batch.wake_ns);
            return false;
        }
        if (!send_batch(generation, &batch)) {
            if (!generation_workers_busy(generation)) /* no answer will bring us back */
                timer_start(&generation->dispatch_again, serving->loop, NO_MEMORY_MS,
                            dispatch_again);
            return false;
        }
    }
    return false;
}

/* Requests of sequences that have their turn come into the queue. */
static void feed_queue(struct generation *generation)
{
    struct inference *inference;
    struct error error;
    while ((inference = stateful_next(generation->stateful, &error))) {
        if (error.code == ERROR_OK && enter_queue(generation, inference, &error)) {
            inference_waits(inference);
            continue;
        }
        left(generation);
        inference_refuse(inference, &error);
    }
}

static void dispatch(struct loop_task *task)
{
    struct generation *generation = list_entry(task, struct generation, dispatch);
    if (generation->stateful) {
        generation_workers_seat(generation);
        feed_queue(generation);
    }
    if (generation->room.draining) { /* another model needs its room: what waits is for later */
        generation_withdraw_claim(generation);
        return;
    }
    if (generation->pool) {
        server_pool_dispatch(generation->pool);
        return;
    }
    if (generation->state.queued)
        generation_workers_watch(generation);
    generation->dispatched_ns = clock_now_ns();
    if (!send_batches(generation))
        generation_withdraw_claim(generation);
    residence_rest(generation); /* all may have been too late */
}

/* ---- resources that models share ---- */

/* Others may have their turn now: each looks for itself. */
static void dispatch_waiting(const struct limiter *limiter)
{
    list_each(link, &limiter->waiting)
    {
        struct limiter_claim *claim = list_entry(link, struct limiter_claim, wait_link);
        generation_dispatch(list_entry(claim, struct generation, claim));
    }
}

void generation_take_resources(struct generation *generation)
{
    limiter_take(&serving_of(generation)->limiter, &generation->claim);
}

void generation_return_resources(struct generation *generation)
{
    struct limiter *limiter = &serving_of(generation)->limiter;
    limiter_return(limiter, &generation->claim);
    dispatch_waiting(limiter);
}

void generation_withdraw_claim(struct generation *generation)
{
    if (limiter_withdraw(&generation->claim))
        dispatch_waiting(&serving_of(generation)->limiter);
}

void generation_dispatch(struct generation *generation)
{
    generation->dispatch.run = dispatch;
    loop_defer(serving_of(generation)->loop, &generation->dispatch);
}
