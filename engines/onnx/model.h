/* A loaded model: the session, what its inputs and outputs are, and a slot of working memory for
 * each execution that may run at once. */
#ifndef TENSORD_ENGINES_ONNX_MODEL_H
#define TENSORD_ENGINES_ONNX_MODEL_H

#include "onnx/sessions.h"

/* Where the size of an output's dimension is known from before the model runs. */
struct onnx_dim_source {
    bool fixed;     /* the model says it; else it is */
    uint32_t input; /* this input's */
    uint32_t dim;   /* dimension */
};

/* May the shape of an output be foretold? Only once a run has borne it out, because models get
 * their own shapes wrong. */
enum onnx_foretelling { ONNX_FORETELL_NEVER, ONNX_FORETELL_UNTRIED, ONNX_FORETELL };

struct onnx_output_rule {
    struct onnx_dim_source dims[TENSORD_MAX_DIMS];
    _Atomic(int) foretelling; /* enum onnx_foretelling */
};

/* The working memory of one execution. The arrays have room for every input and output. */
struct onnx_slot {
    struct tensord_execution *execution; /* NULL: free. Under model->lock */
    struct ort_session *session;         /* that runs it */
    struct ort_run_options *run_options;
    const struct tensord_tensor **inputs; /* by index; NULL: not given */
    size_t value_count;                   /* of the values that are handed in: */
    const char **value_names;
    struct ort_value **values;
    size_t wanted_count; /* of the outputs that are wanted: */
    uint32_t *wanted;    /* their indices */
    const char **wanted_names;
    struct ort_value **results; /* NULL before the run where it is to allocate */
    bool *foretold;             /* the result lies in the host's memory already */
};

struct onnx_model {
    struct onnx_library library;
    struct ort_env *env;
    struct onnx_sessions sessions;
    struct ort_memory_info *cpu;
    struct ort_allocator *allocator; /* borrowed */
    struct tensord_tensor_info *inputs;
    size_t input_count;
    struct tensord_tensor_info *outputs;
    size_t output_count;
    struct onnx_output_rule *rules; /* (output_count) */
    struct onnx_slot *slots;
    uint32_t slot_count;
    uint32_t running; /* slots that are taken. Under lock */
    pthread_mutex_t lock;
};

/* schema.c: fills in inputs, outputs and rules from the session, and says by host->reason what
 * cannot be served. What was made until then stays in the model. */
enum tensord_status onnx_schema_read(struct onnx_model *model);

/* schema.c: frees what onnx_schema_read made. */
void onnx_schema_free(struct onnx_model *model);

/* declared.c: does the config's schema describe this model? Says what differs. Where the model says
 * nothing of a shape, the config's is taken. */
enum tensord_status onnx_declared_apply(struct onnx_model *model,
                                        const struct tensord_source *source);

/* slots.c: makes model->slot_count slots; what was made until a failure stays in the model. */
enum tensord_status onnx_slots_new(struct onnx_model *model);
void onnx_slots_free(struct onnx_model *model);

/* slots.c: a free slot for the execution, or NULL when the host runs more than it may. Any thread.
 */
struct onnx_slot *onnx_slot_take(struct onnx_model *model, struct tensord_execution *execution);

/* slots.c: releases the values and gives the slot back. */
void onnx_slot_give(struct onnx_model *model, struct onnx_slot *slot);

/* slots.c: ends the execution's run soon, if it is running. Any thread. */
void onnx_slot_cancel(struct onnx_model *model, const struct tensord_execution *execution);

/* execute.c: tensord_engine's execute. */
void onnx_execute(void *model, struct tensord_execution *execution);

/* The engine's datatype of ONNX's, TENSORD_INVALID when it has none, and the other way round. */
enum tensord_datatype onnx_datatype_of(int ort_datatype);
int onnx_datatype_to(enum tensord_datatype datatype);

/* The protocol's name of a datatype. */
const char *onnx_datatype_name(enum tensord_datatype datatype);

/* Bytes of an element; 0 for BYTES. */
size_t onnx_datatype_size(enum tensord_datatype datatype);

#endif
