/* Rows for the sandbox that are put together in a child of the spawner, which is another program
 * soon after: what is allocated for them stays until then. For spawner*.c and warden.c alone. */
#ifndef TENSORD_WORKER_SPAWNER_ROWS_H
#define TENSORD_WORKER_SPAWNER_ROWS_H

#include "worker/sandbox.h"
#include "worker/spawner_python.h"

enum { SPAWNER_MAX_ROWS = 160 };

struct spawner_rows {
    struct sandbox_path items[SPAWNER_MAX_ROWS];
    size_t count;
};

/* Adds an absolute path, which stays the caller's; nothing for any other. */
void spawner_rows_add(struct spawner_rows *rows, const char *path, unsigned rights);

/* Adds folder/name; nothing when folder is NULL. */
void spawner_rows_add_joined(struct spawner_rows *rows, const char *folder, const char *name,
                             unsigned rights);

/* Adds the folders of PATH, to be read and executed. */
void spawner_rows_add_programs(struct spawner_rows *rows);

/* Adds an interpreter, to be read and executed, and our package. */
void spawner_rows_add_python(struct spawner_rows *rows, const struct spawner_options *options,
                             const struct spawner_python *python);

#endif
