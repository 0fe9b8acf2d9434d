/* The engine interface of tensord, version 1.
 *
 * An engine is a shared library that exports one function, tensord_engine(), and runs models of one
 * kind. tensord loads it into a worker process that serves one version of one model; an engine that
 * crashes takes that worker with it and nothing else. docs/engines.md is the tutorial and
 * engines/identity.c the smallest engine.
 *
 * Calls into an engine:
 *   match, load, unload   one at a time, on one thread, unload last.
 *   execute               up to `concurrency` at a time, each on a thread of the host's.
 *   cancel                on any thread, at any time between execute and the final answer.
 *
 * The interface only grows: members are appended, never changed. It needs nothing but the C
 * library. */
#ifndef TENSORD_ENGINE_H
#define TENSORD_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TENSORD_ENGINE_ABI 1
#define TENSORD_MAX_DIMS 16

/* The datatypes of the Open Inference Protocol. A BYTES tensor is, for each element, its length as
 * uint32 little-endian followed by that many bytes. */
enum tensord_datatype {
    TENSORD_INVALID = 0,
    TENSORD_BOOL,
    TENSORD_UINT8,
    TENSORD_UINT16,
    TENSORD_UINT32,
    TENSORD_UINT64,
    TENSORD_INT8,
    TENSORD_INT16,
    TENSORD_INT32,
    TENSORD_INT64,
    TENSORD_FP16,
    TENSORD_FP32,
    TENSORD_FP64,
    TENSORD_BF16,
    TENSORD_BYTES,
    TENSORD_DATATYPE_COUNT
};

/* Why something failed; the client sees the protocol's counterpart. */
enum tensord_status {
    TENSORD_OK = 0,
    TENSORD_INVALID_ARGUMENT, /* the request, or the model file, is at fault */
    TENSORD_UNAVAILABLE,      /* try again later: a resource is missing now */
    TENSORD_UNSUPPORTED,      /* a feature, an operator or a device that is not there */
    TENSORD_INTERNAL,         /* the engine is at fault */
    TENSORD_CANCELLED         /* the client has gone or its deadline has passed */
};

/* What a model's input or output looks like. Strings and arrays belong to whoever made the struct.
 */
struct tensord_tensor_info {
    const char *name;
    enum tensord_datatype datatype;
    uint32_t ndim;                         /* 0: a scalar */
    int64_t shape[TENSORD_MAX_DIMS];       /* -1: any size */
    const char *symbols[TENSORD_MAX_DIMS]; /* the name of a symbolic dimension, or NULL */
    bool optional;                         /* a request may leave it out */
    bool
        any_rank; /* a tensor may have any number of dimensions; `shape` is what clients are told */
};

/* A setting from the model's config: `parameters` of model.yaml or config.pbtxt. */
struct tensord_parameter {
    const char *key;
    const char *value;
};

/* What an engine is asked to load. Valid during match and until unload returns. */
struct tensord_source {
    uint32_t size;    /* of this struct, bytes: how much of it the host knows */
    const char *path; /* the model's file, or the folder of its version */
    const char *name; /* the model's name */
    uint64_t version;
    const char *config_engine; /* the engine that the config names, or NULL */
    const struct tensord_parameter *parameters;
    size_t parameter_count;
    const struct tensord_tensor_info
        *inputs; /* as the config declares them; count 0 when it does not */
    size_t input_count;
    const struct tensord_tensor_info *outputs;
    size_t output_count;
    int64_t max_batch_size; /* the config's; -1 when it says nothing */
    uint32_t threads;       /* how many threads one execution may use; 0: the engine decides */
    uint32_t concurrency;   /* how many executions at once are wanted; 0: the engine decides */
    const char *device;     /* "cpu", "cuda:0", … ; never NULL */
    bool decoupled;         /* the config says that a request may have any number of answers */
};

enum tensord_batching {
    TENSORD_BATCHING_UNKNOWN =
        0, /* the host finds out from the shapes and by trying (docs/engines.md) */
    TENSORD_BATCHING_NO,
    TENSORD_BATCHING_YES,
    TENSORD_BATCHING_OWN /* the engine has its own way: never joined, whatever the config says; a
                            request has max_batch_size rows at most, or none when that is 0 */
};

/* What a loaded model is like. Everything it points to belongs to the engine and stays valid until
 * unload. */
struct tensord_description {
    uint32_t size;        /* of this struct, bytes; set by the host */
    const char *platform; /* e.g. "onnxruntime_onnx" */
    const struct tensord_tensor_info *inputs;
    size_t input_count;
    const struct tensord_tensor_info *outputs;
    size_t output_count;
    uint32_t concurrency;           /* executions that may run at once; 0 means 1 */
    enum tensord_batching batching; /* may requests be joined along the first dimension? */
    uint32_t max_batch_size;        /* rows; 0: no bound of the engine's own */
    bool streams;                   /* may answer a request several times */
};

/* A tensor of a running execution. data lies in shared memory, aligned to 64 bytes, and is nobody's
 * to free. */
struct tensord_tensor {
    uint32_t index; /* into the description's inputs or outputs */
    enum tensord_datatype datatype;
    uint32_t ndim;
    int64_t shape[TENSORD_MAX_DIMS];
    void *data;
    size_t size_bytes;
};

struct tensord_host;
struct tensord_kept;

/* One execution: one request, or several that the host has joined along the first dimension. The
 * engine sees no difference. It belongs to the host and is valid until its final answer. */
struct tensord_execution {
    const struct tensord_host *host;
    const struct tensord_tensor
        *inputs; /* those that the request has, in the description's order */
    size_t input_count;
    uint64_t wanted_outputs; /* bit i: output i is wanted; outputs from 64 on always are */
    const struct tensord_parameter *parameters; /* the request's own */
    size_t parameter_count;
    uint64_t deadline_ns; /* CLOCK_MONOTONIC; UINT64_MAX: none */
    void *engine_data;    /* the engine's, for its own use; NULL at first */
    const char *id; /* the client's name of the request; "": it has none, or these are several */
    const bool *literal_parameters; /* [i]: the value of parameters[i] is a number, true, false or
                                       null as JSON writes it, and no string */
};

/* A request that a running model makes to another model of the same server. */
struct tensord_call {
    const char *model;
    int64_t version;                     /* -1: the newest */
    const struct tensord_tensor *inputs; /* `index` is not looked at, input_names is */
    const char *const *input_names;
    size_t input_count;
    struct tensord_tensor
        *ret_outputs;              /* filled in; valid until the calling execution's final answer */
    const char **ret_output_names; /* room for `output_capacity` names */
    size_t output_capacity;
    size_t ret_output_count;
    char error[256]; /* the reason, when the call fails */
};

enum tensord_log_level {
    TENSORD_LOG_DEBUG,
    TENSORD_LOG_INFO,
    TENSORD_LOG_WARNING,
    TENSORD_LOG_ERROR
};

/* What the host does for an engine. All functions may be called from any thread. */
struct tensord_host {
    uint32_t size; /* of this struct, bytes: an engine may use what lies within it */

    /* Writes a line to the server's log under the model's name. */
    void (*log)(enum tensord_log_level level, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

    /* Says how far a load is, 0 to 1. Only while load runs. */
    void (*progress)(double done);

    /* Says why load or execute fails; the last sentence said by this thread counts. Returns status,
     * so that an engine can write `return host->reason(TENSORD_INTERNAL, "…")`. */
    enum tensord_status (*reason)(enum tensord_status status, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

    /* Memory for output `index` with this datatype and shape, to be filled before respond().
     * size_bytes counts only for BYTES. NULL when there is no room; the execution is then to be
     * failed. */
    void *(*output)(struct tensord_execution *execution, uint32_t index,
                    enum tensord_datatype datatype, const int64_t *shape, uint32_t ndim,
                    size_t size_bytes);

    /* Answers output `index` with the very bytes of an input, copying nothing. */
    bool (*output_input)(struct tensord_execution *execution, uint32_t index,
                         const struct tensord_tensor *input);

    /* Sends the outputs made since the last answer. With final, it is the last one and the
     * execution must not be touched again. Without, it waits while the client reads too slowly;
     * false: nobody wants more answers, finish soon. */
    bool (*respond)(struct tensord_execution *execution, bool final);

    /* Ends the execution with an error: status and the sentence given to reason(). */
    void (*fail)(struct tensord_execution *execution, enum tensord_status status);

    /* True once the client has gone or the deadline has passed. */
    bool (*cancelled)(const struct tensord_execution *execution);

    /* Calls another model and waits for its answer. False: call->error says why. */
    bool (*call)(struct tensord_execution *execution, struct tensord_call *call);

    /* Answers output `index` with bytes that stay as they are until the next respond() or fail()
     * has returned. An input of this execution and memory of room() are not copied. false: as
     * output(). */
    bool (*output_bytes)(struct tensord_execution *execution, uint32_t index,
                         enum tensord_datatype datatype, const int64_t *shape, uint32_t ndim,
                         const void *data, size_t size_bytes);

    /* Memory for an output before it is known which one, for output_bytes(). Valid until the final
     * answer. NULL when there is no room. */
    void *(*room)(struct tensord_execution *execution, size_t size_bytes);

    /* For engines whose languages cannot say in time who still looks at a tensor. may_keep: the
     * memory of this execution's inputs and of its room() may be kept beyond its final answer;
     * false: so much is kept already, or running and might be, that it may not. keep: it is kept,
     * until release; called at most once, after may_keep, before the final answer. */
    bool (*may_keep)(struct tensord_execution *execution);
    struct tensord_kept *(*keep)(struct tensord_execution *execution);
    void (*release)(struct tensord_kept *kept);
};

/* execute() takes microseconds and never waits: it runs on the thread that reads the channel. */
#define TENSORD_ENGINE_INLINE (UINT32_C(1) << 0)
/* execute() may return before the final answer: the engine schedules for itself. */
#define TENSORD_ENGINE_ASYNC (UINT32_C(1) << 1)

struct tensord_engine {
    uint32_t abi;  /* TENSORD_ENGINE_ABI */
    uint32_t size; /* of this struct, bytes */
    const char *name;
    uint32_t flags; /* TENSORD_ENGINE_… */

    /* How sure the engine is that it serves this source: 0 not at all, 100 certainly. Looks at
     * names and at most at the first bytes of files. */
    int (*match)(const struct tensord_source *source);

    /* Loads the model. On TENSORD_OK fills *ret_description and *ret_model; otherwise it has said
     * why by host->reason and has freed what it took. */
    enum tensord_status (*load)(const struct tensord_host *host,
                                const struct tensord_source *source,
                                struct tensord_description *ret_description, void **ret_model);

    /* Runs one execution. Each ends with exactly one respond(…, true) or fail(…). */
    void (*execute)(void *model, struct tensord_execution *execution);

    /* Asks a running execution to end early; it still gives its final answer. May be NULL. */
    void (*cancel)(void *model, struct tensord_execution *execution);

    /* Device memory that the model holds, bytes; 0 when only the process's own counts. May be NULL.
     */
    uint64_t (*device_memory_bytes)(void *model);

    /* Frees the model. May be NULL: the process ends anyway. */
    void (*unload)(void *model);
};

/* The one symbol that an engine's library exports. The struct lives for ever. */
__attribute__((visibility("default"))) const struct tensord_engine *tensord_engine(void);

#ifdef __cplusplus
}
#endif
#endif
