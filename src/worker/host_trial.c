/* Executions that the host makes by itself, before the model serves: nobody is told what comes of
 * them. */
#include "worker/host_private.h"

#include "base/clock.h"

/* ---- inputs ---- */

/* Small values, so that they are valid indices, tokens and probabilities alike. */
void host_trial_fill(enum tensord_datatype datatype, unsigned char *data, uint64_t size,
                     uint32_t *seed)
{
    size_t element = datatype_size_bytes(datatype);
    for (uint64_t at = 0; at + element <= size; at += element) {
        *seed = *seed * 1664525 + 1013904223;
        float value = (float)(*seed >> 8) / (1 << 24);
        uint16_t half = (uint16_t)(0x3000 + (*seed >> 22)); /* FP16 0.125 to 0.25 */
        if (datatype == TENSORD_FP32)
            memcpy(data + at, &value, element);
        else if (datatype == TENSORD_FP64)
            memcpy(data + at, &(double){value}, element);
        else if (datatype == TENSORD_FP16)
            memcpy(data + at, &half, element);
        else if (datatype == TENSORD_BF16)
            memcpy(data + at, (unsigned char *)&value + 2, element);
        else
            data[at] = (unsigned char)(*seed >> 31); /* 0 or 1, little-endian; the rest is 0 */
    }
}

/* BYTES: elements of one character. */
void host_trial_fill_bytes(unsigned char *data, uint64_t size, uint32_t *seed)
{
    for (uint64_t at = 0; at + 5 <= size; at += 5) {
        *seed = *seed * 1664525 + 1013904223;
        memcpy(data + at, &(uint32_t){1}, 4);
        data[at + 4] = (unsigned char)('0' + (*seed >> 29));
    }
}

/* ---- running the engine ---- */

struct host_execution *host_trial_new(struct host *host, size_t input_capacity,
                                      struct tensord_tensor **ret_inputs)
{
    struct arena arena;
    arena_init(&arena, 4096, SIZE_MAX);
    struct host_execution *execution = arena_calloc(&arena, 1, sizeof *execution);
    struct tensord_tensor *inputs = arena_calloc(&arena, input_capacity, sizeof *inputs);
    if (!execution || !inputs) {
        arena_fini(&arena);
        return NULL;
    }
    execution->arena = arena;
    execution->host = host;
    execution->trial = true;
    pthread_mutex_init(&execution->lock, NULL);
    execution->tensord = (struct tensord_execution){.host = &host->tensord,
                                                    .id = "",
                                                    .inputs = inputs,
                                                    .wanted_outputs = UINT64_MAX,
                                                    .deadline_ns = CLOCK_NEVER};
    *ret_inputs = inputs;
    return execution;
}

enum tensord_status host_trial_run(struct host_execution *execution)
{
    struct host *host = execution->host;
    bool async = host->engine->flags & TENSORD_ENGINE_ASYNC;
    host->tensord.reason(TENSORD_OK, "%s", ""); /* what was said of others is forgotten */
    host->engine->execute(host->model, &execution->tensord);
    pthread_mutex_lock(&host->lock);
    while (async && !execution->finished)
        pthread_cond_wait(&host->changed, &host->lock);
    enum tensord_status status = execution->finished ? execution->status : TENSORD_INTERNAL;
    pthread_mutex_unlock(&host->lock);
    return status;
}
