/* What a process may use of the machine. */
#ifndef TENSORD_BASE_PROCESS_LIMITS_H
#define TENSORD_BASE_PROCESS_LIMITS_H

#include "base/cpu_list.h"

enum { PROCESS_MAX_GPUS = 32 }; /* numbers from 0 on */

/* 0: not said. */
struct process_limits {
    uint32_t memory_mib; /* of its own, what it has written to scratch folders in memory included */
    uint32_t scratch_mib; /* that its scratch folder holds */
    uint32_t pids;        /* threads and processes */
    uint32_t cpu_percent; /* of one processor: 250 is two and a half */
    uint32_t gpus;        /* bit N: it may use the GPU with number N */
    uint32_t only_gpu;    /* 1 + the number of the one GPU that CUDA is to show it */
    struct cpu_list cpus; /* that it runs on; none: on those of the server */
};

#endif
