/* Answers without an execution of their own; see reuse.h. */
#include "serving/reuse.h"

#include "repository/repository.h"
#include "serving/flight.h"
#include "serving/generation.h"
#include "serving/inference_internal.h"
#include "serving/measure.h"

#include <assert.h>
#include <sys/random.h>

static struct reuse *reuse_of(const struct inference *inference)
{
    return &inference->generation->version->model->serving->reuse;
}

bool reuse_init(struct reuse *reuse, uint64_t limit_bytes, uint64_t entry_limit_bytes)
{
    *reuse = (struct reuse){.generations = 0};
    reuse->usable = getrandom(reuse->secret, sizeof reuse->secret, 0) == sizeof reuse->secret;
    response_cache_init(&reuse->cache, limit_bytes, entry_limit_bytes);
    return reuse->usable;
}

void reuse_join(struct generation *generation, const struct repository_version *found)
{
    struct reuse *reuse = &generation->version->model->serving->reuse;
    bool caches = found->config->caches, coalesces = found->config->coalesces;
    generation->reuse = (struct generation_reuse){
        .on = reuse->usable && (caches || coalesces),
        .caches = caches,
        .coalesces = coalesces,
        .follows = !generation->repeatable || found->config->pipeline,
        .serial = ++reuse->generations,
    };
    list_init(&generation->reuse.cached);
    map_init(&generation->reuse.flights);
    reuse_changed(reuse);
}

void reuse_retire(struct generation *generation)
{
    generation->reuse.on = generation->reuse.caches = false;
    response_cache_drop(&generation->reuse.cached);
    reuse_changed(&generation->version->model->serving->reuse);
}

void reuse_leave(struct generation *generation)
{
    assert(list_empty(&generation->reuse.cached) && generation->reuse.flights.count == 0);
    map_fini(&generation->reuse.flights);
}

/* ---- what makes requests the same ---- */

static void add_input(struct siphash *hash, const struct tensor_memory *memory,
                      const struct channel_tensor *input)
{
    struct extent extent = input->extent;
    siphash_add_u64(hash, input->index);
    siphash_add_u64(hash, input->datatype);
    siphash_add_u64(hash, input->shape.ndim);
    for (uint32_t i = 0; i < input->shape.ndim; i++)
        siphash_add_u64(hash, (uint64_t)input->shape.dims[i]);
    siphash_add_u64(hash, extent.size);
    if (extent.size)
        siphash_add(hash, (struct span){tensor_memory_at(memory, extent), extent.size});
}

static uint64_t input_bytes(const struct inference *inference)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < inference->input_count; i++)
        sum += inference->inputs[i].extent.size;
    return sum;
}

static struct siphash_value key_of(const struct inference *inference)
{
    const struct reuse *reuse = reuse_of(inference);
    const struct generation *generation = inference->generation;
    struct siphash hash;
    siphash_init(&hash, reuse->secret);
    siphash_add_u64(&hash, generation->reuse.serial);
    siphash_add_u64(&hash, generation->reuse.follows ? reuse->changes : 0);
    siphash_add_u64(&hash, inference->input_count);
    for (size_t i = 0; i < inference->input_count; i++)
        add_input(&hash, generation->memory, &inference->inputs[i]);
    siphash_add_u64(&hash, inference->output_name_count);
    for (size_t i = 0; i < inference->output_name_count; i++)
        siphash_add_string(&hash, inference->output_names[i]);
    siphash_add_u64(&hash, inference->parameter_count);
    for (size_t i = 0; i < inference->parameter_count; i++) {
        siphash_add_string(&hash, inference->parameters[i].key);
        siphash_add_string(&hash, inference->parameters[i].value);
        siphash_add_u64(&hash, inference->parameters[i].literal);
    }
    return siphash_finish(&hash);
}

/* Whether answers to it are given again, and known by what. Large inputs would hold up the loop. */
static bool make_key(struct inference *inference)
{
    const struct response_cache *cache = &reuse_of(inference)->cache;
    if (inference->generation->schema->streams)
        return false;
    if (input_bytes(inference) > cache->entry_limit_bytes) {
        limit_hit(LIMIT_cache_entry_kib);
        return false;
    }
    inference->reuse.key = key_of(inference);
    return true;
}

/* ---- what was kept ---- */

static void give(struct loop_task *task)
{
    struct inference *inference = list_entry(task, struct inference, refusal);
    struct inference_answer answer = {.final = true, .error = {.code = ERROR_OK}};
    if (inference->cancelled)
        error_set(&answer.error, ERROR_CANCELLED, "the request was cancelled");
    else
        answer.outputs = inference->reuse.response->outputs;
    inference->state = INFERENCE_DONE;
    measure_answer(inference, &answer.error, NULL);
    inference->answered(inference, &answer);
}

/* Whether it was. */
static bool find_kept(struct inference *inference)
{
    struct serving *serving = inference->generation->version->model->serving;
    if (!inference->generation->reuse.caches || !serving->reuse.cache.limit_bytes)
        return false;
    inference->reuse.response = response_cache_find(&serving->reuse.cache, &inference->reuse.key);
    inference->times.lookup = inference->reuse.response ? LOOKUP_HIT : LOOKUP_MISS;
    inference->times.lookup_ns = clock_now_ns() - inference->times.submitted_ns;
    inference->reuse.keeps = !inference->reuse.response;
    if (inference->reuse.keeps)
        return false;
    inference->refusal.run = give;
    loop_defer(serving->loop, &inference->refusal);
    return true;
}

bool reuse_begin(struct inference *inference)
{
    return make_key(inference) &&
           (find_kept(inference) ||
            (inference->generation->reuse.coalesces && flight_board(inference)));
}

void reuse_keep(struct inference *inference, const struct inference_answer *answer)
{
    struct response_cache *cache = &reuse_of(inference)->cache;
    struct generation_reuse *generation = &inference->generation->reuse;
    uint64_t evictions = cache->evictions;
    if (!generation->caches || answer->error.code != ERROR_OK || inference->cancelled ||
        inference->times.responses || !answer->outputs.count)
        return;
    uint64_t started_ns = clock_now_ns();
    switch (
        response_cache_keep(cache, &generation->cached, &inference->reuse.key, &answer->outputs)) {
    case CACHE_KEPT:
        metrics.limit_hits[LIMIT_cache_memory_mib] += cache->evictions - evictions;
        break;
    case CACHE_TOO_LARGE:
        limit_hit(LIMIT_cache_entry_kib);
        break;
    case CACHE_FULL:
        limit_hit(LIMIT_cache_memory_mib);
        break;
    }
    inference->times.lookup_ns += clock_now_ns() - started_ns;
}

void reuse_end(struct inference *inference)
{
    response_cache_return(inference->reuse.response);
    inference->reuse.response = NULL;
    flight_end(inference);
}
