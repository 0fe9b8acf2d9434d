/* Visits to managed servers; see visit.h. */
#include "serving/visit.h"

#include "base/clock.h"
#include "serving/generation.h"
#include "serving/measure.h"
#include "serving/server_pool.h"

#include <assert.h>

enum { PATIENCE_MS = 1000 }; /* until it is known that a server has ended */

bool visit_init(struct visit *visit, struct version *version, struct error *ret_error)
{
    *visit = (struct visit){.generation = NULL};
    struct generation *generation = version->current;
    if (!serving_takes_requests(version->model->serving, ret_error))
        return false;
    if (!generation)
        return version_not_ready(version, ret_error);
    if (!generation->pool)
        return error_set(ret_error, ERROR_NOT_FOUND,
                         "model '%.*s' is no managed server: it is called at /v2/models/%.*s/infer",
                         SPAN_ARGS(version->model->name), SPAN_ARGS(version->model->name));
    visit->generation = generation_ref(generation);
    serving_inference_began(version->model->serving);
    return true;
}

const struct server_config *visit_config(const struct visit *visit)
{
    return &visit->generation->spec.server;
}

void visit_submit(struct visit *visit)
{
    if (!visit->submitted_ns)
        visit->submitted_ns = clock_now_ns();
    generation_submit_visit(visit->generation, visit);
}

void visit_give(struct visit *visit, struct conn *conn, bool used)
{
    visit->lent = true;
    visit->given_ns = clock_now_ns();
    visit->given(visit, conn, used);
}

static void tell_refusal(struct loop_task *task)
{
    struct visit *visit = list_entry(task, struct visit, refusal);
    visit->refused(visit, &visit->error);
}

void visit_refuse(struct visit *visit, const struct error *error)
{
    visit->error = *error;
    visit->was_refused = true;
    visit->refusal.run = tell_refusal;
    loop_defer(visit->generation->version->model->serving->loop, &visit->refusal);
}

void visit_tell_why(struct visit *visit, const char *why)
{
    timer_stop(&visit->patience);
    list_remove(&visit->link);
    visit->asks = false;
    visit->told(visit, why);
}

/* Either nothing is known, or it was before it asked. */
static void on_patience(struct timer *timer)
{
    struct visit *visit = list_entry(timer, struct visit, patience);
    const struct server_pool *pool = visit->generation->pool;
    visit_tell_why(visit, pool->lost_ns > visit->given_ns ? pool->lost_why : NULL);
}

void visit_ask_why(struct visit *visit)
{
    struct generation *generation = visit->generation;
    bool known = generation->pool->lost_ns > visit->given_ns;
    assert(!visit->lent && !visit->asks);
    visit->asks = true;
    list_add(&generation->pool->asking, &visit->link);
    timer_start(&visit->patience, generation->version->model->serving->loop,
                known ? 0 : PATIENCE_MS, on_patience);
}

void visit_return(struct visit *visit, struct conn *conn, bool reusable)
{
    assert(visit->lent);
    visit->lent = false;
    server_pool_return(visit->generation->pool, conn, reusable);
}

void visit_fini(struct visit *visit, enum visit_end end)
{
    struct generation *generation = visit->generation;
    if (!generation)
        return;
    assert(!visit->lent);
    loop_undefer(&visit->refusal);
    timer_stop(&visit->patience);
    if (visit->asks)
        list_remove(&visit->link);
    else if (list_linked(&visit->link))
        generation_withdraw_visit(generation, visit);
    if (visit->submitted_ns)
        measure_visit(visit, visit->was_refused ? VISIT_FAILED : end);
    struct serving *serving = generation->version->model->serving;
    visit->generation = NULL;
    generation_unref(generation);
    serving_inference_ended(serving);
}
