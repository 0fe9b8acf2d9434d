/* The spawner and the front's line to it.
 *
 * The spawner is the first process: it starts the front and, when the front asks over a socketpair,
 * workers, each limited and sandboxed between fork and exec, and tells of their deaths. It reads no
 * byte of any client. So the front can drop every privilege, which its children would otherwise
 * inherit. If the spawner ends, all end. */
#ifndef TENSORD_WORKER_SPAWNER_H
#define TENSORD_WORKER_SPAWNER_H

#include "base/process_limits.h"
#include "base/server_config.h"
#include "base/shaping.h"
#include "base/warm_up.h"
#include "net/loop.h"
#include "worker/channel.h"

/* What a worker is to serve. Strings are copied. Sent to the worker over a pipe-like memfd, never
 * by the command line. */
struct worker_spec {
    struct span path; /* of the model: a file, or the folder of a version */
    struct span root; /* the folder that the worker may read, and is started in; holds path */
    struct span interpreter; /* absolute path of the Python that the worker is; empty: a worker of
                                this program */
    struct span name;
    uint64_t version;
    struct span engine;               /* that the config names; empty: find out */
    const struct tensor_info *inputs; /* as the config declares them */
    size_t input_count;
    const struct tensor_info *outputs;
    size_t output_count;
    struct shaping shaping;             /* where clients see these otherwise */
    const struct parameter *parameters; /* the config's */
    size_t parameter_count;
    int64_t max_batch_size; /* the config's; -1: it says nothing */
    bool decoupled;         /* the config says that a request may have any number of answers */
    bool may_batch;         /* false: never join requests */
    uint32_t threads;       /* 0: the engine decides */
    uint32_t concurrency;   /* 0: the engine decides */
    uint64_t
        keep_limit_bytes; /* of its requests' memory that it may keep after they were answered */
    struct span device;   /* "cpu" */
    struct warm_ups warm_ups; /* what is executed before it serves */
    bool probe;               /* open, describe, exit */
    bool renamed_in;          /* the files were moved there whole: no writer need be looked for */
    struct server_config server;  /* the program that the worker keeps, instead of an engine; a
                                     command of no words: none */
    struct process_limits limits; /* for the spawner; of these the worker hears of GPUs alone */
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
    struct list_link kill_link; /* the client's own */
};

/* What the front is told of itself. */
struct spawner_client_events {
    /* The spawner is gone: no `ended` follows any more, and the front ends. Called once. */
    void (*lost)(void *context);
    /* Another front has taken this one's place on the same sockets: it accepts no more, finishes
     * what it has, and ends. */
    void (*retire)(void *context);
};

/* Talks over fd, which it owns: an end of a SOCK_SEQPACKET pair. `events` must outlive it. From
 * then on it tells the spawner that the loop turns, several times within stuck_timeout_ms, which is
 * the spawner's (0: it has none), and at least every two seconds. */
struct spawner_client *spawner_client_new(struct loop *loop, int fd, uint64_t stuck_timeout_ms,
                                          const struct spawner_client_events *events, void *context,
                                          struct error *ret_error);

/* Forgets every process without calling its `ended`. Accepts NULL. */
void spawner_client_free(struct spawner_client *client);

/* Asks for a worker with the channel's descriptors, which stay the caller's. Fills process->id; its
 * `ended` is for the caller to set. True: `ended` will be called, once, in a later turn, and until
 * then the process stays in place. False: nothing was asked for. Never blocks: what the socket has
 * no room for waits in a queue. */
bool spawner_start(struct spawner_client *client, struct worker_process *process,
                   const struct worker_spec *spec, struct channel_fds fds, struct error *ret_error);

/* The same for a worker that keeps a managed server (keeper.h): `line` is its end of the line by
 * which it hands out connections, and stays the caller's. */
bool spawner_start_server(struct spawner_client *client, struct worker_process *process,
                          const struct worker_spec *spec, struct channel_fds fds, int line,
                          struct error *ret_error);

/* Asks for an exporter of traces, in the same way; `line` is its descriptor, which stays the
 * caller's. */
bool spawner_start_exporter(struct spawner_client *client, struct worker_process *process, int line,
                            struct error *ret_error);

/* Tells the spawner, and with it whoever supervises the server, that the front serves; again after
 * it has read its settings anew. */
void spawner_tell_ready(struct spawner_client *client);

/* Tells it that the models which the front loads at its start are loaded, or have failed: when it
 * is to take over from another front, it does so now. */
void spawner_tell_settled(struct spawner_client *client);

/* Asks for a process that runs one of the spawner's tasks on an absolute path and fd, which stays
 * the caller's. Otherwise like spawner_start. */
bool spawner_run_task(struct spawner_client *client, struct worker_process *process, unsigned task,
                      const char *path, int fd, struct error *ret_error);

/* Kills the worker at once (SIGKILL). `ended` follows. Harmless when it has ended already but
 * `ended` is yet to come. */
void spawner_kill(struct spawner_client *client, struct worker_process *process);

/* ---- the spawner's own process ---- */

/* Something that is done in a process of its own, which lives for just that: it has a worker's
 * sandbox, executes nothing, and may read the folder that the front names, or change those that
 * stand here. Or it is a script that the server's Python executes, which reads and writes its
 * descriptor, number 3. */
struct spawner_task {
    const char *title;                     /* the process's name, of at most 15 bytes */
    bool (*run)(const char *path, int fd); /* the exit status is 0 when it returns true */
    const char *script;    /* instead of `run`: a file of the Python package, "tensord/…/plan.py" */
    const char *writes[2]; /* the folders whose contents it may change, absolute; all NULL: it only
                              reads */
    const char *reads;     /* a folder that a script, or one that only reads, may read besides; or
                              NULL */
    bool installs;         /* of a script: it has the network, executes programs, and is given what
                              the server's own environment says of package indexes */
};

struct spawner_options {
    const char *program;          /* path of the binary to execute for each role; an upgrade finds
                                     the new one there. NULL: this one, and no upgrades */
    char *const *front_arguments; /* argv of the front's role, NULL-terminated */
    char *const *exporter_arguments; /* argv of the exporter's role; NULL: there is none */
    const char *engine_dir;          /* where engines' shared libraries lie */
    const char *python; /* path of the interpreter that Python workers are, or are built upon; NULL:
                           there are none */
    const char *environments;  /* the folder of those that were built for models, absolute; NULL:
                                  there is none */
    const char *homes;         /* the folder of those that managed servers keep, absolute, made when
                                  needed; NULL: none can be kept */
    const char *uv;            /* path of the installer, absolute; NULL: it is where programs are */
    const char *onnxruntime;   /* path of its library or package; NULL: look for it */
    const char *sandbox;       /* "off", "auto" or "strict"; NULL: "auto" */
    uint64_t stuck_timeout_ms; /* a front whose loop has not turned for so long is ended, whether it
                                  starts, serves or retires; 0: it is left alone */
    /* The listening sockets, which every front inherits, and a program that replaces this one. The
     * spawner closes its own when it is told to end (SIGTERM, SIGINT), so that from then on it is
     * the front's to say until when clients get in, and in any case before it returns. */
    const struct spawner_socket *sockets;
    size_t socket_count;              /* up to SPAWNER_MAX_SOCKETS */
    const struct spawner_task *tasks; /* that the front may ask for, by their place */
    size_t task_count;
};

/* A descriptor under a name, which means nothing to the spawner: no blank, no comma, no '='. */
struct spawner_socket {
    int fd;
    char name[12];
};

enum {
    SPAWNER_FRONT_FD = 3,      /* the front's end of the socketpair, in the front */
    SPAWNER_FRONT_SOCKETS = 4, /* the first of the sockets, in the front */
    SPAWNER_MAX_SOCKETS = 32,
};

/* Where a front, or a program that replaces this one, finds its sockets: "NAME=FD,NAME=FD". */
#define SPAWNER_SOCKETS_VARIABLE "TENSORD__SOCKETS"

/* Set for a front that takes over from another one, which accepts until this one has said that it
 * is settled. */
#define SPAWNER_SUCCESSOR_VARIABLE "TENSORD__SUCCESSOR"

/* Runs the spawner until the front ends; returns the exit status of the program: the front's, or
 * 128 + the signal that killed it. SIGTERM, SIGINT and SIGHUP are passed on to the front; SIGUSR1
 * is ignored; SIGUSR2 upgrades: the program at `program` is executed in this process, with the
 * arguments of `serve`, and its front takes over from the one that serves without a refused
 * connection (spawner_upgrade.h). The front is in a session of its own, with stdin from /dev/null
 * and the caller's environment; SIGTERM, SIGINT and SIGHUP are blocked in it until it has handlers
 * for them and unblocks them. Must be called while the process has one thread; says on standard
 * error why it could not start. The signals stay blocked: a late one changes neither the status nor
 * what the caller tidies up before it exits. */
int spawner_run(const struct spawner_options *options);

/* In the role `check`: whether spawner_run would start with these options, and, when a program is
 * to be upgraded to this one, understand the form in which that hands over its front. */
bool spawner_check(const struct spawner_options *options, struct error *ret_error);

#endif
