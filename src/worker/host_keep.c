/* Memory of requests that an engine keeps after their final answers; see tensord_host.may_keep.
 *
 * What may be kept is counted from may_keep on, so that the bound holds whatever the engine keeps
 * in the end. A request that ran alone lies in tensor memory: its final answer says that it is
 * kept, and RELEASED that it is not any more. Joined requests were copied: the copies are kept, and
 * the front hears nothing of it. */
#include "worker/host_private.h"

#include <stdlib.h>

enum { WAKE_BYTES = 1 << 20 }; /* so much may be free without the front's knowing it */

struct tensord_kept {
    struct host *host;
    uint64_t request;
    uint64_t size_bytes;
    /* Under host->lock. */
    void **copies; /* (copy_count), malloc'd; NULL: it lies in tensor memory */
    size_t copy_count;
    bool used;     /* keep was called */
    bool sent;     /* the final answer is out */
    bool released; /* before that */
};

static uint64_t rounded(uint64_t size)
{
    return (size + TENSOR_ALIGNMENT - 1) / TENSOR_ALIGNMENT * TENSOR_ALIGNMENT;
}

static uint64_t size_of(const struct host_execution *execution)
{
    uint64_t size = 0;
    for (size_t i = 0; i < execution->tensord.input_count; i++)
        size += rounded(execution->tensord.inputs[i].size_bytes);
    if (execution->request_count == 1)
        size += rounded(execution->requests->rooms->extent.size);
    return size;
}

/* Counts what may be kept. With host->lock held. */
static bool pledge(struct host *host, uint64_t size)
{
    uint64_t limit = host->spec->keep_limit_bytes;
    if (host->pledged_bytes > limit || size > limit - host->pledged_bytes)
        return false;
    host->pledged_bytes += size;
    return true;
}

bool host_may_keep(struct host_execution *execution)
{
    struct host *host = execution->host;
    if (execution->trial || execution->kept)
        return execution->kept != NULL;
    if (execution->copies && execution->request_count == 1)
        return false; /* some of its inputs are ours, and some the front's */
    struct tensord_kept *kept = malloc(sizeof *kept);
    if (!kept)
        return false;
    *kept = (struct tensord_kept){
        .host = host, .request = execution->requests->id, .size_bytes = size_of(execution)};
    pthread_mutex_lock(&host->lock);
    bool may = pledge(host, kept->size_bytes);
    pthread_mutex_unlock(&host->lock);
    if (may)
        execution->kept = kept;
    else
        free(kept);
    return may;
}

bool host_may_keep_more(struct host_execution *execution, uint64_t size_bytes)
{
    struct host *host = execution->host;
    if (!execution->kept)
        return true;
    pthread_mutex_lock(&host->lock);
    bool may = pledge(host, size_bytes);
    if (may)
        execution->kept->size_bytes += size_bytes;
    pthread_mutex_unlock(&host->lock);
    return may;
}

struct tensord_kept *host_keep(struct host_execution *execution)
{
    if (execution->kept)
        execution->kept->used = true;
    return execution->kept;
}

bool host_keeps(const struct host_execution *execution)
{
    return execution->kept && execution->kept->used && execution->request_count == 1;
}

/* Tells the front; it is woken only when much is free that it may be waiting for. */
static void send_released(struct host *host, const struct tensord_kept *kept)
{
    struct record_writer writer;
    host_record(host, &writer, RECORD_RELEASED);
    record_put(&writer, &(struct record_request_id){kept->request},
               sizeof(struct record_request_id));
    host->unwoken_bytes += kept->size_bytes;
    bool wake = host->unwoken_bytes >= WAKE_BYTES;
    if (wake)
        host->unwoken_bytes = 0;
    host_send(host, &writer, wake);
}

/* Nobody looks at it any more, and its final answer is out. */
static void end(struct tensord_kept *kept)
{
    struct host *host = kept->host;
    if (kept->used && !kept->copies)
        send_released(host, kept);
    for (size_t i = 0; kept->copies && i < kept->copy_count; i++)
        free(kept->copies[i]);
    free(kept->copies);
    pthread_mutex_lock(&host->lock);
    host->pledged_bytes -= kept->size_bytes;
    pthread_mutex_unlock(&host->lock);
    free(kept);
}

/* Takes the joined inputs over; without memory for that, they are never freed. */
static void take_copies(struct tensord_kept *kept, struct host_execution *execution)
{
    size_t count = execution->tensord.input_count, size = count * sizeof *kept->copies;
    kept->copies = execution->copies ? malloc(size ? size : 1) : NULL;
    if (kept->copies) {
        memcpy(kept->copies, execution->copies, size);
        kept->copy_count = count;
    }
    execution->copies = NULL;
}

void host_kept_sent(struct host_execution *execution)
{
    struct tensord_kept *kept = execution->kept;
    if (!kept)
        return;
    struct host *host = execution->host;
    execution->kept = NULL;
    pthread_mutex_lock(&host->lock);
    if (kept->used && execution->request_count > 1)
        take_copies(kept, execution);
    kept->sent = true;
    bool over = !kept->used || kept->released;
    pthread_mutex_unlock(&host->lock);
    if (over)
        end(kept);
}

void host_release(struct tensord_kept *kept)
{
    struct host *host = kept->host;
    pthread_mutex_lock(&host->lock);
    bool over = kept->sent;
    kept->released = true;
    pthread_mutex_unlock(&host->lock);
    if (over)
        end(kept);
}
