/* What requests of sequences may say; see sequence_check.h. */
#include "serving/sequence_check.h"

#include "serving/batch.h"
#include "serving/generation.h"
#include "serving/stateful.h"

#include <inttypes.h>
#include <stdio.h>

void sequence_id_write(const struct sequence_id *id, char text[static SEQUENCE_MAX_ID + 1])
{
    if (id->number)
        snprintf(text, SEQUENCE_MAX_ID + 1, "%" PRIu64, id->number);
    else
        snprintf(text, SEQUENCE_MAX_ID + 1, "%.*s", SPAN_ARGS(id->text));
}

/* ---- the check ---- */

static const struct model_control *id_control(const struct model_sequences *config)
{
    for (size_t i = 0; i < config->control_count; i++) {
        if (config->controls[i].kind == CONTROL_ID)
            return &config->controls[i];
    }
    return NULL;
}

static uint64_t most_id(enum tensord_datatype datatype)
{
    switch (datatype) {
    case TENSORD_INT32:
        return INT32_MAX;
    case TENSORD_UINT32:
        return UINT32_MAX;
    case TENSORD_INT64:
        return INT64_MAX;
    default:
        return UINT64_MAX;
    }
}

static bool check_id(const struct inference *inference, struct error *ret_error)
{
    const struct sequence_id *id = &inference->sequence.id;
    const struct model_control *control = id_control(inference->generation->stateful->config);
    if (id->text.size > SEQUENCE_MAX_ID)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "a 'sequence_id' that is text has at most %d bytes", SEQUENCE_MAX_ID);
    if (!control || control->datatype == TENSORD_BYTES)
        return true;
    if (!id->number)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "a 'sequence_id' of model '%.*s' is a number, not text",
                         SPAN_ARGS(inference->generation->spec.name));
    return id->number <= most_id(control->datatype) ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "a 'sequence_id' of model '%.*s' is at most %" PRIu64,
                     SPAN_ARGS(inference->generation->spec.name), most_id(control->datatype));
}

bool sequence_check(const struct inference *inference, struct error *ret_error)
{
    if (!sequence_is_named(&inference->sequence))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "inference request to model '%.*s' must specify a non-zero or non-empty "
                         "correlation ID: its parameter 'sequence_id'",
                         SPAN_ARGS(inference->generation->spec.name));
    if (!check_id(inference, ret_error))
        return false;
    const struct schema *schema = inference->generation->schema;
    bool rows =
        schema && (schema->max_batch_size || inference->generation->spec.max_batch_size > 0);
    return !rows || batch_rows(inference) == 1 ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "inference request to model '%.*s' must specify batch-size 1 due to "
                     "requirements of sequence batcher",
                     SPAN_ARGS(inference->generation->spec.name));
}

/* ---- what else is said ---- */

bool sequence_not_started(const struct inference *inference, struct error *ret_error)
{
    char id[SEQUENCE_MAX_ID + 1];
    sequence_id_write(&inference->sequence.id, id);
    return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "inference request for sequence %s to model '%.*s' must specify the START "
                     "flag on the first request of the sequence",
                     id, SPAN_ARGS(inference->generation->spec.name));
}

bool sequence_lost(const struct inference *inference, struct error *ret_error)
{
    char id[SEQUENCE_MAX_ID + 1];
    sequence_id_write(&inference->sequence.id, id);
    return error_set(ret_error, ERROR_CONFLICT,
                     "sequence %s of model '%.*s' is over: its worker ended, and what it had come "
                     "to is lost; begin it anew, with the START flag",
                     id, SPAN_ARGS(inference->generation->spec.name));
}

bool sequence_broken_off(const struct inference *inference, const char *reason,
                         struct error *ret_error)
{
    char id[SEQUENCE_MAX_ID + 1];
    sequence_id_write(&inference->sequence.id, id);
    return error_set(
        ret_error, inference->sequence.starts ? ERROR_INTERRUPTED : ERROR_CONFLICT,
        "the worker of model '%.*s' ended (%s), and with it sequence %s: begin it anew, with "
        "the START flag",
        SPAN_ARGS(inference->generation->spec.name), reason, id);
}
