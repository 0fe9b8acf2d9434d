/* Memory that a worker keeps; see kept.h. Each piece has two holders, the inference and the worker,
 * and goes back with the last of them. */
#include "serving/kept.h"

#include "serving/generation.h"
#include "serving/generation_spec.h"

#include <assert.h>
#include <stdlib.h>

struct kept {
    uint64_t id;
    uint64_t bytes;
    struct kept_list *list; /* NULL: the worker does not keep it any more */
    bool taken;             /* the inference has given it up; then: */
    struct admission_share share;
    size_t count;
    struct extent extents[]; /* as many as the inference had when it was answered */
};

static struct span key_of(const uint64_t *id)
{
    return (struct span){(const char *)id, sizeof *id};
}

void kept_init(struct kept_list *list, struct generation *generation)
{
    *list = (struct kept_list){.generation = generation};
    map_init(&list->by_id);
}

static size_t extent_count(const struct inference *inference)
{
    return inference->input_count + inference->extra_count + 1;
}

static struct extent extent_at(const struct inference *inference, size_t at)
{
    if (at < inference->input_count)
        return inference->inputs[at].extent;
    at -= inference->input_count;
    return at < inference->extra_count ? inference->extras[at] : inference->request.grant;
}

bool kept_add(struct kept_list *list, struct inference *inference, uint64_t id)
{
    size_t count = extent_count(inference);
    struct kept *kept = malloc(sizeof *kept + count * sizeof *kept->extents);
    if (!kept)
        return false;
    *kept = (struct kept){.id = id, .list = list, .count = count};
    for (size_t i = 0; i < count; i++) {
        kept->extents[i] = extent_at(inference, i);
        kept->bytes += tensor_memory_charge(kept->extents[i].size);
    }
    if (list->bytes + kept->bytes > list->generation->admission.limit_bytes / (KEPT_SHARE / 2) ||
        !map_set(&list->by_id, key_of(&kept->id), kept)) {
        free(kept);
        return false;
    }
    list->bytes += kept->bytes;
    inference->kept = kept;
    return true;
}

/* Gives the memory back, whose last holder has let go. */
static void give_back(struct generation *generation, struct kept *kept)
{
    for (size_t i = 0; i < kept->count; i++)
        tensor_memory_release(generation->memory, kept->extents[i]);
    admission_leave(&generation->admission, &kept->share);
    free(kept);
    generation_admit(generation);
}

static void let_go(struct kept_list *list, struct kept *kept)
{
    map_remove(&list->by_id, key_of(&kept->id));
    list->bytes -= kept->bytes;
    kept->list = NULL;
    if (kept->taken)
        give_back(list->generation, kept);
}

bool kept_release(struct kept_list *list, uint64_t id)
{
    struct kept *kept = map_get(&list->by_id, key_of(&id));
    if (kept)
        let_go(list, kept);
    return kept != NULL;
}

void kept_forget(struct kept_list *list)
{
    struct map_slot slot;
    for (size_t at = 0; map_next(&list->by_id, &at, &slot); at = 0)
        let_go(list, slot.value);
    map_fini(&list->by_id);
}

bool kept_take(struct inference *inference)
{
    struct kept *kept = inference->kept;
    inference->kept = NULL;
    if (!kept)
        return false;
    if (!kept->list) {
        free(kept);
        return false;
    }
    uint64_t held = inference->share.held_bytes;
    admission_pass(&inference->generation->admission, &inference->share,
                   kept->bytes < held ? kept->bytes : held, &kept->share);
    kept->taken = true;
    return true;
}
