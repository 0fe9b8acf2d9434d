/* Which version of a model answers a request that names none: the decision is schedule/rollout.h's,
 * on what the model's config says and what its operator has set since. Loop's thread. */
#ifndef TENSORD_SERVING_ROUTING_H
#define TENSORD_SERVING_ROUTING_H

#include "base/error.h"
#include "schedule/rollout.h"

struct inference;
struct model;
struct version;

/* Of a model. Zeroed at first. */
struct routing {
    struct rollout config; /* as last read; all zero: it says nothing */
    struct rollout now;    /* the same, or with the weights that were set */
    bool read;             /* the config was */
    bool set;              /* by the operator; until the config's rollout changes */
    struct rollout_turns turns;
    uint64_t missing; /* bit i: the version of now.weights[i] is not there, which was said */
};

/* What the model's config says, as the files lie now; NULL: nothing. If that is news, what was set
 * is void. No request is touched, and nothing is loaded. */
void routing_configure(struct model *model, const struct rollout *rollout);

/* Sets the weights, from the next request on; they are kept over restarts. False with a sentence
 * when they are wrong, or one above 0 is of a version that the model has not. */
bool routing_set(struct model *model, const struct rollout_weight *weights, size_t count,
                 struct error *ret_error);

/* Goes back to what the config says. */
void routing_reset(struct model *model);

/* The model has gone from the repository: what was set is void. */
void routing_forget(struct model *model);

/* After a scan: says when weights are those of versions that are not there. */
void routing_check(struct model *model);

/* The version that answers a request whose key is this; an empty key is none. When that cannot, the
 * others do; when none can, the one that should, to say why. NULL with an error: there is none. */
struct version *routing_request(struct model *model, struct span key, struct error *ret_error);

/* The same for a request that an inference makes: the key is its client's. */
struct version *routing_nested(struct model *model, const struct inference *parent,
                               struct error *ret_error);

/* The version that stands for the model where no request is answered, as for metadata. NULL with an
 * error: there is none. */
struct version *routing_primary(const struct model *model, struct error *ret_error);

/* The name of the header or parameter that has the key; empty: keys are not looked at. */
struct span routing_sticky(const struct model *model);

/* Where a version's requests come from: its share of those that name none, 0 to 1, as weights are
 * now. */
double routing_share(const struct model *model, const struct version *version);

#endif
