/* What was learned of models, kept between runs of the server: a bounded table of learners' points
 * and of the memory that models take, and its bytes. Figures belong to one state of one version's
 * files on one kind of machine; of anything else nothing is known. Pure, but for memory. */
#ifndef TENSORD_SCHEDULE_LEARNED_H
#define TENSORD_SCHEDULE_LEARNED_H

#include "base/buf.h"
#include "base/error.h"
#include "schedule/learner.h"
#include "schedule/residency.h"

enum {
    LEARNED_MAX = 1024, /* two of each model; then the one that was used longest ago is forgotten */
    LEARNED_FILE_BYTES = 2 << 20,
};

/* What figures are of. All of it must be the same again. */
struct learned_subject {
    struct span model;
    uint64_t version;
    uint64_t fingerprint; /* of its files and config */
    uint64_t processors;  /* of the machine */
    uint64_t threads;     /* of an execution, as the settings say */
};

struct learned_entry {
    uint64_t key; /* of its subject, and of what the model allows */
    size_t count;
    struct learner_point points[LEARNER_POINTS];
    struct residency_figures memory; /* of an entry without points */
};

/* All zero: empty. */
struct learned {
    struct learned_entry *entries; /* the one that was used longest ago first */
    size_t count, capacity;
};

void learned_fini(struct learned *learned);

/* Keeps what the learner knows. Does nothing when that is nothing, or there is no memory. */
void learned_keep(struct learned *learned, const struct learned_subject *subject,
                  const struct learner *learner);

/* Tells a learner that knows nothing what was kept. False: there is nothing. */
bool learned_recall(struct learned *learned, const struct learned_subject *subject,
                    struct learner *learner);

/* The same for the memory that its workers take. */
void learned_keep_memory(struct learned *learned, const struct learned_subject *subject,
                         const struct residency_figures *figures);
bool learned_recall_memory(struct learned *learned, const struct learned_subject *subject,
                           struct residency_figures *ret_figures);

/* Appends the table's bytes. */
void learned_write(const struct learned *learned, struct buf *buf);

/* Fills an empty table. False, and it stays empty, when the bytes are damaged or of another
 * version of the layout. */
bool learned_read(struct learned *learned, struct span bytes, struct error *ret_error);

#endif
