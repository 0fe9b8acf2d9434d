/* A root folder of a process's own, which holds its rows and nothing else: what is not in it does
 * not exist. For sandbox.c alone. */
#ifndef TENSORD_WORKER_SANDBOX_ROOT_H
#define TENSORD_WORKER_SANDBOX_ROOT_H

#include "worker/sandbox.h"

enum {
    SANDBOX_ROOT_BYTES = 4 << 20, /* of folders and links that lead to the rows */
    SANDBOX_ROOT_FILES = 4096,
    SANDBOX_FRESH_MIB = 64, /* when the share does not say */
};

/* Makes and enters it, in a process with one thread that has a mount namespace of its own and may
 * mount there. Each row is found at its own path, links that lead to it included; it can be written
 * to only if the row says so. A row without rights shows only what leads to it. A fresh folder
 * holds as much as the share says. There is a /proc, its own where the processes are. The working
 * directory is the root afterwards. Where "/" itself is a row, all stays as it is. */
bool sandbox_root_enter(const struct sandbox_path *rows, size_t count,
                        const struct sandbox_share *share, struct error *ret_error);

#endif
