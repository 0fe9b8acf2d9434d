/* Finding out whether requests of a model may be joined along the first dimension.
 *
 * The shapes must allow it: every input and output has rows, that is an unknown first dimension,
 * the same symbol where symbols are named. An optional input may be without: requests that leave it
 * out are joined, one that gives it runs alone. And the model must bear it out: a few different
 * rows are run alone and then together, and must give the same. Only so are models found out that
 * mix rows (a mean over the batch, a sort, a sequence in the first dimension). It costs a few
 * executions at load. */
#include "worker/host_private.h"

#include "base/clock.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DEFAULT_MAX_BATCH = 64,
    MAX_ROWS = 3,
    SLOW_NS = 10000000, /* an execution that takes longer is tried with fewer rows */
    MAX_ROW_BYTES = 64 << 20,
};

/* ---- the rule ---- */

/* Whether it has rows; *symbol is what they are called, once somebody has called them something. */
static bool has_rows(const struct tensord_tensor_info *info, const char **symbol)
{
    if (info->ndim == 0 || info->shape[0] != -1 || info->any_rank)
        return false;
    const char *own = info->symbols[0];
    if (own && !*symbol)
        *symbol = own;
    return !own || strcmp(own, *symbol) == 0;
}

/* Every output and every input that must be given has rows, of which there is at least one; and so
 * has the optional input `also`, unless it is SIZE_MAX. */
static bool have_rows(const struct tensord_description *description, size_t also)
{
    const char *symbol = NULL;
    size_t inputs = 0;
    for (size_t i = 0; i < description->input_count; i++) {
        const struct tensord_tensor_info *info = &description->inputs[i];
        inputs += !info->optional;
        if (!info->optional && !has_rows(info, &symbol))
            return false;
    }
    for (size_t i = 0; i < description->output_count; i++) {
        if (!has_rows(&description->outputs[i], &symbol))
            return false;
    }
    return inputs > 0 && description->output_count > 0 &&
           (also == SIZE_MAX || has_rows(&description->inputs[also], &symbol));
}

bool host_runs_alone(const struct host *host, size_t input)
{
    const struct tensord_tensor_info *info = &host->description.inputs[input];
    return info->optional && !have_rows(&host->description, input);
}

/* ---- running the engine ---- */

/* The inputs of one row each: the same bytes whether it runs alone or with others. */
struct trial_rows {
    struct arena arena;
    size_t count;
    bool with_optional;          /* all inputs that have rows, or only those that must be given */
    uint64_t *row_size;          /* (input_count) */
    unsigned char **row_content; /* (input_count): (count, row_size) */
};

static struct shape shape_for(const struct tensord_tensor_info *info, int64_t rows, int64_t unknown)
{
    struct shape shape = {.ndim = info->ndim};
    for (uint32_t i = 0; i < info->ndim; i++)
        shape.dims[i] = i == 0 ? rows : info->shape[i] < 0 ? unknown : info->shape[i];
    return shape;
}

static bool row_bytes(const struct tensord_tensor_info *info, int64_t unknown, uint64_t *ret_size)
{
    struct shape shape = shape_for(info, 1, unknown);
    if (info->datatype == TENSORD_BYTES)
        return shape_count(&shape, ret_size) && *ret_size < MAX_ROW_BYTES && (*ret_size *= 5, true);
    return shape_size_bytes(&shape, info->datatype, ret_size) && *ret_size < MAX_ROW_BYTES;
}

static bool is_tried(const struct host *host, const struct trial_rows *rows, size_t input)
{
    return !host->description.inputs[input].optional ||
           (rows->with_optional && !host_runs_alone(host, input));
}

static bool make_rows(const struct host *host, int64_t unknown, struct trial_rows *rows)
{
    const struct tensord_description *description = &host->description;
    uint32_t seed = 1;
    size_t count = description->input_count;
    arena_init(&rows->arena, 4096, SIZE_MAX);
    rows->count = MAX_ROWS;
    rows->row_size = arena_calloc(&rows->arena, count, sizeof *rows->row_size);
    rows->row_content = arena_calloc(&rows->arena, count, sizeof *rows->row_content);
    if (!rows->row_size || !rows->row_content)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct tensord_tensor_info *info = &description->inputs[i];
        if (!is_tried(host, rows, i))
            continue;
        if (!row_bytes(info, unknown, &rows->row_size[i]))
            return false;
        uint64_t size = MAX_ROWS * rows->row_size[i];
        rows->row_content[i] = arena_calloc(&rows->arena, 1, size + TENSOR_ALIGNMENT);
        if (!rows->row_content[i])
            return false;
        rows->row_content[i] +=
            TENSOR_ALIGNMENT - (uintptr_t)rows->row_content[i] % TENSOR_ALIGNMENT;
        if (info->datatype == TENSORD_BYTES)
            host_trial_fill_bytes(rows->row_content[i], size, &seed);
        else
            host_trial_fill(info->datatype, rows->row_content[i], size, &seed);
    }
    return true;
}

static struct tensord_tensor trial_input(const struct host *host, const struct trial_rows *rows,
                                         size_t input, size_t first, size_t count, int64_t unknown)
{
    const struct tensord_tensor_info *info = &host->description.inputs[input];
    struct shape shape = shape_for(info, (int64_t)count, unknown);
    struct tensord_tensor tensor = {.index = (uint32_t)input,
                                    .datatype = info->datatype,
                                    .ndim = info->ndim,
                                    .data =
                                        rows->row_content[input] + first * rows->row_size[input],
                                    .size_bytes = count * rows->row_size[input]};
    memcpy(tensor.shape, shape.dims, sizeof shape.dims);
    return tensor;
}

/* Runs `count` rows from `first`; NULL when the engine fails, with the reason said. */
static struct host_execution *try_rows(struct host *host, const struct trial_rows *rows,
                                       size_t first, size_t count, int64_t unknown)
{
    size_t input_count = 0;
    struct tensord_tensor *inputs;
    struct host_execution *execution = host_trial_new(host, host->description.input_count, &inputs);
    if (!execution)
        return NULL;
    for (size_t i = 0; i < host->description.input_count; i++) {
        if (is_tried(host, rows, i))
            inputs[input_count++] = trial_input(host, rows, i, first, count, unknown);
    }
    execution->tensord.input_count = input_count;
    if (host_trial_run(execution) == TENSORD_OK)
        return execution;
    host_execution_free(execution);
    return NULL;
}

/* ---- comparing ---- */

static double number_at(enum tensord_datatype datatype, const unsigned char *data)
{
    float single;
    double real;
    uint32_t bits;
    uint16_t half;
    switch (datatype) {
    case TENSORD_FP32:
        memcpy(&single, data, sizeof single);
        return (double)single;
    case TENSORD_FP64:
        memcpy(&real, data, sizeof real);
        return real;
    case TENSORD_BF16:
        memcpy(&half, data, sizeof half);
        bits = (uint32_t)half << 16;
        memcpy(&single, &bits, sizeof single);
        return (double)single;
    default: /* FP16 */
        memcpy(&half, data, sizeof half);
        real = half & 0x7c00 ? ldexp(0x400 | (half & 0x3ff), (half >> 10 & 0x1f) - 25)
                             : ldexp(half & 0x3ff, -24);
        if ((half & 0x7c00) == 0x7c00)
            real = half & 0x3ff ? (double)NAN : (double)INFINITY;
        return half & 0x8000 ? -real : real;
    }
}

static bool is_float(enum tensord_datatype datatype)
{
    return datatype == TENSORD_FP16 || datatype == TENSORD_BF16 || datatype == TENSORD_FP32 ||
           datatype == TENSORD_FP64;
}

/* Sums in another order differ a little; anything but floats must be equal. */
static bool content_agrees(enum tensord_datatype datatype, const unsigned char *a,
                           const unsigned char *b, uint64_t size)
{
    if (!is_float(datatype))
        return size == 0 || memcmp(a, b, size) == 0;
    size_t element = datatype_size_bytes(datatype);
    double relative = element == 2 ? 2e-2 : 1e-3;
    for (uint64_t at = 0; at + element <= size; at += element) {
        double x = number_at(datatype, a + at), y = number_at(datatype, b + at);
        if (x != y && !(isnan(x) && isnan(y)) &&
            !(fabs(x - y) <= relative / 100 + relative * fabs(y)))
            return false;
    }
    return true;
}

static const struct host_output *output_of(const struct host_execution *execution, uint32_t index)
{
    for (size_t i = 0; i < execution->output_count; i++) {
        if (execution->outputs[i].tensor.index == index)
            return &execution->outputs[i];
    }
    return NULL;
}

/* The size of one row of BYTES differs from row to row; *at moves on by what was compared. */
static bool row_agrees(const struct host_output *together, const struct host_output *alone,
                       uint64_t rows, uint64_t *at)
{
    const struct channel_tensor *a = &alone->tensor, *t = &together->tensor;
    if (t->shape.ndim != a->shape.ndim || t->shape.ndim == 0 || t->shape.dims[0] != (int64_t)rows ||
        a->shape.dims[0] != 1 ||
        memcmp(t->shape.dims + 1, a->shape.dims + 1, (t->shape.ndim - 1) * sizeof(int64_t)) != 0 ||
        a->extent.size > t->extent.size - *at)
        return false;
    const unsigned char *row = (const unsigned char *)together->data + *at;
    *at += a->extent.size;
    return content_agrees(a->datatype, row, alone->data, a->extent.size);
}

static bool rows_agree(const struct host_execution *together, struct host_execution *const *alone,
                       uint64_t rows)
{
    for (size_t i = 0; i < together->output_count; i++) {
        uint64_t at = 0;
        for (uint64_t row = 0; row < rows; row++) {
            const struct host_output *own =
                output_of(alone[row], together->outputs[i].tensor.index);
            if (!own || !row_agrees(&together->outputs[i], own, rows, &at))
                return false;
        }
    }
    return together->output_count > 0;
}

/* ---- the decision ---- */

enum verdict { AGREES, DIFFERS, FAILS };

/* Tries with this size for the other unknown dimensions. */
static enum verdict try_inputs(struct host *host, int64_t unknown, bool with_optional)
{
    struct trial_rows rows = {.with_optional = with_optional};
    struct host_execution *alone[MAX_ROWS] = {0}, *together = NULL;
    enum verdict verdict = FAILS;
    bool ok = make_rows(host, unknown, &rows);
    uint64_t started_ns = clock_now_ns();
    for (size_t i = 0; ok && i < rows.count; i++) {
        alone[i] = try_rows(host, &rows, i, 1, unknown);
        ok = alone[i] != NULL;
        if (clock_now_ns() - started_ns > SLOW_NS)
            rows.count = 2;
    }
    if (ok)
        together = try_rows(host, &rows, 0, rows.count, unknown);
    if (together)
        verdict = rows_agree(together, alone, rows.count) ? AGREES : DIFFERS;
    else if (ok)
        verdict = DIFFERS;
    for (size_t i = 0; i < MAX_ROWS; i++) {
        if (alone[i])
            host_execution_free(alone[i]);
    }
    if (together)
        host_execution_free(together);
    arena_fini(&rows.arena);
    return verdict;
}

/* Optional inputs that have rows must make no difference either. */
static enum verdict try_size(struct host *host, int64_t unknown)
{
    enum verdict verdict = try_inputs(host, unknown, false);
    bool some = false;
    for (size_t i = 0; i < host->description.input_count; i++)
        some |= host->description.inputs[i].optional && !host_runs_alone(host, i);
    return verdict == AGREES && some ? try_inputs(host, unknown, true) : verdict;
}

static void decide(struct host *host, uint32_t max_batch_size, const char *note)
{
    uint32_t bound = host->description.max_batch_size;
    host->max_batch_size = bound && max_batch_size > bound ? bound : max_batch_size;
    host->joins = max_batch_size > 0;
    snprintf(host->batch_note, sizeof host->batch_note, "%s", note);
}

static void decide_by_trying(struct host *host)
{
    static const int64_t sizes[] = {4, 1, 8};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        enum verdict verdict = try_size(host, sizes[i]);
        if (verdict == AGREES) {
            decide(host, DEFAULT_MAX_BATCH,
                   "joined: different rows gave the same alone and together");
            return;
        }
        if (verdict == DIFFERS) {
            decide(host, 0, "not joined: rows gave something else together than alone");
            return;
        }
    }
    snprintf(host->batch_note, sizeof host->batch_note,
             "not joined: the model could not be tried (%s)", host_reason(TENSORD_INTERNAL));
}

/* The rows that the config allows, 0 when it says nothing. */
static uint32_t configured_rows(const struct worker_spec *spec)
{
    int64_t rows = spec->max_batch_size;
    return rows <= 0 ? 0 : (uint32_t)(rows < INT32_MAX ? rows : INT32_MAX);
}

/* Requests have rows where the model says so, and it joins them as it likes. */
static void decide_own(struct host *host)
{
    decide(host, host->description.max_batch_size,
           "not joined: the model takes requests as they are");
    host->joins = false;
    host->bounds_rows = true;
}

void host_check_batching(struct host *host)
{
    const struct worker_spec *spec = host->spec;
    enum tensord_batching batching = host->description.batching;
    decide(host, 0, "");
    host->bounds_rows = spec->max_batch_size > 0;
    if (batching == TENSORD_BATCHING_OWN)
        decide_own(host);
    else if (!spec->may_batch || spec->max_batch_size == 0)
        decide(host, 0, "not joined: off by the model's config");
    else if (spec->max_batch_size > 0)
        decide(host, configured_rows(spec), "joined: on by the model's config");
    else if (spec->shaping.tensor_count)
        decide(host, 0, "not joined: the config reshapes, and has no max_batch_size");
    else if (batching == TENSORD_BATCHING_NO)
        decide(host, 0, "not joined: the engine gains nothing by it");
    else if (batching == TENSORD_BATCHING_YES)
        decide(host, DEFAULT_MAX_BATCH, "joined: the engine says so");
    else if (host->description.streams)
        decide(host, 0, "not joined: it answers a request several times");
    else if (!have_rows(&host->description, SIZE_MAX))
        decide(host, 0,
               "not joined: the first dimension of some input or output is fixed, or is "
               "another one than the rest's");
    else
        decide_by_trying(host);
}
