/* What a model's config has executed before it serves (base/warm_up.h): whatever an engine does at
 * its first executions is done then. It costs what it costs, at each load. */
#include "worker/host_private.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    MAX_BYTES = 256 << 20, /* of all inputs of one warm-up */
    SHAPE_BYTES = 160,
};

/* One that is being made. */
struct making {
    struct host *host;
    const struct warm_up *warm_up;
    struct host_execution *execution;
    struct tensord_tensor *inputs;
    struct shape *shapes; /* (the model's inputs): as one request has them */
    uint32_t seed;
    struct error *error;
};

static bool wrong(const struct making *making, struct span input, const char *what)
{
    return error_set(making->error, ERROR_INVALID_ARGUMENT, "warm-up '%.*s': input '%.*s' %s",
                     SPAN_ARGS(making->warm_up->name), SPAN_ARGS(input), what);
}

/* ---- its inputs ---- */

static bool has_rows(const struct making *making)
{
    return making->host->max_batch_size > 0;
}

static bool fits(const struct shape *taken, const struct shape *shape)
{
    if (taken->ndim != shape->ndim)
        return false;
    for (uint32_t i = 0; i < shape->ndim; i++) {
        if (taken->dims[i] >= 0 && taken->dims[i] != shape->dims[i])
            return false;
    }
    return true;
}

static bool check_shape(const struct making *making, const struct warm_up_input *input,
                        const struct tensord_tensor_info *info, const struct shape *shape)
{
    char given[SHAPE_BYTES], taken[SHAPE_BYTES], what[2 * SHAPE_BYTES + 64];
    const struct shaped_tensor *shaped =
        host_shaped_input(making->host, (uint32_t)(info - making->host->description.inputs));
    struct shape own = {.ndim = info->ndim};
    memcpy(own.dims, info->shape, sizeof own.dims);
    if (shaped)
        own = shaped->client;
    if ((info->any_rank && !shaped) || fits(&own, shape))
        return true;
    snprintf(what, sizeof what, "is of shape %s, and the model takes %s",
             shape_format(shape, given, sizeof given), shape_format(&own, taken, sizeof taken));
    return wrong(making, input->name, what);
}

/* The model's input of that name, and its shape in this warm-up. */
static bool find(const struct making *making, const struct warm_up_input *input,
                 uint32_t *ret_index, struct shape *ret_shape)
{
    const struct tensord_description *description = &making->host->description;
    size_t at = 0;
    while (at < description->input_count &&
           !span_equal(span_of(description->inputs[at].name), input->name))
        at++;
    if (at == description->input_count)
        return wrong(making, input->name, "is none of the model's");
    const struct tensord_tensor_info *info = &description->inputs[at];
    if (info->datatype != input->datatype) {
        char what[80];
        snprintf(what, sizeof what, "is %s, and the model takes %s", datatype_name(input->datatype),
                 datatype_name(info->datatype));
        return wrong(making, input->name, what);
    }
    struct shape shape = {0};
    if (has_rows(making))
        shape.dims[shape.ndim++] = (int64_t)making->warm_up->rows;
    for (uint32_t i = 0; i < input->shape.ndim; i++)
        shape.dims[shape.ndim++] = input->shape.dims[i];
    *ret_index = (uint32_t)at;
    *ret_shape = shape;
    return check_shape(making, input, info, &shape);
}

/* The bytes of one row, as often as there are rows. */
static void repeat(unsigned char *data, struct span row, uint64_t rows)
{
    for (uint64_t i = 0; i < rows; i++)
        memcpy(data + i * row.size, row.data, row.size);
}

/* What the file has: all, or one row of it, which is repeated. */
static bool size_of_file(const struct making *making, const struct warm_up_input *input,
                         const struct shape *shape, uint64_t *ret_size, uint64_t *ret_rows)
{
    uint64_t rows = has_rows(making) ? making->warm_up->rows : 1, count, bytes = input->bytes.size;
    bool whole, row;
    shape_count(shape, &count);
    if (input->datatype == TENSORD_BYTES) {
        whole = bytes_tensor_check(input->bytes, count);
        row = !whole && bytes_tensor_check(input->bytes, count / rows);
    } else {
        uint64_t size = count * datatype_size_bytes(input->datatype);
        whole = bytes == size;
        row = bytes == size / rows;
    }
    *ret_rows = whole ? 1 : rows;
    *ret_size = bytes * *ret_rows;
    char what[160];
    snprintf(what, sizeof what, "has a file, 'warmup/%.*s', whose %" PRIu64 " bytes do not fit",
             input->file.size < 80 ? (int)input->file.size : 80, input->file.data, bytes);
    return whole || row || wrong(making, input->name, what);
}

static bool size_of(const struct making *making, const struct warm_up_input *input,
                    const struct shape *shape, uint64_t *ret_size, uint64_t *ret_rows)
{
    static const uint64_t string_bytes[] = {[WARM_UP_ZERO] = 4, [WARM_UP_RANDOM] = 5};
    uint64_t count;
    *ret_rows = 1;
    if (!shape_count(shape, &count) || count > MAX_BYTES)
        return wrong(making, input->name, "is too large");
    if (input->data == WARM_UP_FILE)
        return size_of_file(making, input, shape, ret_size, ret_rows);
    *ret_size = count * (input->datatype == TENSORD_BYTES ? string_bytes[input->data]
                                                          : datatype_size_bytes(input->datatype));
    return true;
}

static void fill(struct making *making, const struct warm_up_input *input, unsigned char *data,
                 uint64_t size, uint64_t rows)
{
    if (input->data == WARM_UP_FILE)
        repeat(data, input->bytes, rows);
    else if (input->data == WARM_UP_ZERO)
        memset(data, 0, size);
    else if (input->datatype == TENSORD_BYTES)
        host_trial_fill_bytes(data, size, &making->seed);
    else
        host_trial_fill(input->datatype, data, size, &making->seed);
}

static unsigned char *aligned(struct arena *arena, uint64_t size)
{
    unsigned char *data = arena_calloc(arena, 1, size + TENSOR_ALIGNMENT);
    return data ? data + (TENSOR_ALIGNMENT - (uintptr_t)data % TENSOR_ALIGNMENT) : NULL;
}

/* Makes of the shape that a client would send the engine's. */
static bool shape_it(struct making *making, uint32_t index, struct shape *shape)
{
    const struct shaped_tensor *shaped = host_shaped_input(making->host, index);
    uint64_t count;
    if (!host_input_shape(making->host, index, shape, &making->shapes[index]))
        return false;
    *shape = making->shapes[index];
    if (shaped && shaped->kind == SHAPED_RAGGED) {
        shape_count(shape, &count);
        *shape = (struct shape){1, {(int64_t)count}};
    }
    return true;
}

static bool make_input(struct making *making, const struct warm_up_input *input,
                       uint64_t *left_bytes)
{
    struct shape shape = {0};
    uint32_t index = 0;
    uint64_t size = 0, rows = 0;
    if (!find(making, input, &index, &shape) || !size_of(making, input, &shape, &size, &rows))
        return false;
    if (size > *left_bytes)
        return wrong(making, input->name, "is too large");
    *left_bytes -= size;
    unsigned char *data = aligned(&making->execution->arena, size);
    if (!data)
        return error_no_memory(making->error);
    fill(making, input, data, size, rows);
    if (!shape_it(making, index, &shape))
        return wrong(making, input->name, "cannot be reshaped");
    struct tensord_tensor *tensor = &making->inputs[making->execution->tensord.input_count++];
    *tensor = (struct tensord_tensor){.index = index,
                                      .datatype = input->datatype,
                                      .ndim = shape.ndim,
                                      .data = data,
                                      .size_bytes = size};
    memcpy(tensor->shape, shape.dims, sizeof tensor->shape);
    return true;
}

static bool has(const struct making *making, uint32_t index)
{
    for (size_t i = 0; i < making->execution->tensord.input_count; i++) {
        if (making->inputs[i].index == index)
            return true;
    }
    return false;
}

/* Those that the host makes for requests, too. */
static bool make_made(struct making *making)
{
    struct host_execution *execution = making->execution;
    const struct host *host = making->host;
    execution->copies =
        arena_calloc(&execution->arena, making->warm_up->input_count + host->made_input_count,
                     sizeof *execution->copies);
    if (!execution->copies)
        return error_no_memory(making->error);
    for (size_t i = 0; i < host->made_input_count; i++) {
        const struct host_made *made = &host->made_inputs[i];
        size_t at = execution->tensord.input_count;
        if (!has(making, made->source))
            return wrong(making, span_of(host->description.inputs[made->source].name),
                         "is missing");
        execution->copies[at] = host_make_input(making->host, made, &making->shapes[made->source],
                                                1, &making->inputs[at]);
        if (!execution->copies[at])
            return wrong(making, made->config->name, "cannot be made");
        execution->tensord.input_count++;
    }
    return true;
}

static bool make_inputs(struct making *making)
{
    const struct tensord_description *description = &making->host->description;
    uint64_t left_bytes = MAX_BYTES;
    making->shapes =
        arena_calloc(&making->execution->arena, description->input_count, sizeof *making->shapes);
    if (!making->shapes)
        return error_no_memory(making->error);
    for (size_t i = 0; i < making->warm_up->input_count; i++) {
        if (!make_input(making, &making->warm_up->inputs[i], &left_bytes))
            return false;
    }
    if (making->host->made_input_count && !make_made(making))
        return false;
    for (uint32_t i = 0; i < description->input_count; i++) {
        if (!description->inputs[i].optional && !has(making, i))
            return wrong(making, span_of(description->inputs[i].name), "is missing");
    }
    return true;
}

/* ---- executing it ---- */

static bool check_rows(const struct making *making)
{
    uint64_t most = has_rows(making) ? making->host->max_batch_size : 1;
    return making->warm_up->rows <= most ||
           error_set(making->error, ERROR_INVALID_ARGUMENT,
                     "warm-up '%.*s': its 'batch_size' is %" PRIu64
                     ", and the model takes %" PRIu64,
                     SPAN_ARGS(making->warm_up->name), making->warm_up->rows, most);
}

static bool run_once(struct making *making)
{
    making->execution =
        host_trial_new(making->host, making->warm_up->input_count + making->host->made_input_count,
                       &making->inputs);
    if (!making->execution)
        return error_no_memory(making->error);
    bool good = make_inputs(making);
    enum tensord_status status = good ? host_trial_run(making->execution) : TENSORD_OK;
    host_execution_free(making->execution);
    if (!good || status == TENSORD_OK)
        return good;
    return error_set(
        making->error,
        status == TENSORD_UNAVAILABLE ? ERROR_RESOURCE_EXHAUSTED : ERROR_INVALID_ARGUMENT,
        "warm-up '%.*s' failed: %s", SPAN_ARGS(making->warm_up->name), host_reason(status));
}

static bool run(struct host *host, const struct warm_up *warm_up, struct error *ret_error)
{
    struct making making = {.host = host, .warm_up = warm_up, .seed = 1, .error = ret_error};
    uint64_t started_ns = clock_now_ns();
    if (!check_rows(&making))
        return false;
    for (uint64_t i = 0; i < warm_up->times; i++) {
        if (!run_once(&making))
            return false;
        host->tensord.progress(1); /* a sign of life */
    }
    host->tensord.log(TENSORD_LOG_INFO, "warm-up '%.*s': executed %" PRIu64 " times in %.1f ms",
                      SPAN_ARGS(warm_up->name), warm_up->times,
                      (double)(clock_now_ns() - started_ns) / (double)CLOCK_NS_PER_MS);
    return true;
}

bool host_warm_up(struct host *host, struct error *ret_error)
{
    for (size_t i = 0; i < host->spec->warm_ups.count; i++) {
        if (!run(host, &host->spec->warm_ups.items[i], ret_error))
            return false;
    }
    return true;
}
