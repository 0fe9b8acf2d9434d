/* A visit: one request to a managed server, from its head to the end of its answer. What an
 * inference is to other models.
 *
 * Life: visit_init binds it to a generation of a model version; visit_submit waits for a connection
 * to its server, which is started if it does not run; `given` hands that over, or `refused` says
 * why there is none; visit_fini ends it at any time. All calls are for the loop's thread. */
#ifndef TENSORD_SERVING_VISIT_H
#define TENSORD_SERVING_VISIT_H

#include "base/error.h"
#include "base/list.h"
#include "base/server_config.h"
#include "net/loop.h"

struct conn;
struct generation;
struct version;

/* How a visit has ended. */
enum visit_end {
    VISIT_ANSWERED, /* well, or with what is the client's mistake */
    VISIT_FAILED,   /* by the server */
    VISIT_LEFT,     /* by the client */
};

struct visit {
    /* Set by the caller before visit_submit; called in a later turn, one of them and once. */
    void (*given)(struct visit *visit, struct conn *conn, bool used);
    void (*refused)(struct visit *visit, const struct error *error);
    /* Set before visit_ask_why: the server has ended, and why; NULL: it seems to live. */
    void (*told)(struct visit *visit, const char *why);

    /* The serving module's own. */
    struct generation *generation; /* NULL: not bound */
    struct list_link link;         /* among those that wait, or ask */
    struct loop_task refusal;
    struct timer patience; /* of one that asks */
    struct error error;
    uint64_t submitted_ns, given_ns; /* monotonic; 0: not yet */
    bool lent;                       /* it has a connection */
    bool asks;                       /* why the server has ended */
    bool was_refused;
};

/* Binds a visit to the version's current generation. False when that is no managed server
 * (UNIMPLEMENTED), cannot serve (UNAVAILABLE with the reason), or the server takes no more
 * requests.
 */
bool visit_init(struct visit *visit, struct version *version, struct error *ret_error);

/* Waits for a connection. `given` may tell of one that was used before (used), which its server may
 * be closing just now. */
void visit_submit(struct visit *visit);

/* Gives the connection back, which nobody owns any more: NULL, when it is gone; with `reusable`,
 * another visit may have it. May be followed by another visit_submit. */
void visit_return(struct visit *visit, struct conn *conn, bool reusable);

/* Asks why the connection, which was given back, broke off: `told` says so in a later turn, within
 * a second, as it may take a moment until it is known that the server has ended. */
void visit_ask_why(struct visit *visit);

/* Ends the visit, whatever it has come to; a connection was given back. Does nothing when it is not
 * bound. */
void visit_fini(struct visit *visit, enum visit_end end);

/* What the config says of the server. */
const struct server_config *visit_config(const struct visit *visit);

/* ---- for server_pool.c and generation_queue.c ---- */

void visit_give(struct visit *visit, struct conn *conn, bool used);

/* Tells one that asks. It is in no list after that. */
void visit_tell_why(struct visit *visit, const char *why);

/* Tells that it is refused, at the end of this turn. It is in no list. */
void visit_refuse(struct visit *visit, const struct error *error);

#endif
