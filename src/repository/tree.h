/* Walking a model's files: what they weigh, and a fingerprint that differs when anything changed.
 */
#ifndef TENSORD_REPOSITORY_TREE_H
#define TENSORD_REPOSITORY_TREE_H

#include "base/error.h"

/* What was seen of some files and folders. */
struct tree_summary {
    uint64_t fingerprint; /* of names, sizes, times and inodes */
    uint64_t size_bytes;  /* of the files */
    uint64_t changed_ns;  /* when the newest of them changed, CLOCK_REALTIME */
};

/* Starts a summary of nothing. */
void tree_summary_init(struct tree_summary *summary);

/* Adds a file, or a folder and all beneath it. Links are followed, once; depth and number of
 * entries are bounded. False when something cannot be read or there is too much of it. */
bool tree_add(struct tree_summary *summary, const char *path, struct error *ret_error);

#endif
