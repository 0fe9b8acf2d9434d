/* A call: an exchange on its way through one route of the API.
 *
 * It lives in the exchange's arena. Most routes want the whole body: their calls collect it and are
 * then served. A route with a `begin` of its own takes the exchange over (infer, whose tensors go
 * straight to where they stay). */
#ifndef TENSORD_API_CALL_H
#define TENSORD_API_CALL_H

#include "api/api.h"
#include "auth/scope.h"
#include "auth/token_table.h"
#include "base/buf.h"
#include "base/caller.h"
#include "protocol/message_memory.h"

struct api_call;

/* A row of the table of routes (routes.c). */
struct route {
    enum http_method method;
    const char *path; /* "/v2/models/{model}/infer": a segment in braces matches any one segment,
                         or its front, "{model}:predict", {sha256} any of that length, {path} at
                         the end all that follows */
    enum scope scope;
    void (*serve)(struct api_call *call); /* the body is in call->body */
    void (*begin)(
        struct api_call *call); /* instead of serve, before the body; sets exchange->handler */
};

struct api_call {
    struct api *api;
    struct http_exchange *exchange;
    const struct route *route;
    struct caller caller;        /* who makes it; the gate's finding, like the next three */
    unsigned scopes;             /* that the caller has */
    struct token *token;         /* held until the call closes; NULL: the caller showed none */
    bool admitted;               /* it counts among those of the token that run */
    struct span model;           /* from the path; data NULL when it has none */
    struct span version;         /* likewise, as written */
    struct span sha256;          /* likewise */
    struct span region;          /* likewise, of shared memory */
    struct span rest;            /* of the path, behind the model: empty, or from its slash on */
    struct buf body;             /* as far as it was collected */
    struct buf reply;            /* the body of the answer; freed when the exchange has closed */
    struct coded_body *coded;    /* the body, when it comes compressed (coding.h); or NULL */
    struct buf compressed;       /* the body of the answer, when it goes out so */
    struct buf classes;          /* in the place of outputs (classify.h) */
    void *detail;                /* the protocol's own: struct infer_call, struct grpc_state */
    struct inference *inference; /* once it was submitted; NULL: it makes none */
    void *waiting;               /* what the call waits for, struct load_call, struct region_call */
    void (*closed)(struct api_call *call); /* stops the waiting when the exchange has closed; NULL:
                                              nothing waits */
};

/* Starts a call in the exchange's arena; the exchange's state becomes the call. NULL when there is
 * no memory; the exchange has then been answered. */
struct api_call *call_new(struct api *api, struct http_exchange *exchange);

/* Collects the body, up to limit_bytes, then calls route->serve. */
void call_collect(struct api_call *call, size_t limit_bytes);

/* Room for collecting the next part of the body in call->body, which gets total_bytes in all
 * (UINT64_MAX: not known). */
struct room call_body_room(struct api_call *call, uint64_t total_bytes);

/* Why there was no room: the body, called `what`, is longer than allowed, or there is no memory. */
void call_body_error(const struct api_call *call, uint64_t total_bytes, const char *what,
                     struct error *ret_error);

/* The call of an exchange that call_new made. */
static inline struct api_call *call_of(const struct http_exchange *exchange)
{
    return exchange->state;
}

/* Frees the call's buffers; for handlers' `closed`. */
void call_close(struct api_call *call);

/* Does nothing: for handlers that have nothing to do when output was drained. */
void call_drained(struct http_exchange *exchange);

/* Drop what still comes of a body: for handlers that want none. */
struct room call_drop_room(struct http_exchange *exchange);
void call_drop_received(struct http_exchange *exchange, size_t count);
void call_drop_end(struct http_exchange *exchange);

/* Drops the rest of a body: an exchange that has been answered goes on with this handler. */
extern const struct http_handler call_drop_handler;

/* The model of that name. One that the caller's token may not use does not exist for it: NULL with
 * the same sentence. Nothing in src/api comes to a model but by this and the next two. */
struct model *call_model(const struct api_call *call, struct span name, struct error *ret_error);

/* Whether the caller's token is for a model of that name, be it there or not. */
bool call_may_use(const struct api_call *call, struct span name);

/* Visits the models that the caller may see; starts with *position 0. NULL at the end. */
const struct model *call_next_model(const struct api_call *call, size_t *position);

/* The name of the header or parameter by which the model that the call names routes requests; empty
 * when there is no such model, or the call names a version. */
struct span call_sticky(const struct api_call *call);

/* The version that answers the call's request: the one that it names, or the one whose turn it is.
 * parameter: of that name, empty when the request has none; a header goes before. NULL as
 * call_version. */
struct version *call_route(const struct api_call *call, struct span parameter,
                           struct error *ret_error);

/* Binds an inference of the call's to that version; lists made for it come from arena. */
bool call_inference(const struct api_call *call, struct inference *inference, struct span parameter,
                    struct arena *arena, struct error *ret_error);

/* The version that the call's path names, or the one that stands for its model; NULL after
 * *ret_error was filled: NOT_FOUND, or INVALID_ARGUMENT for a version that is no number. */
struct version *call_version(const struct api_call *call, struct error *ret_error);

/* ---- answers ---- */

/* Answers with call->reply as JSON. */
void reply_json(struct api_call *call, unsigned status);

/* Answers with an empty body. */
void reply_empty(struct api_call *call, unsigned status);

/* Adds a field to the answer; without memory, or a value, it is left out. */
void call_add_field(struct api_call *call, struct span name, const char *value);

/* Answers {"error":"…"} with the status of the error's code. */
void reply_error(struct api_call *call, const struct error *error);

/* Answers an exchange that has no call. */
void reply_error_to(struct http_exchange *exchange, const struct error *error);

#endif
