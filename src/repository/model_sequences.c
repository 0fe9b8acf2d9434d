/* From the section `sequence_batching` to what is to be done; see model_sequences.h. */
#include "repository/model_sequences.h"

#include "repository/model_datatype.h"
#include "schedule/sequences.h"

#include <limits.h>

enum { DIRECT = 3, OLDEST = 4, ZERO_DATA = 3, DATA_FILE = 4 }; /* numbers of fields */

static bool invalid(struct error *error, const char *what, struct span name)
{
    return error_set(error, ERROR_INVALID_ARGUMENT, "'sequence_batching': %s '%.*s'", what,
                     SPAN_ARGS(name));
}

/* ---- controls ---- */

static bool is_id(enum tensord_datatype datatype)
{
    return datatype == TENSORD_UINT64 || datatype == TENSORD_INT64 || datatype == TENSORD_UINT32 ||
           datatype == TENSORD_INT32 || datatype == TENSORD_BYTES;
}

/* The two values, in the one of three spellings that is there. */
static bool read_values(const struct inference_model_sequence_batching_control *from,
                        struct model_control *control)
{
    uint32_t given =
        from->int32_false_true.count + from->fp32_false_true.count + from->bool_false_true.count;
    for (size_t i = 0; i < 2 && given == 2; i++) {
        if (from->int32_false_true.count == 2) {
            control->datatype = TENSORD_INT32;
            memcpy(&control->values[i], &from->int32_false_true.items[i], sizeof(int32_t));
        } else if (from->fp32_false_true.count == 2) {
            control->datatype = TENSORD_FP32;
            memcpy(&control->values[i], &from->fp32_false_true.items[i], sizeof(float));
        } else if (from->bool_false_true.count == 2) {
            control->datatype = TENSORD_BOOL;
            control->values[i] = from->bool_false_true.items[i];
        }
    }
    return control->datatype != TENSORD_INVALID;
}

static bool read_control(const struct inference_model_sequence_batching_control_input *input,
                         struct model_sequences *sequences, struct error *error)
{
    if (!input->name.size || input->control.count != 1)
        return invalid(error, "each 'control_input' has a name and one 'control':", input->name);
    const struct inference_model_sequence_batching_control *from = &input->control.items[0];
    struct model_control control = {.name = input->name,
                                    .kind = (enum model_control_kind)from->kind};
    for (size_t i = 0; i < sequences->control_count; i++) {
        if (sequences->controls[i].kind == control.kind)
            return invalid(error, "two controls are of the same kind; the second one is",
                           input->name);
    }
    if (control.kind == CONTROL_ID) {
        control.datatype = model_datatype(from->data_type);
        if (!is_id(control.datatype))
            return invalid(error,
                           "CONTROL_SEQUENCE_CORRID has a data_type of TYPE_UINT64, TYPE_INT64, "
                           "TYPE_UINT32, TYPE_INT32 or TYPE_STRING:",
                           input->name);
    } else if (!read_values(from, &control))
        return invalid(error,
                       "a control has one of int32_false_true, fp32_false_true and "
                       "bool_false_true, with two values:",
                       input->name);
    sequences->controls[sequences->control_count++] = control;
    return true;
}

/* ---- states ---- */

static bool read_dims(const int64_t *dims, size_t count, int64_t least, struct shape *ret_shape)
{
    if (count >= TENSOR_MAX_DIMS)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (dims[i] < least || dims[i] == 0)
            return false;
        ret_shape->dims[i] = dims[i];
    }
    ret_shape->ndim = (uint32_t)count;
    return true;
}

static bool is_file_name(struct span file)
{
    return file.size > 0 && file.size < NAME_MAX && !memchr(file.data, '/', file.size) &&
           !memchr(file.data, '\0', file.size) && !span_equal(file, SPAN("..")) &&
           !span_equal(file, SPAN("."));
}

static bool read_initial(const struct inference_model_sequence_batching_initial_state *from,
                         struct model_state *state, struct error *error)
{
    enum tensord_datatype datatype = model_datatype(from->data_type);
    if (!read_dims(from->dims.items, from->dims.count, 1, &state->initial_shape))
        return invalid(error, "'initial_state' has dims of 1 or above for", state->input);
    if (datatype != TENSORD_INVALID && state->datatype != TENSORD_INVALID &&
        datatype != state->datatype)
        return invalid(error, "'initial_state' has another data_type than the state of",
                       state->input);
    if (state->datatype == TENSORD_INVALID)
        state->datatype = datatype;
    bool fits = !state->shaped || state->shape.ndim == state->initial_shape.ndim;
    for (uint32_t i = 0; state->shaped && fits && i < state->shape.ndim; i++)
        fits = state->shape.dims[i] < 0 || state->shape.dims[i] == state->initial_shape.dims[i];
    if (!fits)
        return invalid(error, "'initial_state' has other dims than the state of", state->input);
    if (from->which_state_data == DATA_FILE) {
        state->initial_file = from->data_file;
        return is_file_name(from->data_file) ||
               invalid(error, "'data_file' is a file in the folder initial_state, without a path:",
                       from->data_file);
    }
    return (from->which_state_data == ZERO_DATA && from->zero_data) ||
           invalid(error, "'initial_state' has 'zero_data: true' or a 'data_file' for",
                   state->input);
}

static bool read_state(const struct inference_model_sequence_batching_state *from,
                       struct model_sequences *sequences, struct error *error)
{
    struct model_state *state = &sequences->states[sequences->state_count];
    *state = (struct model_state){.input = from->input_name,
                                  .output = from->output_name,
                                  .datatype = model_datatype(from->data_type),
                                  .shaped = from->dims.count > 0};
    if (!state->input.size || !state->output.size)
        return invalid(error, "each 'state' has an 'input_name' and an 'output_name':",
                       state->input.size ? state->input : state->output);
    for (size_t i = 0; i < sequences->state_count; i++) {
        if (span_equal(sequences->states[i].input, state->input) ||
            span_equal(sequences->states[i].output, state->output))
            return invalid(error, "two states have the same input or output:", state->input);
    }
    if (!read_dims(from->dims.items, from->dims.count, -1, &state->shape))
        return invalid(error, "dims must be -1 or above 0 in the state of", state->input);
    if (from->use_growable_memory)
        return error_set(error, ERROR_UNIMPLEMENTED,
                         "'use_growable_memory' of state '%.*s' is not supported by this version",
                         SPAN_ARGS(state->input));
    if (from->initial_state.count > 1)
        return invalid(error, "there is more than one 'initial_state' for", state->input);
    if (from->initial_state.count && !read_initial(&from->initial_state.items[0], state, error))
        return false;
    sequences->state_count++;
    return true;
}

static bool read_lists(const struct inference_model_sequence_batching *section, struct arena *arena,
                       struct model_sequences *sequences, struct error *error)
{
    for (uint32_t i = 0; i < section->control_input.count; i++) {
        if (!read_control(&section->control_input.items[i], sequences, error))
            return false;
    }
    if (section->state.count > MODEL_MAX_STATES)
        return error_set(error, ERROR_INVALID_ARGUMENT,
                         "'sequence_batching' may have at most %d states", MODEL_MAX_STATES);
    sequences->states = arena_calloc(arena, section->state.count, sizeof *sequences->states);
    if (!sequences->states)
        return error_no_memory(error);
    for (uint32_t i = 0; i < section->state.count; i++) {
        if (!read_state(&section->state.items[i], sequences, error))
            return false;
    }
    return true;
}

/* ---- strategies ---- */

static bool read_oldest(const struct inference_model_sequence_batching_strategy_oldest *from,
                        struct model_sequences *sequences,
                        struct inference_model_dynamic_batching *batching, struct error *error)
{
    batching->max_queue_delay_microseconds = from->max_queue_delay_microseconds;
    batching->preserve_ordering = from->preserve_ordering;
    batching->preferred_batch_size.items = from->preferred_batch_size.items;
    batching->preferred_batch_size.count = from->preferred_batch_size.count;
    sequences->strategy = SEQUENCES_OLDEST;
    sequences->candidates = (uint32_t)from->max_candidate_sequences;
    return (from->max_candidate_sequences >= 0 &&
            from->max_candidate_sequences <= MODEL_MAX_CANDIDATES) ||
           error_set(error, ERROR_INVALID_ARGUMENT, "'max_candidate_sequences' is 1 to %d",
                     MODEL_MAX_CANDIDATES);
}

static bool read_direct(const struct inference_model_sequence_batching_strategy_direct *from,
                        int64_t max_batch_size, struct model_sequences *sequences,
                        struct inference_model_dynamic_batching *batching, struct error *error)
{
    float least = from->minimum_slot_utilization;
    if (!(least >= 0 && least <= 1))
        return error_set(error, ERROR_INVALID_ARGUMENT,
                         "'minimum_slot_utilization' is 0 to 1, a part of the rows");
    if (max_batch_size > SEQUENCES_MAX_ROWS)
        return error_set(error, ERROR_UNIMPLEMENTED,
                         "the strategy 'direct' with a 'max_batch_size' of more than %d is not "
                         "supported by this version; 'oldest' has no such bound",
                         SEQUENCES_MAX_ROWS);
    batching->max_queue_delay_microseconds = from->max_queue_delay_microseconds;
    sequences->strategy = SEQUENCES_DIRECT;
    sequences->least_percent = (uint32_t)(least * 100);
    return true;
}

bool model_sequences_read(const struct inference_model_sequence_batching *section,
                          int64_t max_batch_size, struct arena *arena,
                          struct model_sequences *ret_sequences,
                          struct inference_model_dynamic_batching *ret_batching,
                          struct error *ret_error)
{
    struct model_sequences sequences = {.idle_us = section->max_sequence_idle_microseconds
                                                       ? section->max_sequence_idle_microseconds
                                                       : MODEL_SEQUENCE_IDLE_US};
    bool good = true;
    *ret_batching = (struct inference_model_dynamic_batching){0};
    if (section->iterative_sequence)
        return error_set(ret_error, ERROR_UNIMPLEMENTED,
                         "'iterative_sequence' is not supported by this version");
    if (section->which_strategy_choice == OLDEST)
        good = read_oldest(section->oldest, &sequences, ret_batching, ret_error);
    else if (section->which_strategy_choice == DIRECT)
        good = read_direct(section->direct, max_batch_size, &sequences, ret_batching, ret_error);
    if (!good || !read_lists(section, arena, &sequences, ret_error))
        return false;
    *ret_sequences = sequences;
    return true;
}

/* ---- copies ---- */

static bool copy_state(struct arena *arena, const struct model_state *from, struct model_state *to)
{
    *to = *from;
    return arena_copy(arena, from->input, &to->input) &&
           arena_copy(arena, from->output, &to->output) &&
           arena_copy(arena, from->initial_file, &to->initial_file) &&
           arena_copy(arena, from->initial, &to->initial);
}

const struct model_sequences *model_sequences_copy(struct arena *arena,
                                                   const struct model_sequences *from)
{
    struct model_sequences *to = arena_alloc(arena, sizeof *to);
    if (!to)
        return NULL;
    *to = *from;
    to->states = arena_calloc(arena, from->state_count, sizeof *to->states);
    bool copied = to->states != NULL;
    for (size_t i = 0; copied && i < from->control_count; i++)
        copied = arena_copy(arena, from->controls[i].name, &to->controls[i].name);
    for (size_t i = 0; copied && i < from->state_count; i++)
        copied = copy_state(arena, &from->states[i], &to->states[i]);
    return copied ? to : NULL;
}

/* ---- as bytes ---- */

static void pack_shape(const struct shape *shape, struct buf *buf)
{
    pack_number(buf, shape->ndim);
    for (uint32_t i = 0; i < shape->ndim; i++)
        pack_number(buf, (uint64_t)shape->dims[i]);
}

static void unpack_shape(struct unpack *unpack, struct shape *shape)
{
    shape->ndim = (uint32_t)unpack_number(unpack, TENSOR_MAX_DIMS - 1);
    for (uint32_t i = 0; i < shape->ndim; i++)
        shape->dims[i] = (int64_t)unpack_number(unpack, UINT64_MAX);
}

static void pack_state(const struct model_state *state, struct buf *buf)
{
    pack_string(buf, state->input);
    pack_string(buf, state->output);
    pack_number(buf, (uint64_t)state->datatype);
    pack_number(buf, state->shaped);
    pack_shape(&state->shape, buf);
    pack_shape(&state->initial_shape, buf);
    pack_string(buf, state->initial_file);
    pack_string(buf, state->initial);
    pack_number(buf, state->shown);
}

static void unpack_state(struct unpack *unpack, struct model_state *state)
{
    state->input = unpack_string(unpack);
    state->output = unpack_string(unpack);
    state->datatype = (enum tensord_datatype)unpack_number(unpack, TENSORD_DATATYPE_COUNT - 1);
    state->shaped = unpack_bool(unpack);
    unpack_shape(unpack, &state->shape);
    unpack_shape(unpack, &state->initial_shape);
    state->initial_file = unpack_string(unpack);
    state->initial = unpack_bytes(unpack);
    state->shown = unpack_bool(unpack);
}

void model_sequences_pack(const struct model_sequences *sequences, struct buf *buf)
{
    pack_number(buf, sequences->strategy);
    pack_number(buf, sequences->candidates);
    pack_number(buf, sequences->idle_us);
    pack_number(buf, sequences->least_percent);
    pack_number(buf, sequences->control_count);
    for (size_t i = 0; i < sequences->control_count; i++) {
        const struct model_control *control = &sequences->controls[i];
        pack_string(buf, control->name);
        pack_number(buf, control->kind);
        pack_number(buf, (uint64_t)control->datatype);
        pack_number(buf, control->values[0]);
        pack_number(buf, control->values[1]);
    }
    pack_number(buf, sequences->state_count);
    for (size_t i = 0; i < sequences->state_count; i++)
        pack_state(&sequences->states[i], buf);
}

void model_sequences_unpack(struct unpack *unpack, struct model_sequences *ret_sequences)
{
    struct model_sequences *sequences = ret_sequences;
    *sequences = (struct model_sequences){0};
    sequences->strategy = (enum model_sequence_strategy)unpack_number(unpack, SEQUENCES_OLDEST);
    sequences->candidates = (uint32_t)unpack_number(unpack, MODEL_MAX_CANDIDATES);
    sequences->idle_us = unpack_number(unpack, UINT64_MAX);
    sequences->least_percent = (uint32_t)unpack_number(unpack, 100);
    sequences->control_count = unpack_number(unpack, MODEL_MAX_CONTROLS);
    for (size_t i = 0; i < sequences->control_count; i++) {
        struct model_control *control = &sequences->controls[i];
        control->name = unpack_string(unpack);
        control->kind = (enum model_control_kind)unpack_number(unpack, CONTROL_ID);
        control->datatype =
            (enum tensord_datatype)unpack_number(unpack, TENSORD_DATATYPE_COUNT - 1);
        control->values[0] = (uint32_t)unpack_number(unpack, UINT32_MAX);
        control->values[1] = (uint32_t)unpack_number(unpack, UINT32_MAX);
    }
    sequences->states =
        unpack_array(unpack, MODEL_MAX_STATES, sizeof *sequences->states, &sequences->state_count);
    for (size_t i = 0; i < sequences->state_count && !unpack->failed; i++)
        unpack_state(unpack, &sequences->states[i]);
}
