/* The file of learned figures, in the state folder: read at the start, written now and then and at
 * the end. Nothing depends on it: it may be removed at any time, and what cannot be read or written
 * is said and passed over. */
#ifndef TENSORD_CMD_LEARNED_FILE_H
#define TENSORD_CMD_LEARNED_FILE_H

#include "net/loop_work.h"
#include "serving/serving.h"
#include "settings/settings.h"

#include <limits.h>

struct learned_file {
    struct serving *serving;
    char path[PATH_MAX]; /* of its folder, absolute; empty: there is none */
    int folder;          /* the same, open; -1: there is none */
    struct timer timer;
    struct loop_work work;
    struct buf bytes;  /* as last written, or being written */
    bool writing;      /* on a thread, which then has the bytes */
    int failure;       /* errno of the last write; 0: it went well */
    int told;          /* the one that was logged last */
    struct buf latest; /* what is known now */
};

/* Makes the folder in the state folder and reads the file, before the models are found. */
void learned_file_open(struct learned_file *file, struct serving *serving,
                       const struct settings *settings);

/* Writes at intervals what has changed. */
void learned_file_start(struct learned_file *file);

/* Writes it now: the loop runs no more. Blocks. */
void learned_file_close(struct learned_file *file);

#endif
