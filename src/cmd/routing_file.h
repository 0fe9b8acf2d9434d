/* The file of weights that operators have set (serving/routing_kept.h), beside what was learned of
 * models: read at the start, written when weights are set. What cannot be read or written is said
 * and passed over. */
#ifndef TENSORD_CMD_ROUTING_FILE_H
#define TENSORD_CMD_ROUTING_FILE_H

#include "cmd/learned_file.h"

struct routing_file {
    struct serving *serving;
    const struct learned_file *beside; /* whose folder is used; outlives it */
    struct loop_work work;
    struct buf bytes; /* being written */
    bool writing;     /* on a thread, which then has the bytes */
    int failure;      /* errno of the last write; 0: it went well */
};

/* Reads the file, before the models are found, and writes it from now on. */
void routing_file_open(struct routing_file *file, struct serving *serving,
                       const struct learned_file *beside);

/* Writes what is not written yet: the loop runs no more. Blocks. */
void routing_file_close(struct routing_file *file);

#endif
