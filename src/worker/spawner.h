/* The spawner and the front's line to it.
 *
 * The spawner is the first process: it starts the front and, when the front asks over a socketpair,
 * workers, each limited and sandboxed between fork and exec, and tells of their deaths. It reads no
 * byte of any client. So the front can drop every privilege, which its children would otherwise
 * inherit. If the spawner ends, all end. */
#ifndef TENSORD_WORKER_SPAWNER_H
#define TENSORD_WORKER_SPAWNER_H

#include "net/loop.h"
#include "worker/channel.h"

/* What a worker is to serve. Strings are copied. Sent to the worker over a pipe-like memfd, never
 * by the command line. */
struct worker_spec {
    struct span path; /* of the model: a file, or the folder of a version */
    struct span root; /* the folder that the worker may read: path, or what holds it */
    struct span name;
    uint64_t version;
    struct span engine;               /* that the config names; empty: find out */
    const struct tensor_info *inputs; /* as the config declares them */
    size_t input_count;
    const struct tensor_info *outputs;
    size_t output_count;
    const struct channel_parameter *parameters; /* the config's */
    size_t parameter_count;
    int64_t max_batch_size; /* the config's; -1: it says nothing */
    bool may_batch;         /* false: never join requests */
    uint32_t threads;       /* 0: the engine decides */
    uint32_t concurrency;   /* 0: the engine decides */
    struct span device;     /* "cpu" */
    bool probe;             /* open, describe, exit */
};

/* ---- in the front ---- */

struct spawner_client;

/* A worker process as the front knows it. */
struct worker_process {
    uint64_t id;
    int pid; /* 0 until it has started */
    /* It has ended, or could not be started (then started is false). reason is a sentence: "killed
     * by signal 11 (Segmentation fault)", "exited with status 3". After this call the struct is the
     * caller's again. */
    void (*ended)(struct worker_process *process, bool started, const char *reason);
};

/* Talks over fd, which it owns. on_lost is called when the spawner is gone: the front ends. */
struct spawner_client *spawner_client_new(struct loop *loop, int fd, void (*on_lost)(void *context),
                                          void *context, struct error *ret_error);
void spawner_client_free(struct spawner_client *client);

/* Asks for a worker with the channel's descriptors. `ended` is always called, once, later. */
bool spawner_start(struct spawner_client *client, struct worker_process *process,
                   const struct worker_spec *spec, struct channel_fds fds, struct error *ret_error);

/* Kills the worker at once (SIGKILL). `ended` follows. */
void spawner_kill(struct spawner_client *client, struct worker_process *process);

/* ---- the spawner's own process ---- */

struct spawner_options {
    const char *program;          /* path of this binary, to execute for each role */
    char *const *front_arguments; /* argv of the front's role, NULL-terminated */
    const char *engine_dir;       /* where engines' shared libraries lie */
    const char *onnxruntime;      /* path of its library or package; NULL: look for it */
    const char *sandbox;          /* "off", "auto" or "strict" */
};

/* Runs the spawner until the front ends; returns the exit status of the program. The front's end of
 * the socketpair is descriptor 3 of the front. SIGTERM and SIGINT are passed on to the front. */
int spawner_run(const struct spawner_options *options);

#endif
