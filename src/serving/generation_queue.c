/* The requests of a generation: its queue, and what becomes of it when the worker has room. The
 * queue is emptied in one place, dispatch(), at the end of a loop turn. */
#include "base/unset.h"
#include "serving/batch.h"
#include "serving/generation.h"
#include "serving/inference_internal.h"
#include "serving/replica.h"
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

/* What requests for a failed model are answered. */
static void failed_error(const struct generation *generation, struct error *ret_error)
{
    error_set(ret_error, ERROR_UNAVAILABLE, "model '%.*s' has failed: %s",
              SPAN_ARGS(generation->spec.name), generation->failure.message);
}

/* Whether the queue takes another request. */
static bool has_room(const struct generation *generation, struct error *ret_error)
{
    if (generation_has_failed(generation)) {
        failed_error(generation, ret_error);
        return false;
    }
    if (generation->state.queued < serving_of(generation)->options.queue_limit)
        return true;
    limit_hit(LIMIT_queue_limit);
    return error_set(ret_error, ERROR_UNAVAILABLE, "Exceeds maximum queue size");
}

/* One more request is in the queue. */
static void queued(struct generation *generation)
{
    generation->state.queued++;
    generation_dispatch(generation);
    generation_notice(generation, GENERATION_REQUEST);
}

void generation_submit(struct generation *generation, struct inference *inference)
{
    struct error error UNSET;
    generation->active = true;
    if (!has_room(generation, &error) ||
        (generation->schema && !inference_check(inference, &error))) {
        inference_refuse(inference, &error);
        return;
    }
    list_add(&generation->queue, &inference->link);
    queued(generation);
}

void generation_submit_visit(struct generation *generation, struct visit *visit)
{
    struct error error UNSET;
    if (!has_room(generation, &error)) {
        visit_refuse(visit, &error);
        return;
    }
    list_add(&generation->pool->waiting, &visit->link);
    queued(generation);
}

void generation_withdraw_visit(struct generation *generation, struct visit *visit)
{
    list_remove(&visit->link);
    generation->state.queued--;
    generation_notice(generation, GENERATION_LEFT);
    server_pool_rest(generation->pool);
}

void generation_withdraw(struct generation *generation, struct inference *inference)
{
    list_remove(&inference->link);
    generation->state.queued--;
    generation_notice(generation, GENERATION_LEFT);
}

void generation_refuse(struct generation *generation)
{
    struct error error;
    failed_error(generation, &error);
    if (generation->pool)
        server_pool_refuse(generation->pool, &error);
    list_each(link, &generation->queue)
    {
        list_remove(link);
        inference_refuse(list_entry(link, struct inference, link), &error);
    }
}

void generation_check_queue(struct generation *generation)
{
    list_each(link, &generation->queue)
    {
        struct inference *inference = list_entry(link, struct inference, link);
        struct error error;
        if (inference_check(inference, &error))
            continue;
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
    request->inputs = inference->inputs;
    request->input_count = inference->input_count;
    request->parameters = inference->parameters;
    request->parameter_count = inference->parameter_count;
    request->deadline_ns = inference->deadline_ns;
    request->credits = INFERENCE_ANSWERS_AHEAD;
    if (!channel_fitting(&alone, 1))
        return error_set(ret_error, ERROR_TOO_LARGE,
                         "the request's parameters are longer than a worker can be sent");
    return request->grant.size || inference_take_grant(inference, ret_error);
}

/* Prepares each request of a batch and refuses those that cannot go. Returns how many are left. */
static size_t prepare_batch(struct generation *generation, struct inference **batch, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct error error UNSET;
        if (prepare(generation, batch[i], &error))
            batch[kept++] = batch[i];
        else
            inference_refuse(batch[i], &error);
    }
    return kept;
}

static void put_back(struct generation *generation, struct inference **batch, size_t count)
{
    while (count-- > 0) {
        list_insert_first(&generation->queue, &batch[count]->link);
        generation->state.queued++;
    }
}

static void dispatch_again(struct timer *timer)
{
    generation_dispatch(list_entry(timer, struct generation, dispatch_again));
}

static void dispatch(struct loop_task *task)
{
    struct generation *generation = list_entry(task, struct generation, dispatch);
    struct inference *batch[BATCH_MAX_REQUESTS] UNSET;
    if (generation->pool) {
        server_pool_dispatch(generation->pool);
        return;
    }
    if (generation->state.queued)
        generation->dispatched_ns = clock_now_ns();
    while (generation->state.phase == GENERATION_READY && replica_has_room(generation->replica)) {
        size_t count = batch_take(&generation->queue, generation->schema->max_batch_size, batch);
        if (count == 0)
            return;
        generation->state.queued -= count;
        count = prepare_batch(generation, batch, count);
        size_t fitting = replica_fitting(batch, count);
        put_back(generation, batch + fitting, count - fitting);
        count = fitting;
        if (count && !replica_execute(generation->replica, batch, count)) {
            put_back(generation, batch, count);
            if (!replica_busy(generation->replica)) /* no answer will bring us back */
                timer_start(&generation->dispatch_again, serving_of(generation)->loop, NO_MEMORY_MS,
                            dispatch_again);
            return;
        }
    }
}

void generation_dispatch(struct generation *generation)
{
    generation->dispatch.run = dispatch;
    loop_defer(serving_of(generation)->loop, &generation->dispatch);
}
