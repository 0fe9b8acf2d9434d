/* Inputs and outputs in shared memory; see infer_regions.h. */
#include "api/infer_regions.h"

#include "api/shared_memory.h"

/* ---- what the request says ---- */

/* Takes the part of a region that the words name. */
static bool use(struct api_call *call, struct span tensor, const struct region_words *words,
                struct region_piece *ret_piece, struct error *ret_error)
{
    if (!shared_memory_is_allowed(call, ret_error))
        return false;
    if (!words->has_size)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'shared_memory_byte_size' must be specified along with "
                         "'shared_memory_region' parameter for tensor '%.*s'",
                         SPAN_ARGS(tensor));
    struct region *region = region_use(call->api->regions, call->caller, words->region,
                                       words->offset, words->size_bytes, ret_error);
    if (!region)
        return false;
    *ret_piece = (struct region_piece){
        .region = region, .offset = words->offset, .size_bytes = words->size_bytes};
    return true;
}

bool infer_regions_add_input(struct infer_regions *regions, struct api_call *call,
                             struct arena *arena, struct span input,
                             const struct region_words *words, struct error *ret_error)
{
    regions->call = call;
    if (!arena_grow(arena, (void **)&regions->inputs, regions->input_count,
                    &regions->input_capacity, sizeof *regions->inputs))
        return error_no_memory(ret_error);
    if (!use(call, input, words, &regions->inputs[regions->input_count], ret_error))
        return false;
    regions->input_count++;
    return true;
}

bool infer_regions_add_output(struct infer_regions *regions, struct api_call *call,
                              struct arena *arena, struct span output, size_t number, size_t count,
                              const struct region_words *words, struct error *ret_error)
{
    regions->call = call;
    if (!regions->outputs) {
        regions->outputs = arena_calloc(arena, count, sizeof *regions->outputs);
        regions->pieces = arena_calloc(arena, count, sizeof *regions->pieces);
        regions->list = arena_calloc(arena, count, sizeof *regions->list);
        if (!regions->outputs || !regions->pieces || !regions->list)
            return error_no_memory(ret_error);
        regions->output_count = count;
    }
    regions->has_outputs =
        use(call, output, words, &regions->outputs[number], ret_error) || regions->has_outputs;
    return regions->outputs[number].region != NULL;
}

void infer_regions_place(struct infer_regions *regions, size_t number, char *memory)
{
    regions->inputs[number].memory = memory;
}

bool infer_regions_has_output(const struct infer_regions *regions, size_t number)
{
    return number < regions->output_count && regions->outputs[number].region != NULL;
}

/* ---- moving ---- */

static void leave_inputs(struct infer_regions *regions)
{
    for (size_t i = 0; i < regions->input_count; i++)
        region_leave(regions->inputs[i].region);
    regions->input_count = 0;
}

static void end_move(struct region_copy *copy)
{
    struct infer_regions *regions = list_entry(copy, struct infer_regions, copy);
    struct http_exchange *exchange = regions->call->exchange;
    const struct error error = copy->error;
    regions->moving = false;
    if (!copy->writes)
        leave_inputs(regions);
    regions->moved(regions, &error);
    http_unref(exchange);
}

static void begin_move(struct infer_regions *regions, const struct region_copy *copy,
                       void (*moved)(struct infer_regions *regions, const struct error *error))
{
    regions->moved = moved;
    regions->moving = true;
    regions->copy = *copy;
    regions->copy.done = end_move;
    http_ref(regions->call->exchange);
    region_copy_start(regions->call->api->regions, &regions->copy);
}

bool infer_regions_read(struct infer_regions *regions,
                        void (*moved)(struct infer_regions *regions, const struct error *error))
{
    const struct region_copy copy = {.pieces = regions->inputs, .count = regions->input_count};
    if (regions->input_count)
        begin_move(regions, &copy, moved);
    return regions->input_count > 0;
}

/* Makes the outputs of an answer pieces, those that are not empty. (An answer without outputs, the
 * last of several, has none.) */
static bool take_pieces(struct infer_regions *regions, struct inference_outputs *outputs,
                        size_t *ret_count, struct error *ret_error)
{
    size_t count = outputs->count < regions->output_count ? outputs->count : regions->output_count;
    for (size_t i = 0; i < count; i++) {
        struct inference_output *output = &regions->list[i];
        struct region_piece piece = regions->outputs[i];
        *output = outputs->items[i];
        if (!piece.region || !output->data.size)
            continue;
        if (output->data.size > piece.size_bytes)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "shared memory size specified with the request for output '%.*s' "
                             "(%llu bytes) should be at least %zu bytes to hold the results",
                             SPAN_ARGS(output->info->name), (unsigned long long)piece.size_bytes,
                             output->data.size);
        piece.memory = (char *)(uintptr_t)output->data.data;
        piece.size_bytes = output->data.size;
        regions->pieces[(*ret_count)++] = piece;
        output->data = (struct span){NULL, 0};
    }
    outputs->items = regions->list;
    return true;
}

void infer_regions_write(struct infer_regions *regions, struct inference_outputs *outputs,
                         void (*moved)(struct infer_regions *regions, const struct error *error))
{
    struct region_copy copy = {.pieces = regions->pieces, .writes = true};
    if (!take_pieces(regions, outputs, &copy.count, &copy.error))
        copy.count = 0;
    begin_move(regions, &copy, moved);
}

void infer_regions_release(struct infer_regions *regions)
{
    if (regions->moving)
        return;
    leave_inputs(regions);
    for (size_t i = 0; i < regions->output_count; i++) {
        if (regions->outputs[i].region)
            region_leave(regions->outputs[i].region);
    }
    regions->output_count = 0;
}
