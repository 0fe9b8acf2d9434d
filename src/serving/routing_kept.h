/* Weights that operators have set, kept over restarts: a bounded table and its text, which is JSON.
 * Weights belong to a model and to what its config said of its rollout when they were set; once
 * that says otherwise, they are void. */
#ifndef TENSORD_SERVING_ROUTING_KEPT_H
#define TENSORD_SERVING_ROUTING_KEPT_H

#include "base/buf.h"
#include "base/error.h"
#include "base/map.h"
#include "schedule/rollout.h"

enum { ROUTING_KEPT_MAX = 1024, ROUTING_KEPT_BYTES = 1 << 20 };

struct routing_kept {
    struct map by_model; /* name → struct kept_weights */
    bool changed;        /* since whoever writes it has looked */
};

void routing_kept_init(struct routing_kept *kept);
void routing_kept_fini(struct routing_kept *kept);

/* Keeps the weights of `now`, as set while the config said `config`. Without memory or room nothing
 * is kept of this model. */
void routing_kept_put(struct routing_kept *kept, struct span model, const struct rollout *config,
                      const struct rollout *now);

/* Nothing is set of this model any more. */
void routing_kept_remove(struct routing_kept *kept, struct span model);

/* Puts the weights that are kept of the model into *rollout, which is what its config says. False:
 * there are none, or none for this config. */
bool routing_kept_recall(const struct routing_kept *kept, struct span model,
                         struct rollout *rollout);

/* Appends the table's text. */
void routing_kept_write(const struct routing_kept *kept, struct buf *buf);

/* Fills an empty table. False, with a sentence and the table as far as it was read, when the text
 * is damaged. */
bool routing_kept_read(struct routing_kept *kept, struct span text, struct error *ret_error);

#endif
