/* Which files a GPU is, so that a process can be given that one and no other. Pure, but for the
 * question whether a file is there. */
#ifndef TENSORD_WORKER_GPU_H
#define TENSORD_WORKER_GPU_H

#include "worker/sandbox.h"

enum { GPU_MAX_ROWS = 8 + PROCESS_MAX_GPUS, GPU_PATH_BYTES = 32 };

/* The rows, and the names that they point to. */
struct gpu_rows {
    size_t count;
    struct sandbox_path rows[GPU_MAX_ROWS];
    char names[PROCESS_MAX_GPUS][GPU_PATH_BYTES];
};

/* Fills in what a process needs that may use the GPUs whose bits are set, numbered as the driver
 * numbers them; nothing for 0. `exists` says whose driver is here. */
void gpu_find(uint32_t gpus, bool (*exists)(const char *path), struct gpu_rows *ret_rows);

/* Whether the path is there, for gpu_find. */
bool gpu_file_exists(const char *path);

#endif
