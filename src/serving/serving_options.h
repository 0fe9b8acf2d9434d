/* What the server says of all models: from settings, and the same until it ends. */
#ifndef TENSORD_SERVING_SERVING_OPTIONS_H
#define TENSORD_SERVING_SERVING_OPTIONS_H

#include "base/process_limits.h"
#include "environments/environment.h"

/* When models are loaded. */
enum load_policy {
    LOAD_ALL,      /* all that are found, at once */
    LOAD_EXPLICIT, /* when told to by the API */
    LOAD_LAZY,     /* probed at once, loaded by the first request */
};

struct serving_options {
    enum load_policy load;
    uint64_t memory_limit_bytes; /* tensor memory of one generation */
    uint32_t threads;            /* per execution; 0: the engine decides */
    uint64_t load_timeout_ms;    /* without a sign of progress */
    const char *python;          /* path of the interpreter of Python workers; NULL: none */
    struct environment_options environments; /* of models in Python */
    struct process_limits worker_limits;     /* where the model's config does not say */
    struct process_limits server_limits;     /* likewise, of managed servers */
    size_t queue_limit;                      /* requests that wait for one model */
    uint64_t queue_wait_ms;                  /* that a request may be foreseen to wait; 0: any */
    uint64_t memory_wait_ms;                 /* for which a request may wait for memory */
    int residency_trace_fd;                  /* where residency is traced; 0: nowhere */
    uint64_t cache_bytes;                    /* of answers that are kept to be given again */
    uint64_t cache_entry_bytes;              /* of one of them, and of its request's inputs */
    uint64_t stop_grace_ms;                  /* that a stopped worker has before it is killed */
    size_t series_limit;                     /* versions with metrics of their own */
    bool summaries;                          /* quantiles are kept */
    uint64_t processors;                     /* of the machine: what is learned is of it */
    struct cpu_list cpus;                    /* those that workers may run on */
    uint32_t cpu_share;                      /* how many of them the server is given the time of */
};

#endif
