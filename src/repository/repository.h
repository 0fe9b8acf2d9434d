/* The repository: which models lie in a folder, in which versions, and when they change.
 *
 * The front watches, and has a short-lived process look: one that may read the folder as it is now,
 * whatever became of the one that was there when the front started. It reads names, sizes, times
 * and config files, and never opens a model's files. Layouts: a single file               NAME.onnx
 * → model NAME, version 1 a folder of files           NAME.onnx, OTHER.py, …         → a model each
 *   a folder of one model       NAME/model.yaml, NAME/model.onnx, or NAME/model.py
 *   Triton's layout             NAME/VERSION/model.onnx, NAME/config.pbtxt
 * A folder given to `tensord serve` is one model when it holds a config or version folders itself,
 * else a folder of models. All calls are for the loop's thread. */
#ifndef TENSORD_REPOSITORY_REPOSITORY_H
#define TENSORD_REPOSITORY_REPOSITORY_H

#include "base/arena.h"
#include "base/error.h"
#include "base/parameter.h"
#include "base/process_limits.h"
#include "base/server_config.h"
#include "base/shaping.h"
#include "base/tensor.h"
#include "base/warm_up.h"
#include "pipeline/graph.h"
#include "repository/format.h"
#include "schedule/policy.h"
#include "schedule/rollout.h"

/* What the config says of the Python that a model runs on. */
struct model_python {
    struct span interpreter;   /* the absolute path of one; empty: none is named */
    struct span version;       /* "3.12", ">=3.11"; empty: any */
    struct span *requirements; /* instead of those in the model's files */
    size_t requirement_count;
};

/* The names of an output's classes, one a line. */
struct model_labels {
    struct span output;
    struct span file; /* beside the config: `label_filename` */
    struct span text; /* what it holds */
};

enum { MODEL_MAX_WORKERS = 128, MODEL_WORKER_IDLE_S = 60 };

/* How many workers a model has: min, and up to max as they are needed. All 0: it does not say. */
struct model_workers {
    uint32_t min, max;
    uint32_t idle_s; /* one that is not needed is ended after so long */
};

/* Where the workers run. */
struct model_placement {
    bool all_cpus;         /* on the server's processors, shared out */
    struct cpu_list *cpus; /* one list, which is shared out; or one for each worker */
    size_t cpus_count;     /* 0: the config does not say */
    uint32_t *gpus;        /* numbers: the workers have one each, in turn */
    size_t gpu_count;
};

enum { MODEL_MOST_IDLE_S = 365 * 24 * 3600 };

/* What the config says of the memory that the model is loaded into. All zero: nothing. */
struct model_residency {
    bool pin;              /* once loaded, it stays */
    uint64_t idle_after_s; /* nobody has used it for so long: it is asleep until somebody does */
    uint64_t memory_mib;   /* that it takes, until that was measured */
};

struct model_sequences;

/* What the config says of a model, already checked; without a config, what the files say.
 * Immutable. */
struct model_config {
    struct span engine;         /* `backend`, or from `platform`; empty: find out */
    struct span file;           /* `default_model_filename`; empty: the engine finds it */
    int64_t max_batch_size;     /* -1: the config does not say */
    struct tensor_info *inputs; /* with the batch dimension when max_batch_size > 0 */
    size_t input_count;
    struct tensor_info *outputs;
    size_t output_count;
    struct shaping shaping; /* where clients see these otherwise */
    struct parameter *parameters;
    size_t parameter_count;
    uint32_t instance_count; /* instance_group: workers of a model in Python, of others executions
                                at once; 0: the config does not say */
    struct model_workers workers;
    struct model_placement placement;
    struct span device;       /* "cpu", "cuda:0" */
    struct warm_ups warm_ups; /* model_warmup: what it executes before it serves */
    bool caches;              /* response_cache: its answers are kept, and given again */
    bool coalesces;           /* scheduling.coalesce: the same requests at once are one execution */
    bool decoupled;           /* model_transaction_policy: any number of answers to a request */
    const struct schedule_policy
        *queue; /* what it says of scheduling (model_queue.h); NULL: nothing */
    const struct pipeline_graph *pipeline; /* its steps; NULL: it is none */
    struct model_python python;
    struct server_config server;  /* of a model that is a program which speaks HTTP */
    struct process_limits limits; /* of each of its workers */
    struct model_residency residency;
    struct model_sequences *sequences; /* requests belong together (model_sequences.h); NULL: they
                                          do not */
    struct model_labels *labels;       /* of outputs that have any */
    size_t label_count;
    const struct rollout *rollout;         /* which version answers; NULL: it does not say */
    const struct model_versions *versions; /* which are served; for the look alone */
    uint64_t digest;     /* of all that it says but `rollout`, which is no part of a version */
    struct span written; /* all that the file says, used or not, as an encoded message ModelConfig;
                            empty: there is no file */
};

/* One version of one model as the files lie now. Lives until the next scan's `changed` returns. */
struct repository_version {
    struct span model;
    uint64_t version;
    struct span path; /* absolute: the file, or the version's folder (or the model's, when it has no
                         versions) */
    struct span root; /* absolute: the folder that a worker may read: path, or the folder of a
                         single file */
    struct span folder; /* absolute: the model's, which holds its config: path, or the folder of its
                           versions; empty: it is a single file */
    uint64_t
        fingerprint; /* of names, sizes and times, config included: differs when anything changed */
    uint64_t size_bytes; /* of all its files */
    bool complete;       /* unchanged for a second, or renamed in; else it is still being written */
    bool renamed_in;     /* its files were moved there whole: nobody is writing them */
    bool unreadable;     /* it is there and cannot be looked into now: `error` says why, and what is
                            known of it stays as it is; version 0: of all the model's versions */
    enum format_runtime runtime; /* what kind of process serves it */
    struct span format;          /* the format's name, or the engine that the config names; empty:
                                    its engine will find out */
    bool code;                   /* loading it runs code that it brings */
    bool packages; /* files beside it, or its config, say which packages of Python it needs */
    bool doubled;  /* another file or folder has its name and number: it is left out */
    const struct model_config *config;
    const struct rollout *rollout; /* of the model: what the config beside its versions says; NULL:
                                      nothing */
    const struct error *error;     /* NULL, or why it cannot be served: the config is wrong (the
                                      sentence has line, key and suggestion), files are not as they
                                      must be */
};

/* The result of one scan, in the order of names and versions. */
struct repository_scan {
    struct arena arena;
    struct span root; /* the repository's folder, links resolved */
    uint64_t number;  /* of the look; set by who watches */
    struct repository_version *versions;
    size_t version_count;
};

enum {
    REPOSITORY_MAX_OVERRIDES = 64,             /* models at once; the front keeps their texts */
    REPOSITORY_OVERRIDE_MAX_BYTES = 256 << 10, /* of one text: 16 MiB in all */
};

/* What a load gave: a config that stands in the place of the one that lies beside a model's files,
 * or of none; or files and a config, in the place of all that the repository has of the model. */
struct repository_override {
    struct span model;
    struct span config;  /* JSON with the fields of ModelConfig; read as model.yaml is */
    struct span folder;  /* absolute: in it lies the model, as it would in a repository; empty: only
                            the config is another */
    uint64_t number;     /* of the override: another one is another state of the files */
    bool may_bring_code; /* who gave it may */
    bool awaited;        /* of a load that gives nothing: it may fail, so what was before is
                            remembered, as it is when it gives something */
};

/* Looks at path as it is now. now_ns is the time of CLOCK_REALTIME, for completeness. Entries of
 * the folder whose names are in renamed_in were moved there whole and count as complete at once.
 * Links are followed, folders' only within the repository. False when path itself cannot be read,
 * or there is more than memory for. Blocks for the time of a directory walk. */
bool repository_scan(const char *path, uint64_t now_ns, const struct span *renamed_in,
                     size_t renamed_count, struct repository_scan *ret_scan,
                     struct error *ret_error);

/* The same, with other configs of some models. */
bool repository_scan_overridden(const char *path, uint64_t now_ns, const struct span *renamed_in,
                                size_t renamed_count, const struct repository_override *overrides,
                                size_t override_count, struct repository_scan *ret_scan,
                                struct error *ret_error);

void repository_scan_fini(struct repository_scan *scan);

/* Whether the folder is one of models, not itself a model. False, too, when it is none or cannot be
 * read. Blocks. */
bool repository_holds_models(const char *path);

/* The name of the file in the folder that is the model of that name, in the arena; NULL when it is
 * none. Blocks. */
char *repository_file_of_model(struct arena *arena, const char *folder, struct span model);

/* ---- in a process of its own: repository/look.c ---- */

/* Answers, in the file that fd is, the question that it holds (scan_bytes.h), by a scan of path. To
 * be run in a process that may read path and little else, as configs are anybody's text. False when
 * the answer could not be written. */
bool repository_look(const char *path, int fd);

/* ---- watching: repository/watch.c ---- */

struct loop;
struct repository_watch;

/* Whoever can start that process. */
struct repository_looker {
    /* Starts one and calls repository_watch_looked when it has ended, never from within. False when
     * it cannot be started. fd stays the caller's and open until then. */
    bool (*start)(void *context, const char *path, int fd, struct error *ret_error);
    void *context;
};

/* Has path (absolute; links in it are followed anew each time) looked at, at once and again
 * whenever inotify or the clock (every rescan_ms; sooner at first after a look that failed) says
 * so, and calls `changed` with each new scan, the first one included, or with NULL when path cannot
 * be read. Incomplete paths are looked at again after the second is over. */
struct repository_watch *
repository_watch_open(struct loop *loop, const char *path, uint64_t rescan_ms,
                      const struct repository_looker *looker,
                      void (*changed)(void *context, const struct repository_scan *scan),
                      void *context, struct error *ret_error);
void repository_watch_close(struct repository_watch *watch);

/* Scans now; `changed` is called soon. Returns the number of the look that will have seen what is
 * there now; numbers grow. */
uint64_t repository_watch_rescan(struct repository_watch *watch);

/* The same, for whoever has changed the repository: `entry`, if not empty, was put there whole
 * ("iris", or "iris/3" for a version), and what is gone is gone. */
uint64_t repository_watch_changed(struct repository_watch *watch, struct span entry);

/* From the next look on, the model is as this says (without config and folder: as the repository
 * says), and is changed by that. Texts are copied. Returns the number of the override, 0 when it
 * could not be kept: texts are bounded in number and size (RESOURCE_EXHAUSTED, TOO_LARGE). Does not
 * look. What the model was by the override before is remembered until the new one is kept. */
uint64_t repository_watch_override(struct repository_watch *watch,
                                   const struct repository_override *override,
                                   struct error *ret_error);

/* The load with that override has gone well: what was before it is forgotten. */
void repository_watch_keep_override(struct repository_watch *watch, uint64_t number);

/* Takes that override back, if there has been no other since: the one before it counts again. */
void repository_watch_end_override(struct repository_watch *watch, uint64_t number);

/* Sets who is told that the folder of an override is read by no look any more; once for each. */
void repository_watch_on_dropped(struct repository_watch *watch,
                                 void (*dropped)(void *context, struct span folder));

/* In `changed`: the number of the look that is told of. */
uint64_t repository_watch_number(const struct repository_watch *watch);

/* The process that was started has ended; for whoever started it. */
void repository_watch_looked(struct repository_watch *watch);

#endif
