/* What the files of the worker's end share. Threads take turns:
 *
 *   the reader   one thread at a time reads the ring. It handles what is for running requests
 *                (cancellations, credits, grants, answers) itself. Having read an execution it
 *                passes the role on and runs the engine.
 *   a follower   a thread without work waits to become the reader.
 *   a waiter     a thread in the middle of an execution that needs something from the front. When
 *                nobody reads, it reads itself.
 *
 * So an engine of one thread costs no wake-up, and a cancellation reaches an engine that is busy on
 * all its threads. */
#ifndef TENSORD_WORKER_HOST_PRIVATE_H
#define TENSORD_WORKER_HOST_PRIVATE_H

#include "base/arena.h"
#include "worker/host.h"
#include "worker/record.h"
#include "worker/ring.h"

#include <pthread.h>

enum { HOST_REASON_BYTES = 500 };

/* A piece of a request's memory for outputs, and how much of it is taken. */
struct host_room {
    struct extent extent;
    uint64_t used;
};

/* One request of an execution. What the reader writes is under host->lock: `cancelled` to
 * `grant_error`. */
struct host_request {
    uint64_t id;
    uint64_t deadline_ns;
    struct host_execution *execution;
    struct channel_tensor *inputs; /* (execution's input_count) */
    int64_t rows;                  /* of the first dimension, when it is one of several */
    struct host_room *rooms;       /* its grant, and what was granted later */
    size_t room_count, room_capacity;
    struct channel_tensor *outputs; /* of its next response */
    size_t output_count, output_capacity;
    enum tensord_status status; /* why it alone fails */
    bool cancelled;
    uint32_t credits;
    uint32_t unreturned; /* non-final responses whose bytes are still needed */
    bool granted;        /* a grant has been answered: */
    struct extent grant; /* size 0: no, for this reason: */
    char grant_error[HOST_REASON_BYTES];
};

/* An output that the engine has made for the next response. */
struct host_output {
    struct channel_tensor tensor;
    void *data;   /* (all rows of all requests), when there are several requests */
    bool is_copy; /* data is ours to free */
};

struct host_execution {
    struct tensord_execution tensord; /* as the engine sees it; must be first */
    struct host *host;
    struct list_link link; /* in host->backlog */
    pthread_mutex_t lock;  /* of arena, rooms and outputs: a model may call others at once */
    struct arena arena;    /* this struct, and all that it points to, but copies */
    uint64_t id;
    uint64_t needs_ns; /* until the deadlines, or it is not begun */
    uint64_t started_ns;
    uint64_t input_ns, compute_ns, output_ns; /* as in struct record_response */
    struct host_request *requests;
    size_t request_count;
    size_t input_count;
    int64_t rows; /* of all requests together */
    bool padded;  /* some input is */
    struct host_output *outputs;
    size_t output_count, output_capacity;
    void **copies; /* joined inputs, and those that the host makes: (tensord.input_count), malloc'd;
                      NULL: all lie in tensor memory */
    bool trial;    /* made by the host to try the engine: nobody is told */
    struct tensord_kept *kept; /* NULL: nothing of it may be kept */
    bool *ended;               /* set at the final answer, when not NULL */
    enum tensord_status status;
    /* Under host->lock. */
    bool started;
    bool cancelling; /* engine->cancel is running: do not free */
    bool finished;
};

/* A call to another model that waits for its answer. Under host->lock. */
struct host_call {
    struct list_link link;
    uint64_t id;
    void *answer; /* the record, malloc'd; NULL: not yet */
};

/* A tensor of the model that clients have otherwise, as the config says; NULL: they do not. */
struct host_shaped {
    const struct shaped_tensor *config;
    uint32_t source;               /* of a SCATTERED output: the input that says how */
    const struct padding *padding; /* of an input: how it is padded; of an output: how it is cut
                                      back; NULL: it is not */
};

/* An input that the server makes, by its index, of another. */
struct host_made {
    const struct batch_input *config;
    uint32_t index, source;
};

struct host {
    struct tensord_host tensord; /* what engines are handed; must be first */
    const struct worker_spec *spec;
    const struct model_files *files; /* NULL: they do not matter */
    const struct tensord_engine *engine;
    void *model;
    struct tensord_description description;
    uint32_t max_batch_size;
    bool joins, bounds_rows; /* as struct schema says */
    char batch_note[256];
    struct host_shaped *shaped_inputs, *shaped_outputs; /* of the description's; NULL: none is */
    struct host_made *made_inputs;                      /* in the description's order */
    size_t made_input_count;
    struct channel_fds fds;
    struct channel_shared *shared;
    char *tensors;
    uint64_t tensors_size;

    struct ring in;           /* the reader's */
    unsigned char *in_record; /* the reader's */

    _Atomic uint64_t stats_due_ns;

    pthread_mutex_t out_lock; /* of these: */
    struct ring out;
    unsigned char *out_record;
    uint64_t unwoken_bytes; /* released, and the front was not woken for it */

    pthread_mutex_t lock; /* of these: */
    pthread_cond_t may_read;
    pthread_cond_t changed;
    unsigned followers, waiters;
    bool reading;        /* a thread is the reader */
    bool stopping;       /* the front said stop, or is gone */
    struct list backlog; /* executions that wait for a slot */
    uint32_t running;    /* threads in engine->execute */
    struct list calls;
    uint64_t next_call;
    uint64_t pledged_bytes; /* that engines keep, or may keep */
    size_t live;            /* executions without a final answer */
    struct host_request *requests[CHANNEL_MAX_REQUESTS];
};

/* ---- host_wire.c: shared memory, and writing records ---- */

/* Maps the descriptors. */
bool host_wire_open(struct host *host, struct error *ret_error);
void host_wire_close(struct host *host);

/* Closes the descriptors that a worker is given; host_wire_close does. */
void host_fds_close(struct channel_fds fds);

/* Starts a record; holds host->out_lock until host_send. */
void host_record(struct host *host, struct record_writer *writer, enum record_type type);

/* Sends the record and, when `wake`, rings if the front sleeps. Waits while the ring is full. */
void host_send(struct host *host, struct record_writer *writer, bool wake);

/* Sends a record only if there is room for it now. */
void host_send_or_drop(struct host *host, struct record_writer *writer);

/* Rings if the front sleeps; with host->out_lock held. */
void host_wake_front(struct host *host);

/* ---- host_inbox.c: reading records ---- */

/* Whether the extent, which a record says, lies within the tensor memory. */
bool host_in_tensors(const struct host *host, struct extent extent);

/* As the reader: waits for a record and handles it. */
void host_read(struct host *host);

/* With host->lock held: waits until something may have changed, reading when nobody else does. */
void host_wait(struct host *host);

/* With host->lock held: gives up the reader's role. */
void host_pass_reading_on(struct host *host);

static inline struct host_execution *host_execution_of(const struct tensord_execution *tensord)
{
    return (struct host_execution *)(uintptr_t)tensord;
}

/* Whether its outputs are split, or thrown away, afterwards. */
static inline bool host_is_joined(const struct host_execution *execution)
{
    return execution->trial || execution->request_count > 1 || execution->padded;
}

/* ---- host.c: its life ---- */

/* Nothing is open yet, and nothing loaded. What is given stays the caller's, and outlives it. NULL:
 * there is no memory. */
struct host *host_new(const struct worker_spec *spec, struct channel_fds fds,
                      const struct tensord_engine *engine, const struct model_files *files);

/* Closes the channel, too; no thread is left. */
void host_free(struct host *host);

/* ---- host_execute.c: what engines call ---- */

void host_fill_calls(struct tensord_host *tensord);

/* Runs an execution of the backlog to its end (or, for an engine that schedules for itself, hands
 * it over). */
void host_execute(struct host *host, struct host_execution *execution);

/* Ends an execution that has left the backlog and is not begun: its answers would be of no use. */
void host_give_up(struct host_execution *execution);

/* The last sentence of reason() by this thread, or what the status means. */
const char *host_reason(enum tensord_status status);

void host_log_line(struct host *host, enum tensord_log_level level, struct span line);

/* Frees an execution that nobody knows any more. */
void host_execution_free(struct host_execution *execution);

/* Tells the front what memory the process and its engine use. */
void host_send_stats(struct host *host);

/* Makes room for a response of `count` outputs; each response uses the same. */
bool host_request_has_room(struct host_request *request, size_t count);

/* ---- host_output.c: what engines call for outputs; see engine.h ---- */

void *host_output(struct tensord_execution *tensord, uint32_t index, enum tensord_datatype datatype,
                  const int64_t *shape, uint32_t ndim, size_t size_bytes);
bool host_output_bytes(struct tensord_execution *tensord, uint32_t index,
                       enum tensord_datatype datatype, const int64_t *shape, uint32_t ndim,
                       const void *data, size_t size_bytes);
bool host_output_input(struct tensord_execution *tensord, uint32_t index,
                       const struct tensord_tensor *input);
void *host_output_room(struct tensord_execution *tensord, size_t size_bytes);

/* ---- host_call.c: what engines call for other models; see engine.h ---- */

bool host_call_model(struct tensord_execution *tensord, struct tensord_call *call);

/* ---- host_room.c: memory for outputs ---- */

/* Takes room for `size` bytes; asks the front for more when there is none, and waits for it. False:
 * there is none, or the request was cancelled; the reason has been said. */
bool host_room_take(struct host_execution *execution, struct host_request *request, uint64_t size,
                    struct extent *ret_extent);

/* ---- host_keep.c: memory that outlives its request ---- */

/* What engines call by these names. */
bool host_may_keep(struct host_execution *execution);
struct tensord_kept *host_keep(struct host_execution *execution);
void host_release(struct tensord_kept *kept);

/* So much more of an execution's room might be kept. False: it may not. */
bool host_may_keep_more(struct host_execution *execution, uint64_t size_bytes);

/* Whether the front has to be told that the memory of its request is kept. */
bool host_keeps(const struct host_execution *execution);

/* The final answer is out; to be called before the execution is freed. */
void host_kept_sent(struct host_execution *execution);

/* ---- host_shaping.c: what clients have otherwise than the engine ---- */

/* Finds the tensors of the config's shaping in the description. host_shaping_free frees what that
 * took, also after a failure. */
bool host_shaping_bind(struct host *host, struct error *ret_error);
void host_shaping_free(struct host *host);

/* What is other about an input; NULL: nothing. */
const struct shaped_tensor *host_shaped_input(const struct host *host, uint32_t index);

/* How an input is padded, or an output cut back; NULL: it is not. */
const struct padding *host_input_padding(const struct host *host, uint32_t index);
const struct padding *host_output_padding(const struct host *host, uint32_t index);

/* The size that a request has in the dimension of that padding. False with the reason said: it has
 * no such input. */
bool host_padded_size(const struct host_request *request, const struct padding *padding,
                      int64_t *ret_size);

/* The shape of an input in one request as the config's reshape gives it; a ragged one keeps its
 * own. False with the reason said. */
bool host_input_shape(struct host *host, uint32_t index, const struct shape *shape,
                      struct shape *ret_shape);

/* Makes one of host->made_inputs for requests in which its source has these shapes. Returns its
 * data, which is the caller's to free, or NULL with the reason said. */
void *host_make_input(struct host *host, const struct host_made *made, const struct shape *shapes,
                      size_t count, struct tensord_tensor *ret_tensor);

/* Adds all that the host makes to `inputs`, which has room for them, and their memory to the
 * execution's copies. False with the reason said. */
bool host_make_inputs(struct host_execution *execution, struct tensord_tensor *inputs);

/* Makes of the shape that the engine gave an output the one that clients see. False with the reason
 * said. */
bool host_output_shape(struct host *host, uint32_t index, struct shape *shape);

/* Whether each request gets of this output what the shape of an input says; and that shape, false
 * with the reason said. */
bool host_is_scattered(const struct host *host, uint32_t index);
bool host_scattered_shape(const struct host_request *request, uint32_t index,
                          struct shape *ret_shape);

/* ---- host_batch.c: several requests as one ---- */

/* Joins the inputs of all requests into the execution's. False with the reason said. */
bool host_batch_gather(struct host_execution *execution);

/* Splits the outputs into those of each request; where that fails the request's status says so. */
void host_batch_scatter(struct host_execution *execution);

/* The same for the outputs of the only request, which stay where they are. */
void host_batch_pass_on(struct host_execution *execution);

/* ---- host_trial.c: executions that the host makes by itself ---- */

/* One without inputs yet, with room for so many at *ret_inputs; their memory may come from its
 * arena. Freed by host_execution_free. NULL when there is no memory. */
struct host_execution *host_trial_new(struct host *host, size_t input_capacity,
                                      struct tensord_tensor **ret_inputs);

/* Runs it to its end, once, before any other. Its outputs are its own. */
enum tensord_status host_trial_run(struct host_execution *execution);

/* Small values, in a row from the seed; of BYTES, strings of one digit in five bytes each. */
void host_trial_fill(enum tensord_datatype datatype, unsigned char *data, uint64_t size,
                     uint32_t *seed);
void host_trial_fill_bytes(unsigned char *data, uint64_t size, uint32_t *seed);

/* ---- warm_up.c ---- */

/* Executes what the config asks for; host_check_batching has been called. False with a sentence:
 * the model is not to serve. */
bool host_warm_up(struct host *host, struct error *ret_error);

/* ---- batch_check.c ---- */

/* Decides host->max_batch_size and what belongs to it. May run the engine a few times. */
void host_check_batching(struct host *host);

/* True for an optional input that has no rows: requests that give it cannot be joined. */
bool host_runs_alone(const struct host *host, size_t input);

#endif
