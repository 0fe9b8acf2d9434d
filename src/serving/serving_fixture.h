/* The serving module without processes: real generations, replicas, queues and channels on a real
 * loop, but the spawner is a pretence and the test plays the workers, in the same thread. (Real
 * workers cannot be killed in a unit test, nor made to say just one thing at just one moment.)
 * Longer times do not pass by themselves: pass_time fires what waits for them. */
#ifndef TENSORD_SERVING_SERVING_FIXTURE_H
#define TENSORD_SERVING_SERVING_FIXTURE_H

#include "serving/generation.h"
#include "worker/errand.h"
#include "worker/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PLAYED_INPUTS = 4, PLAYED_REQUESTS = 256, FOUND_MAX = 16, MEMORY_LIMIT_BYTES = 1 << 20 };

/* A request that the played worker has been given and not answered. */
struct played_request {
    uint64_t id;
    uint64_t execution;
    struct channel_tensor input; /* the first */
    struct channel_tensor inputs[PLAYED_INPUTS];
    size_t input_count;
    struct extent grant;
    uint32_t credits; /* answers that it may give beside the last */
    bool cancelled;
};

/* A worker that the test plays. */
struct played_worker {
    struct list_link link; /* in fixture.workers, while its process lives */
    struct worker_process *process;
    char name[32];
    bool probe;
    bool killed;  /* it was, and the test has to end it */
    bool stopped; /* it was asked to end */
    bool ready;   /* it has said so */
    bool forgets; /* it answers without the state */
    int fds[4];   /* rings, tensors, to_worker, to_front */
    struct channel_shared *shared;
    struct ring in, out;
    struct played_request requests[PLAYED_REQUESTS];
    size_t request_count;
    uint64_t executed; /* the executions that it was given, in all */
    unsigned call_answers, failed_call_answers, grants, refused_grants;
    struct extent granted; /* the last */
    unsigned char *record;
    bool keeps; /* a managed server, with */
    int line;   /* its end of the line */
};

/* A version as the next scan finds it. */
struct found {
    char name[32];
    uint64_t version;
    uint64_t fingerprint;
    bool complete;
    bool python;     /* it runs on a Python */
    bool server;     /* it is a managed server: two connections, idle after a minute */
    bool three;      /* it is to have three workers */
    bool caches;     /* its answers are kept */
    bool coalesces;  /* requests that are the same are executed once */
    bool data;       /* of a known format */
    bool sequences;  /* its requests are of them; two at a worker */
    bool rows;       /* and each keeps a row of the batch */
    bool wrong;      /* its config */
    bool unreadable; /* it cannot be looked into */
};

struct fixture {
    struct loop *loop;
    struct serving serving;
    struct list workers; /* of struct played_worker that live, oldest first */
    struct list errands; /* of struct errand that run, oldest first */
    unsigned started;    /* workers, in all */
    bool refuse_start;   /* the next ones cannot be started */
    unsigned rescans;    /* asked for */
    unsigned settled;
    struct found found[FOUND_MAX];
    size_t found_count;
};

enum { FOUND_PLAN_TASK = 7, FOUND_BUILD_TASK = 8, QUESTION_BYTES = 4096 };

/* A process that plans, builds or tidies up. */
struct errand {
    struct list_link link;
    const struct errand_events *events;
    void *owner;
    unsigned task;
    char question[QUESTION_BYTES];
    bool killed;
};

/* The oldest that runs; NULL: none does. */
struct errand *fixture_errand(struct fixture *f);

/* It says a line. */
void errand_say(struct errand *errand, const char *line);

/* It ends, with status 0, or as killed when it was. */
void errand_end(struct errand *errand);

/* A client's request. */
struct client {
    struct inference inference; /* first */
    struct arena arena;
    unsigned answers, finals;
    struct error error; /* of the last answer */
    bool gone;          /* the client has left: freed with the final answer */
    int64_t rows;
};

/* Starts an empty one. */
void fixture_init(struct fixture *f, enum load_policy load);

/* Plays every worker to its end, and sees that nothing is left. */
void fixture_fini(struct fixture *f);

/* Lets the loop work off all that is there to do now. */
void fixture_turn(struct fixture *f);

/* Puts a version into the folder, or changes its files; fixture_scan finds it. Returns it. */
struct found *fixture_put(struct fixture *f, const char *name, uint64_t version);
void fixture_scan(struct fixture *f);

/* The only model's, or the named model's, version 1 and current generation. */
struct version *fixture_version(struct fixture *f, const char *name);
struct generation *fixture_generation(struct fixture *f, const char *name);

/* Fires the generation's retry timers, unless one was so short that it has fired by itself. */
void pass_time(struct fixture *f, struct generation *generation);

/* The newest live worker of the model, or NULL. */
struct played_worker *worker_of(struct fixture *f, const char *name);

/* It has loaded a model of one INT32 input "x" and one output "y" of shape (-1), joins max_rows
 * rows, and runs one execution at a time. */
void worker_ready(struct fixture *f, struct played_worker *worker, uint32_t max_rows);

/* The same, and it may answer several times. */
void worker_ready_to_stream(struct fixture *f, struct played_worker *worker);

/* It has loaded a model for sequences, whose inputs are x, the controls "start" and "ready", and
 * the state "s"; and whose outputs are y and the state "t". It joins max_rows rows. It answers a
 * request with x for both, unless it forgets the state. */
void worker_ready_for_sequences(struct fixture *f, struct played_worker *worker, uint32_t max_rows);

/* The same with an output named otherwise. */
void worker_ready_otherwise(struct fixture *f, struct played_worker *worker);

/* It says why it could not load. */
void worker_fail(struct fixture *f, struct played_worker *worker, enum tensord_status status);

/* It reads what it was sent. */
void worker_read(struct fixture *f, struct played_worker *worker);

/* It answers its oldest request: with the input, with `status` when that is not TENSORD_OK, or not
 * for the last time. It is freed from it when final. */
void worker_answer(struct fixture *f, struct played_worker *worker, enum tensord_status status,
                   bool final);

/* It ends its oldest request with an answer without outputs. */
void worker_end_answers(struct fixture *f, struct played_worker *worker);

/* It asks for room, or calls another model with its input, for its oldest request. */
void worker_need_room(struct fixture *f, struct played_worker *worker, uint64_t size);
void worker_call(struct fixture *f, struct played_worker *worker, uint64_t call, const char *model);

/* It breaks the rules. */
void worker_lie(struct fixture *f, struct played_worker *worker);

/* Its process ends; the worker is gone then. */
void worker_end(struct fixture *f, struct played_worker *worker, const char *reason);

/* A request of `rows` INT32 to a model, submitted when it could be bound; NULL when not, with
 * *ret_error. */
struct client *client_ask(struct fixture *f, const char *model, int64_t rows,
                          struct error *ret_error);

/* The same in two steps. */
struct client *client_new(struct fixture *f, const char *model, int64_t rows,
                          struct error *ret_error);
void client_submit(struct client *client);

/* A request that reserves its memory, as the APIs do: made and submitted when it has it, at once or
 * later. A refusal counts as its final answer. NULL when it could not be bound. */
struct client *client_reserve(struct fixture *f, const char *model, int64_t rows,
                              struct error *ret_error);

/* The client leaves: frees the request, now or with its final answer. */
void client_leave(struct client *client);

/* Whether it waits for memory. */
bool client_waits(const struct client *client);

/* Sees that there has been one final answer, of this code, and frees the request. */
void client_expect(struct client *client, enum error_code code);

#endif
