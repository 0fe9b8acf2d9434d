/* The gate: the one place where it is decided who may make a call, for every route, method and
 * protocol. api.c finds the call's route, then asks the gate, then serves; nothing else reaches a
 * route.
 *
 * Four questions, in this order: does the server answer for the name that it is called by (Host;
 * DNS rebinding), does a web page of another site ask (Origin), who asks (tokens, the unix socket's
 * peer), and may that caller do this now (scope, quotas). Which models it may see is asked by
 * call_model and call_next_model, the only ways to a model. */
#ifndef TENSORD_API_GATE_H
#define TENSORD_API_GATE_H

#include "api/audit.h"
#include "auth/scope.h"
#include "auth/site.h"
#include "auth/token_table.h"

#include <sys/types.h>

struct api_call;

/* What the gate knows; for the loop's thread. */
struct gate {
    struct site site;
    struct token_table tokens;
    uid_t owner;            /* whose server it is: admin over a unix socket, like root */
    unsigned local_scopes;  /* of who comes over loopback and shows no token */
    unsigned remote_scopes; /* of everybody else who shows none */
    struct audit audit;
    struct span forwarded; /* the fields that models are told of (forwarded.h), with commas */
};

enum gate_answer {
    GATE_OPEN,      /* the call may go on */
    GATE_CLOSED,    /* it is to be answered with the error */
    GATE_PREFLIGHT, /* a browser asks whether a page may: answer with no content; the fields for it
                     * are with the exchange already */
};

/* Decides on a call. `scope` is its route's, or SCOPE_READ when there is none: that something is
 * not there is for those to know who may look. Fills the call's caller, scopes and token, and the
 * exchange's reply_fields (CORS, WWW-Authenticate, Retry-After). Errors: MISDIRECTED,
 * PERMISSION_DENIED, UNAUTHENTICATED, INVALID_ARGUMENT, RESOURCE_EXHAUSTED. */
enum gate_answer gate_ask(struct gate *gate, struct api_call *call, enum scope scope,
                          struct error *ret_error);

/* For calls that may go on for as long as they like: whether their token would still be let in. Not
 * when it was revoked, has expired, or has lost its scope (which is the route's) or the call's
 * model since. */
bool gate_holds(const struct gate *gate, const struct api_call *call, enum scope scope,
                struct error *ret_error);

/* For calls that carry one request after the other: asks for one more, which counts among those of
 * the token until gate_give_back. What gate_ask has taken is for the first. A token that gate_holds
 * no longer is refused. */
bool gate_take(struct gate *gate, struct api_call *call, enum scope scope, struct error *ret_error);
void gate_give_back(struct api_call *call);

/* The call is over, however it ended: its place among those that run at once is free. May be called
 * for a call that the gate never let in. */
void gate_leave(struct api_call *call);

#endif
