/* Models, their versions and what state they are in.
 *
 *   found → probing → loading → ready ⇄ asleep → draining → unloaded,  and failed
 *
 * A model has versions, a version has a current generation (a state of its files: own workers, own
 * memory) and, while it is being replaced, a next one. All calls are for the loop's thread. */
#ifndef TENSORD_SERVING_SERVING_H
#define TENSORD_SERVING_SERVING_H

#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "schedule/learned.h"
#include "schedule/limiter.h"
#include "serving/deadlock.h"
#include "serving/measure.h"
#include "serving/model_log.h"
#include "serving/residence.h"
#include "serving/reuse.h"
#include "serving/routing.h"
#include "serving/routing_kept.h"
#include "serving/serving_options.h"
#include "telemetry/tracer.h"

struct generation;
struct loop;
struct repository_override;
struct repository_scan;
struct shadow_report;
struct spawner_client;
struct version;

/* What a version is doing, as the repository index and `tensord ls` show it. */
enum version_state {
    VERSION_FOUND,   /* its files are there, perhaps still being written */
    VERSION_PROBING, /* a short-lived worker finds out what it is */
    VERSION_LOADING,
    VERSION_READY,
    VERSION_ASLEEP,   /* its schema is known, no worker runs: the next request wakes it */
    VERSION_DRAINING, /* finishes its requests, then unloads */
    VERSION_UNLOADED,
    VERSION_FAILED, /* with a reason; retried with back-off */
};

struct serving {
    struct loop *loop;
    struct spawner_client *spawner;
    struct serving_options options;
    struct tracer *tracer; /* outlives it; NULL: nothing is traced */
    struct environments environments;
    struct residence residence; /* which models are in memory */
    struct learned learned;     /* what was learned of models, loaded or not */
    struct reuse reuse;         /* answers that are kept */
    struct limiter limiter;     /* of resources that models share */
    struct deadlock_watch deadlock;
    struct map models;                /* name → struct model */
    struct list pipelines;            /* of struct pipeline */
    struct routing_kept routing_kept; /* weights that were set */
    struct list shadows;              /* of requests' copies that are on their way (shadow.c) */
    uint64_t shadow_bytes;            /* that these hold */
    struct model_metrics gone; /* counts of versions that had no series of their own and are gone */
    size_t gone_count;         /* how many these are */
    uint64_t circle_marks;     /* walks over pipelines so far (pipeline.c) */
    bool scanned;              /* the first scan has been applied */
    uint64_t scan_number;      /* of the last that was */
    bool draining;             /* no new inferences are taken */
    bool stopping;             /* and the workers end */
    size_t inferences;   /* that are bound to a generation: from their first byte to the last */
    size_t live_workers; /* those on their way included */
    /* Asks for a scan, as a load needs to know the files; the number of the one that will. */
    uint64_t (*rescan)(void *context);
    /* From the next scan on, the model is as this says (repository.h; nothing of it: as it lies in
     * the repository); a number by which end_override takes it back when the load has failed, and
     * keep_override forgets what was before, or 0 with the error. */
    uint64_t (*override)(void *context, const struct repository_override *override,
                         struct error *ret_error);
    void (*end_override)(void *context, uint64_t number);
    void (*keep_override)(void *context, uint64_t number);
    /* A generation has its files at this path: they stay until release_files gets what this gave;
     * NULL: they are the repository's. Both may be NULL. */
    void *(*hold_files)(void *context, struct span path);
    void (*release_files)(void *held);
    void (*drained)(void *context); /* after serving_drain, once no inference is left */
    void (*stopped)(void *context); /* after serving_stop, once the last worker has ended */
    /* Weights were set, or are void; may be NULL. */
    void (*routing_changed)(void *context);
    void *routing_context;
    /* A load has ended, well or not; may be NULL. */
    void (*settled)(void *context, struct version *version);
    void *context;
};

struct model {
    struct serving *serving;
    struct span name;
    struct version **versions; /* in ascending order */
    size_t version_count, version_capacity;
    struct trace_setting trace; /* what the API has set for it */
    bool urged;                 /* the API asks for it to be loaded now */
    bool wanted; /* to be loaded: by the policy or by the API, until the API unloads it */
    uint64_t unloaded_scan; /* the first one after it was unloaded: what it finds is not new */
    struct routing routing; /* which version answers */
    struct shadow_report *shadow; /* what its shadow was seen to do; NULL: nothing yet */
    size_t shadow_copies;         /* of requests, that are on their way */
    struct list waiters; /* of struct model_waiter, who are told after the scan of this number: */
    uint64_t awaited_scan;
    uint64_t left_override; /* what a load gave for whose end nobody waits; 0: nothing */
    struct model_log log;
};

struct version {
    struct model *model;
    uint64_t number;
    uint64_t serial; /* in traces of residency */
    struct generation
        *current; /* takes new requests; NULL when it is unloaded or its config is wrong */
    struct generation *next;  /* loading, to take its place; or NULL */
    size_t generations;       /* that live, draining ones included */
    uint64_t fingerprint;     /* of the files as last taken in */
    bool present;             /* its files are there */
    bool complete;            /* and nobody is writing them */
    bool unreadable;          /* its folder cannot be looked into: it stays as it was */
    bool seen;                /* in the scan that is being applied */
    bool held;                /* it was not, and serves until the load that is asked for ends */
    char format[32];          /* of its files; may be empty */
    bool code;                /* loading it runs code that it brings */
    bool doubled;             /* another file or folder has its name and number, too */
    struct error files_error; /* why its files as they lie now are not served: their config is
                                 wrong, or they failed while older ones were served */
    char note[512];           /* what it is doing; may be empty */
    uint64_t load_line;       /* number of the last line of the model's log before the last load */
    struct version_statistics statistics;
    uint64_t circle_mark; /* the last walk over pipelines that has seen it */
};

/* Told once, when a load that was asked for has ended for all versions of a model. */
struct model_waiter {
    struct list_link link;
    void (*settled)(struct model_waiter *waiter,
                    const struct error *error); /* ERROR_OK: all are ready */
};

void serving_init(struct serving *serving, struct loop *loop, struct spawner_client *spawner,
                  const struct serving_options *options);

/* Takes in a scan of the repository: new versions, new generations of changed files, versions whose
 * files have gone. */
void serving_apply(struct serving *serving, const struct repository_scan *scan);

/* The repository could not be read: what it holds is as before, and loads that wait for a scan
 * fail. */
void serving_unreadable(struct serving *serving);

/* True while a model that is to be loaded is on its way there. */
bool serving_is_loading(const struct serving *serving);

/* Takes no new inferences. `drained` is called when the last one has ended, its answer sent; not
 * when there is none. */
void serving_drain(struct serving *serving);

/* Stops every worker; `stopped` is called when the last process has ended; not when there is none.
 */
void serving_stop(struct serving *serving);

/* True when no process of the models runs any more. */
bool serving_is_stopped(const struct serving *serving);

/* Brings serving->learned up to date with what the current generations have learned. */
void serving_keep_learned(struct serving *serving);

/* Frees everything; no worker runs any more. */
void serving_fini(struct serving *serving);

/* The error for a name that no model has: Triton's sentence (NOT_FOUND), or UNAVAILABLE as long as
 * nobody can know. Returns false. */
bool serving_model_unknown(const struct serving *serving, struct span name,
                           struct error *ret_error);

/* The model of that name, or NULL with that error. */
struct model *serving_model(struct serving *serving, struct span name, struct error *ret_error);

/* The version of a model: `number`, or the one that stands for the model (routing.h) when number is
 * -1. NULL with NOT_FOUND, or why there is none. */
struct version *model_version(struct model *model, int64_t number, struct error *ret_error);

/* Loads all versions of a model, as the API asks, with the files as they are now; waiter (may be
 * NULL) is told when that has ended, never from within this call, and may leave by
 * list_remove(&waiter->link). */
void model_load(struct model *model, struct model_waiter *waiter);

/* The same by name, as somebody asks for it: its files may have come a moment ago, and others may
 * leave memory for it, as for a request. False without memory. */
bool serving_load(struct serving *serving, struct span name, struct model_waiter *waiter,
                  struct error *ret_error);

/* Unloads all versions: running requests finish, then the workers end. Sticks until model_load or a
 * change of the files. Those who wait for a load are told from within. */
void model_unload(struct model *model);

/* What the last load gave, by its number, is kept or taken back when the load has ended, although
 * nobody waits for that. */
void serving_leave_load(struct serving *serving, struct span name, uint64_t override);

/* Takes back that the model is wanted, unless a version is ready: a load has failed that brought
 * what is gone with it, and the model was not wanted before. What failed goes on saying why. */
void model_unwant(struct model *model);

/* ---- what a version is doing: version_state.c ---- */

/* Whether a version in this state is on its way to another. */
static inline bool version_is_busy(enum version_state state)
{
    return state == VERSION_FOUND || state == VERSION_PROBING || state == VERSION_LOADING;
}

/* What the version is doing. */
enum version_state version_state(const struct version *version);

/* Why it is in that state, in a sentence; empty when there is nothing to say. */
const char *version_reason(const struct version *version);

/* The error for who asks for a version that cannot answer now: UNAVAILABLE, or FAILED when it is of
 * no use to ask again before somebody does something about the model. Returns false. */
bool version_not_ready(const struct version *version, struct error *ret_error);

/* True when the version answers requests: READY, or ASLEEP, from which a request wakes it, or
 * LOADING after that. */
bool version_ready(const struct version *version);

/* How its deployment goes, for who waits for it: a version that is being replaced is LOADING
 * although it serves, and FAILED when its newer files are not taken. */
enum version_state version_deployment(const struct version *version);

/* How far a load has come, 0 to 1; 1 when it is over. */
double version_progress(const struct version *version);

/* What it takes and gives; NULL until it was probed or loaded once. */
const struct schema *version_schema(const struct version *version);

/* All that the config in its folder says, an encoded message ModelConfig; empty when there is none.
 * Lives until the loop's turn ends. */
struct span version_config(const struct version *version);

/* An input of the model, also one that clients do not give; NULL: it is not known. */
const struct tensor_info *version_input(const struct version *version, struct span name);

/* Whether its requests are of sequences, of which those that have waited longest are joined. */
bool version_joins_oldest(const struct version *version);

/* What was counted of the version, and its gauges as they are now. */
struct model_metrics version_metrics(const struct version *version);

/* The state's name in our own listings, "ready", and in the repository index, "READY". */
const char *version_state_name(enum version_state state);
const char *version_state_index_name(enum version_state state);

/* Said of a version that is doubled: a file NAME.onnx beside a folder NAME, say. */
extern const char version_left_out[];

/* ---- for inference.c and visit.c ---- */

/* Whether clients' requests are still taken. */
bool serving_takes_requests(const struct serving *serving, struct error *ret_error);

/* An inference was bound, or gave back all it had. */
void serving_inference_began(struct serving *serving);
void serving_inference_ended(struct serving *serving);

/* ---- for generation.c ---- */

/* A worker, or a process that prepares one, has ended. */
void serving_look_stopped(struct serving *serving);

/* A generation of the version has been freed. */
void version_release(struct version *version);

/* A generation of the version has been loaded, was probed, or has failed. */
void version_settle(struct version *version, struct generation *generation);

/* Its files are to be taken in once more, as if they had changed: what they need has. */
void version_renew(struct version *version);

/* Writes a line about the version, or of its worker, to the log and to the model's. */
void version_say(struct version *version, enum log_level level, struct span line);

/* Keeps a sentence about what the version is doing, for listings. */
void version_note(struct version *version, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
