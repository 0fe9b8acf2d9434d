/* What is asked of the process that looks at the repository, and what it answers, as bytes. The
 * process has read config files, which anybody may have written: its answer is checked like
 * anything from outside. Pure. */
#ifndef TENSORD_REPOSITORY_SCAN_BYTES_H
#define TENSORD_REPOSITORY_SCAN_BYTES_H

#include "base/buf.h"
#include "repository/repository.h"

enum {
    SCAN_MAX_BYTES = 256 << 20,
    SCAN_MAX_RENAMED = 64, /* names */
    SCAN_QUESTION_MAX_BYTES =
        (1 << 20) + REPOSITORY_MAX_OVERRIDES * (REPOSITORY_OVERRIDE_MAX_BYTES + 8192),
};

/* The question. */
struct scan_question {
    struct span renamed_in[SCAN_MAX_RENAMED]; /* names of entries that were moved in whole */
    size_t renamed_count;
    struct repository_override overrides[REPOSITORY_MAX_OVERRIDES];
    size_t override_count;
};

void scan_question_write(const struct scan_question *question, struct buf *buf);

/* Reads a question; strings are views of `bytes`. False when it is none. */
bool scan_question_read(struct span bytes, struct scan_question *ret_question);

/* The answer: a scan, or why there is none. */
void scan_answer_write(const struct repository_scan *scan, struct buf *buf);
void scan_answer_write_error(const struct error *error, struct buf *buf);

/* Reads an answer into *scan, whose arena the caller has started and ends; strings are views of
 * `bytes`, which must live as long. False with the error of the answer, or INTERNAL when it is
 * none.
 */
bool scan_answer_read(struct span bytes, struct repository_scan *scan, struct error *ret_error);

#endif
