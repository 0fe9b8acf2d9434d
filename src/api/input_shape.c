/* Finding the shapes of inputs; see input_shape.h. */
#include "api/input_shape.h"

#include "codec/tensor_json.h"

/* The schema's shape with so many elements: its last free dimension takes what the fixed ones
 * leave. */
static bool fill_shape(struct json *json, const struct tensor_info *info, struct shape shape,
                       uint64_t count, struct shape *ret_shape)
{
    int64_t *free_dim = NULL;
    uint64_t fixed;
    for (uint32_t i = 0; i < shape.ndim; i++) {
        if (shape.dims[i] >= 0)
            continue;
        free_dim = &shape.dims[i];
        *free_dim = 1;
    }
    if (!shape_count(&shape, &fixed) || count > INT64_MAX ||
        (fixed ? count % fixed != 0 || (!free_dim && count != fixed) : count != 0))
        return json_fail(json, "input '%.*s' does not take %llu elements", SPAN_ARGS(info->name),
                         (unsigned long long)count);
    if (free_dim && fixed)
        *free_dim = (int64_t)(count / fixed);
    *ret_shape = shape;
    return true;
}

/* What the value has: its own shape, and how many elements that is. */
static bool look(struct json *json, const struct tensor_info *info, struct shape *ret_found,
                 uint64_t *ret_count)
{
    if (!tensor_json_shape(json, ret_found))
        return false;
    return shape_count(ret_found, ret_count) ||
           json_fail(json, "input '%.*s' has too many elements", SPAN_ARGS(info->name));
}

static bool is_as_it_is(const struct tensor_info *info, const struct shape *found)
{
    return info->any_rank || (found->ndim > 0 && found->ndim == info->shape.ndim);
}

bool input_shape_find(struct json *json, const struct tensor_info *info, struct shape *ret_shape)
{
    struct shape found;
    uint64_t count;
    if (!look(json, info, &found, &count))
        return false;
    if (!is_as_it_is(info, &found))
        return fill_shape(json, info, info->shape, count, ret_shape);
    *ret_shape = found;
    return true;
}

bool input_shape_of_rows(struct json *json, const struct tensor_info *info, struct shape *ret_shape)
{
    struct shape found, filled = info->shape;
    uint64_t count;
    if (!look(json, info, &found, &count))
        return false;
    if (is_as_it_is(info, &found)) {
        *ret_shape = found;
        return true;
    }
    if (!filled.ndim || !found.ndim || (filled.dims[0] >= 0 && filled.dims[0] != found.dims[0]))
        return json_fail(json, "input '%.*s' does not take %lld rows", SPAN_ARGS(info->name),
                         found.ndim ? (long long)found.dims[0] : 1LL);
    filled.dims[0] = found.dims[0];
    return fill_shape(json, info, filled, count, ret_shape);
}
