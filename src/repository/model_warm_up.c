/* The section `model_warmup`; see model_warm_up.h. */
#include "repository/model_warm_up.h"

#include "repository/model_datatype.h"

#include <limits.h>

/* What is being read: for sentences. */
struct place {
    struct span warm_up, input;
    struct error *error;
};

static bool invalid(const struct place *place, const char *what)
{
    return error_set(place->error, ERROR_INVALID_ARGUMENT,
                     "'model_warmup' '%.*s', input '%.*s': %s", SPAN_ARGS(place->warm_up),
                     SPAN_ARGS(place->input), what);
}

static bool is_path(struct span file)
{
    return file.size > 0 && file.size < PATH_MAX && file.data[0] != '/' &&
           !memchr(file.data, '\0', file.size);
}

static bool read_data(const struct inference_model_warmup_input *from, struct warm_up_input *input,
                      const struct place *place)
{
    switch (from->which_input_data_type) {
    case 3:
        input->data = WARM_UP_ZERO;
        return from->zero_data || invalid(place, "'zero_data' is true, or not there");
    case 4:
        input->data = WARM_UP_RANDOM;
        return from->random_data || invalid(place, "'random_data' is true, or not there");
    case 5:
        input->data = WARM_UP_FILE;
        input->file = from->input_data_file;
        return is_path(input->file) || invalid(place, "'input_data_file' is the name of a file in "
                                                      "the folder 'warmup' beside the config");
    default:
        return invalid(place, "give one of 'zero_data', 'random_data' and 'input_data_file'");
    }
}

static bool read_input(const struct inference_model_warmup_input *from, struct warm_up_input *input,
                       const struct place *place)
{
    input->datatype = model_datatype(from->data_type);
    if (input->datatype == TENSORD_INVALID)
        return invalid(place, "'data_type' is missing");
    if (from->dims.count >= TENSOR_MAX_DIMS)
        return invalid(place, "there are too many dims");
    input->shape.ndim = from->dims.count;
    for (uint32_t i = 0; i < from->dims.count; i++) {
        input->shape.dims[i] = from->dims.items[i];
        if (from->dims.items[i] < 1)
            return invalid(place, "dims are sizes, 1 or more");
    }
    return read_data(from, input, place);
}

static bool is_doubled(const struct warm_up *warm_up, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (span_equal(warm_up->inputs[i].name, warm_up->inputs[at].name))
            return true;
    }
    return false;
}

static bool read_warm_up(const struct inference_model_warmup *from, struct arena *arena,
                         struct warm_up *warm_up, struct error *ret_error)
{
    *warm_up = (struct warm_up){.name = from->name,
                                .rows = from->batch_size ? from->batch_size : 1,
                                .times = from->count ? from->count : 1,
                                .input_count = from->inputs.count};
    if (from->count > WARM_UP_MOST_TIMES || from->batch_size > INT32_MAX ||
        from->inputs.count > TENSOR_MAX_PER_REQUEST)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'model_warmup' '%.*s': 'count' is at most %d, 'batch_size' %d, and there "
                         "are at most %d 'inputs'",
                         SPAN_ARGS(from->name), WARM_UP_MOST_TIMES, INT32_MAX,
                         TENSOR_MAX_PER_REQUEST);
    warm_up->inputs = arena_calloc(arena, warm_up->input_count, sizeof *warm_up->inputs);
    if (!warm_up->inputs)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < warm_up->input_count; i++) {
        const struct place place = {from->name, from->inputs.items[i].key, ret_error};
        warm_up->inputs[i].name = from->inputs.items[i].key;
        if (is_doubled(warm_up, i))
            return invalid(&place, "it is there twice");
        if (!read_input(from->inputs.items[i].value, &warm_up->inputs[i], &place))
            return false;
    }
    return true;
}

bool model_warm_up_read(const struct inference_model_warmup *items, size_t count,
                        struct arena *arena, struct warm_ups *ret_warm_ups, struct error *ret_error)
{
    if (count > WARM_UP_MOST)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "there are at most %d items of 'model_warmup'", WARM_UP_MOST);
    struct warm_up *made = arena_calloc(arena, count, sizeof *made);
    if (!made)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < count; i++) {
        if (!read_warm_up(&items[i], arena, &made[i], ret_error))
            return false;
    }
    *ret_warm_ups = (struct warm_ups){made, count};
    return true;
}
