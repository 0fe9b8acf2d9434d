/* Shadows: a version of a model that gets copies of requests which another version has answered.
 * Its answers are compared with those and thrown away; what comes of it is a report.
 *
 * The request itself is never touched: the copy is made when the client has its answer, or as much
 * of it as the kernel takes; it goes to a version with memory, queue and workers of its own, at the
 * lowest priority, if that runs and has room at once. Else the request is skipped, and counted. How
 * many copies are on their way, and what they hold, is bounded. Tensors are compared on a thread.
 *
 * All calls are for the loop's thread. */
#ifndef TENSORD_SERVING_SHADOW_H
#define TENSORD_SERVING_SHADOW_H

#include "serving/shadow_report.h"

struct inference;
struct inference_answer;
struct model;
struct serving;

enum {
    SHADOW_MAX_COPIES = 32,           /* on their way, of one model */
    SHADOW_MOST_BYTES = 16 << 20,     /* inputs and outputs of a request that is copied */
    SHADOW_MOST_ALL_BYTES = 64 << 20, /* that copies hold, of all models */
    SHADOW_PATIENCE_S = 60,           /* in which it must answer */
};

/* The inference, which named no version, is about to be told its final answer. Decides whether it
 * is copied. */
void shadow_note(struct inference *inference, const struct inference_answer *answer);

/* Its memory is about to be given back: copies it, if that was decided. */
void shadow_copy(struct inference *inference);

/* The report on the model's shadow; NULL: nothing is known, or it has none. */
const struct shadow_report *shadow_report_of(const struct model *model);

/* The model goes. */
void shadow_forget(struct model *model);

/* Copies that are on their way end soon: the server is to stop. */
void shadow_cancel_all(struct serving *serving);

#endif
