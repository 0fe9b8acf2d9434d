/* Answers that are kept; see response_cache.h. */
#include "serving/response_cache.h"

#include <assert.h>
#include <stdlib.h>

/* What an answer takes beside its own piece of memory: places in a map that is a third full. */
enum { PLACE_BYTES = 3 * sizeof(struct map_slot) };

void response_cache_init(struct response_cache *cache, uint64_t limit_bytes,
                         uint64_t entry_limit_bytes)
{
    *cache =
        (struct response_cache){.limit_bytes = limit_bytes, .entry_limit_bytes = entry_limit_bytes};
    map_init(&cache->entries);
    list_init(&cache->idle);
}

static struct span key_bytes(const struct siphash_value *key)
{
    return (struct span){(const char *)key, sizeof *key};
}

static void destroy(struct cached_response *response)
{
    response->cache->bytes -= response->bytes;
    free(response);
}

/* It is not found any more, and goes unless it is lent. */
static void drop(struct cached_response *response)
{
    struct response_cache *cache = response->cache;
    map_remove(&cache->entries, key_bytes(&response->key));
    cache->count--;
    list_remove(&response->owner_link);
    response->dropped = true;
    if (response->readers)
        return;
    list_remove(&response->idle_link);
    cache->idle_bytes -= response->bytes;
    destroy(response);
}

/* Drives out what was not looked up for longest, until `bytes` more can be held. */
static void make_room(struct response_cache *cache, uint64_t bytes)
{
    struct list_link *first;
    while (cache->bytes + bytes > cache->limit_bytes && (first = list_first(&cache->idle))) {
        drop(list_entry(first, struct cached_response, idle_link));
        cache->evictions++;
    }
}

void response_cache_fini(struct response_cache *cache)
{
    response_cache_bound(cache, 0, 0);
    assert(cache->bytes == 0);
    map_fini(&cache->entries);
}

void response_cache_bound(struct response_cache *cache, uint64_t limit_bytes,
                          uint64_t entry_limit_bytes)
{
    cache->limit_bytes = limit_bytes;
    cache->entry_limit_bytes = entry_limit_bytes;
    make_room(cache, 0);
}

struct cached_response *response_cache_find(struct response_cache *cache,
                                            const struct siphash_value *key)
{
    struct cached_response *found = map_get(&cache->entries, key_bytes(key));
    if (!found)
        return NULL;
    if (found->readers++ == 0) {
        list_remove(&found->idle_link);
        cache->idle_bytes -= found->bytes;
    }
    return found;
}

void response_cache_return(struct cached_response *response)
{
    if (!response)
        return;
    struct response_cache *cache = response->cache;
    assert(response->readers > 0);
    if (--response->readers)
        return;
    if (response->dropped) {
        destroy(response);
        return;
    }
    list_add(&cache->idle, &response->idle_link);
    cache->idle_bytes += response->bytes;
    make_room(cache, 0); /* the limit may have become less meanwhile */
}

static uint64_t rounded_up(uint64_t size)
{
    return (size + TENSOR_ALIGNMENT - 1) / TENSOR_ALIGNMENT * TENSOR_ALIGNMENT;
}

/* What stands before the tensors. */
static uint64_t head_bytes(size_t count)
{
    return rounded_up(sizeof(struct cached_response) + count * sizeof(struct inference_output));
}

/* False when they are more than one answer may have. */
static bool size_of(const struct response_cache *cache, const struct inference_outputs *outputs,
                    uint64_t *ret_bytes)
{
    uint64_t left = cache->entry_limit_bytes, bytes = head_bytes(outputs->count);
    for (size_t i = 0; i < outputs->count; i++) {
        uint64_t size = outputs->items[i].data.size;
        if (size > left)
            return false;
        left -= size;
        bytes += rounded_up(size);
    }
    *ret_bytes = bytes;
    return true;
}

/* Each tensor is aligned as in a worker's memory, and read once. */
static struct cached_response *copy(const struct inference_outputs *outputs, uint64_t bytes)
{
    struct cached_response *made = aligned_alloc(TENSOR_ALIGNMENT, bytes);
    if (!made)
        return NULL;
    struct inference_output *items = (struct inference_output *)(made + 1);
    char *at = (char *)made + head_bytes(outputs->count);
    *made = (struct cached_response){.outputs = {items, outputs->count}};
    for (size_t i = 0; i < outputs->count; i++) {
        struct span data = outputs->items[i].data;
        items[i] = outputs->items[i];
        items[i].data = (struct span){data.size ? at : NULL, data.size};
        if (data.size)
            memcpy(at, data.data, data.size);
        at += rounded_up(data.size);
    }
    return made;
}

enum cache_verdict response_cache_keep(struct response_cache *cache, struct list *owner,
                                       const struct siphash_value *key,
                                       const struct inference_outputs *outputs)
{
    uint64_t bytes;
    if (map_get(&cache->entries, key_bytes(key)))
        return CACHE_KEPT;
    if (!size_of(cache, outputs, &bytes))
        return CACHE_TOO_LARGE;
    uint64_t held = bytes + PLACE_BYTES;
    if (cache->bytes - cache->idle_bytes + held > cache->limit_bytes)
        return CACHE_FULL;
    make_room(cache, held);
    struct cached_response *made = copy(outputs, bytes);
    if (!made)
        return CACHE_FULL;
    made->cache = cache;
    made->key = *key;
    made->bytes = held;
    if (!map_set(&cache->entries, key_bytes(&made->key), made)) {
        free(made);
        return CACHE_FULL;
    }
    cache->count++;
    cache->bytes += held;
    cache->idle_bytes += held;
    list_add(&cache->idle, &made->idle_link);
    list_add(owner, &made->owner_link);
    return CACHE_KEPT;
}

void response_cache_drop(struct list *owner)
{
    struct list_link *first;
    while ((first = list_first(owner)))
        drop(list_entry(first, struct cached_response, owner_link));
}
