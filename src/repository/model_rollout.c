/* From sections of a config to a rollout; see model_rollout.h. */
#include "repository/model_rollout.h"

#include <stdlib.h>

static bool refuse(struct error *ret_error, const char *sentence)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s", sentence);
}

/* ---- rollout ---- */

static int compare_versions(const void *a, const void *b)
{
    const struct rollout_weight *one = a, *other = b;
    return (one->version > other->version) - (one->version < other->version);
}

static bool check_weights(const struct rollout *rollout, struct error *ret_error)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < rollout->weight_count; i++) {
        const struct rollout_weight *one = &rollout->weights[i];
        if (i > 0 && one->version == one[-1].version)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'rollout.weights' has version %llu twice",
                             (unsigned long long)one->version);
        if (one->weight > ROLLOUT_MAX_WEIGHT || one->version > INT64_MAX)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'rollout.weights' are versions' numbers with weights of 0 to %d",
                             ROLLOUT_MAX_WEIGHT);
        sum += one->weight;
    }
    return sum > 0 || refuse(ret_error, "'rollout.weights' must have one above 0: else no version "
                                        "would answer");
}

bool model_rollout_set_weights(const struct rollout_weight *weights, size_t count,
                               struct rollout *rollout, struct error *ret_error)
{
    if (count > ROLLOUT_MAX_VERSIONS)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'rollout.weights' may have at most %d versions", ROLLOUT_MAX_VERSIONS);
    memset(rollout->weights, 0, sizeof rollout->weights);
    if (count)
        memcpy(rollout->weights, weights, count * sizeof *weights);
    rollout->weight_count = count;
    if (!count)
        return true;
    qsort(rollout->weights, count, sizeof *rollout->weights, compare_versions);
    return check_weights(rollout, ret_error);
}

static bool read_weights(const struct tensord_rollout_section *section, struct rollout *rollout,
                         struct error *ret_error)
{
    struct rollout_weight weights[ROLLOUT_MAX_VERSIONS + 1] = {{0}};
    size_t count = 0;
    for (uint32_t i = 0; i < section->weights.count && count <= ROLLOUT_MAX_VERSIONS; i++)
        weights[count++] =
            (struct rollout_weight){section->weights.items[i].key, section->weights.items[i].value};
    return model_rollout_set_weights(weights, count, rollout, ret_error);
}

bool model_rollout_is_field_name(struct span name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return name.size > 0 && name.size < ROLLOUT_MAX_STICKY_BYTES;
}

static bool read_sticky(const struct tensord_rollout_section *section, struct rollout *rollout,
                        struct error *ret_error)
{
    struct span name = section->sticky;
    if (!name.size)
        return true;
    if (!rollout->weight_count)
        return refuse(ret_error, "'rollout.sticky' takes 'rollout.weights', between which it "
                                 "decides");
    if (!model_rollout_is_field_name(name))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'rollout.sticky' is the name of a header or parameter: letters, digits, "
                         "'-' and '_', at most %d",
                         ROLLOUT_MAX_STICKY_BYTES - 1);
    memcpy(rollout->sticky, name.data, name.size);
    return true;
}

static bool read_shadow(const struct tensord_shadow_section *section, struct rollout *rollout,
                        struct error *ret_error)
{
    if (!section)
        return true;
    double parts = (section->has_share ? section->share : 1) * (double)ROLLOUT_WHOLE;
    if (section->version == 0 || section->version > INT64_MAX)
        return refuse(ret_error, "'rollout.shadow' is the number of a version, 1 or above");
    if (!(parts >= 1 && parts <= (double)ROLLOUT_WHOLE))
        return refuse(ret_error, "'rollout.shadow.share' is above 0 and at most 1; for no shadow, "
                                 "leave 'rollout.shadow' out");
    rollout->shadow = section->version;
    rollout->shadow_share = (uint32_t)(parts + 0.5);
    return true;
}

bool model_rollout_read(const struct tensord_rollout_section *section, struct rollout *ret_rollout,
                        struct error *ret_error)
{
    *ret_rollout = (struct rollout){.weight_count = 0};
    return read_weights(section, ret_rollout, ret_error) &&
           read_sticky(section, ret_rollout, ret_error) &&
           read_shadow(section->shadow, ret_rollout, ret_error);
}

void model_rollout_pack(const struct rollout *rollout, struct buf *buf)
{
    pack_number(buf, rollout->weight_count);
    for (size_t i = 0; i < rollout->weight_count; i++) {
        pack_number(buf, rollout->weights[i].version);
        pack_number(buf, rollout->weights[i].weight);
    }
    pack_string(buf, span_of(rollout->sticky));
    pack_number(buf, rollout->shadow);
    pack_number(buf, rollout->shadow_share);
}

void model_rollout_unpack(struct unpack *unpack, struct rollout *ret_rollout)
{
    struct rollout_weight weights[ROLLOUT_MAX_VERSIONS] = {{0}};
    struct error error;
    *ret_rollout = (struct rollout){.weight_count = 0};
    size_t count = (size_t)unpack_number(unpack, ROLLOUT_MAX_VERSIONS);
    for (size_t i = 0; i < count; i++) {
        weights[i].version = unpack_number(unpack, INT64_MAX);
        weights[i].weight = (uint32_t)unpack_number(unpack, ROLLOUT_MAX_WEIGHT);
        if (i > 0 && weights[i].version <= weights[i - 1].version)
            unpack->failed = true;
    }
    struct span sticky = unpack_string(unpack);
    ret_rollout->shadow = unpack_number(unpack, INT64_MAX);
    ret_rollout->shadow_share = (uint32_t)unpack_number(unpack, ROLLOUT_WHOLE);
    if ((sticky.size && !model_rollout_is_field_name(sticky)) ||
        !model_rollout_set_weights(weights, count, ret_rollout, &error))
        unpack->failed = true;
    else if (sticky.size)
        memcpy(ret_rollout->sticky, sticky.data, sticky.size);
}

/* ---- version_policy ---- */

enum { POLICY_LATEST = 1, POLICY_SPECIFIC = 3, MAX_SPECIFIC = 1024 };

bool model_versions_read(const struct inference_model_version_policy *policy,
                         struct model_versions *ret_versions, struct error *ret_error)
{
    *ret_versions = (struct model_versions){.latest = 0};
    if (policy && policy->which_policy_choice == POLICY_LATEST)
        ret_versions->latest = policy->latest->num_versions ? policy->latest->num_versions : 1;
    if (!policy || policy->which_policy_choice != POLICY_SPECIFIC)
        return true;
    ret_versions->numbers = policy->specific->versions.items;
    ret_versions->count = policy->specific->versions.count;
    for (size_t i = 0; i < ret_versions->count; i++) {
        if (ret_versions->numbers[i] < 0)
            return refuse(ret_error, "'version_policy.specific.versions' are numbers of versions");
    }
    if (ret_versions->count > MAX_SPECIFIC)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'version_policy.specific.versions' may be at most %d", MAX_SPECIFIC);
    return ret_versions->count > 0 ||
           refuse(ret_error, "'version_policy.specific' must list 'versions'");
}

bool model_versions_serve(const struct model_versions *versions, uint64_t version, size_t higher)
{
    for (size_t i = 0; i < versions->count; i++) {
        if ((uint64_t)versions->numbers[i] == version)
            return true;
    }
    return !versions->count && (!versions->latest || higher < versions->latest);
}
