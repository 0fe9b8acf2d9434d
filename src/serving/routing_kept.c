/* Weights that were set; see routing_kept.h. */
#include "serving/routing_kept.h"

#include "codec/json.h"
#include "codec/json_writer.h"
#include "repository/model_rollout.h"

#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_BYTES = 24, ARENA_BYTES = 1 << 20 };

struct kept_weights {
    uint64_t config;        /* what the config said, as a number */
    struct rollout rollout; /* whose weights count */
    struct span model;      /* behind it */
};

void routing_kept_init(struct routing_kept *kept)
{
    *kept = (struct routing_kept){.changed = false};
    map_init(&kept->by_model);
}

void routing_kept_fini(struct routing_kept *kept)
{
    struct map_slot slot;
    for (size_t at = 0; map_next(&kept->by_model, &at, &slot);)
        free(slot.value);
    map_fini(&kept->by_model);
}

static uint64_t number_of(const struct rollout *config)
{
    struct buf buf;
    buf_init(&buf, 4096);
    model_rollout_pack(config, &buf);
    uint64_t number = rollout_key(buf_span(&buf));
    buf_fini(&buf);
    return number;
}

static void put(struct routing_kept *kept, struct span model, uint64_t config,
                const struct rollout *rollout)
{
    routing_kept_remove(kept, model);
    struct kept_weights *weights =
        kept->by_model.count < ROUTING_KEPT_MAX ? malloc(sizeof *weights + model.size) : NULL;
    if (!weights)
        return;
    *weights = (struct kept_weights){config, *rollout, {(char *)(weights + 1), model.size}};
    memcpy(weights + 1, model.data, model.size);
    if (!map_set(&kept->by_model, weights->model, weights))
        free(weights);
}

void routing_kept_put(struct routing_kept *kept, struct span model, const struct rollout *config,
                      const struct rollout *now)
{
    put(kept, model, number_of(config), now);
    kept->changed = true;
}

void routing_kept_remove(struct routing_kept *kept, struct span model)
{
    struct kept_weights *weights = map_get(&kept->by_model, model);
    if (!weights)
        return;
    map_remove(&kept->by_model, model);
    free(weights);
    kept->changed = true;
}

bool routing_kept_recall(const struct routing_kept *kept, struct span model,
                         struct rollout *rollout)
{
    const struct kept_weights *weights = map_get(&kept->by_model, model);
    if (!weights || weights->config != number_of(rollout))
        return false;
    memcpy(rollout->weights, weights->rollout.weights, sizeof rollout->weights);
    rollout->weight_count = weights->rollout.weight_count;
    return true;
}

/* ---- as text ---- */

static void write_weights(struct json_writer *json, const struct kept_weights *weights)
{
    char number[NUMBER_BYTES];
    json_put_object(json);
    json_put_member_string(json, SPAN("name"), weights->model);
    snprintf(number, sizeof number, "%016llx", (unsigned long long)weights->config);
    json_put_member_string(json, SPAN("config"), span_of(number));
    json_put_key(json, SPAN("weights"));
    json_put_object(json);
    for (size_t i = 0; i < weights->rollout.weight_count; i++) {
        snprintf(number, sizeof number, "%llu",
                 (unsigned long long)weights->rollout.weights[i].version);
        json_put_member_u64(json, span_of(number), weights->rollout.weights[i].weight);
    }
    json_put_object_end(json);
    json_put_object_end(json);
}

void routing_kept_write(const struct routing_kept *kept, struct buf *buf)
{
    struct json_writer json;
    struct map_slot slot;
    json_writer_init(&json, buf);
    json_put_array(&json);
    for (size_t at = 0; map_next(&kept->by_model, &at, &slot);)
        write_weights(&json, slot.value);
    json_put_array_end(&json);
}

static bool read_hex(struct span text, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        number = number << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *ret_number = number;
    return text.size == 16;
}

static size_t read_numbers(struct json *json, struct rollout_weight *weights)
{
    struct span key;
    size_t count = 0;
    json_enter_object(json);
    while (json_next_key(json, &key)) {
        uint64_t version = 0, weight = 0;
        if (count == ROLLOUT_MAX_VERSIONS || !span_to_u64(key, &version))
            json_fail(json, "no weight of a version");
        else if (json_u64(json, &weight) && weight <= ROLLOUT_MAX_WEIGHT)
            weights[count++] = (struct rollout_weight){version, (uint32_t)weight};
        else
            json_fail(json, "no weight");
    }
    return count;
}

static void read_entry(struct json *json, struct routing_kept *kept)
{
    struct rollout_weight weights[ROLLOUT_MAX_VERSIONS] = {{0}};
    struct rollout rollout = {.weight_count = 0};
    struct span key, name = {NULL, 0}, hex = {NULL, 0};
    struct error error;
    size_t count = 0;
    uint64_t config = 0;
    json_enter_object(json);
    while (json_next_key(json, &key)) {
        if (span_equal(key, SPAN("name")))
            json_string(json, &name);
        else if (span_equal(key, SPAN("config")))
            json_string(json, &hex);
        else if (span_equal(key, SPAN("weights")))
            count = read_numbers(json, weights);
        else
            json_skip(json, NULL);
    }
    if (!json_ok(json))
        return;
    if (!name.size || !count || !read_hex(hex, &config) ||
        !model_rollout_set_weights(weights, count, &rollout, &error))
        json_fail(json, "no weights of a model");
    else
        put(kept, name, config, &rollout);
}

bool routing_kept_read(struct routing_kept *kept, struct span text, struct error *ret_error)
{
    struct arena arena;
    struct json json;
    arena_init(&arena, 4096, ARENA_BYTES);
    json_init(&json, text, JSON_MAX_DEPTH, &arena, ret_error);
    json_enter_array(&json);
    while (json_next_element(&json))
        read_entry(&json, kept);
    bool good = json_end(&json);
    arena_fini(&arena);
    kept->changed = false;
    return good;
}
