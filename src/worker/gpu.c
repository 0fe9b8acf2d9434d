/* Drivers of GPUs and their device files; see gpu.h. The first driver of the table that is here is
 * meant: a machine with NVIDIA's has render nodes of other graphics beside it. */
#include "worker/gpu.h"

#include <stdio.h>
#include <unistd.h>

enum { MAX_SHARED = 7 };

static const struct driver {
    const char *sign;                   /* it is here */
    const char *device;                 /* of GPU number N, without the number */
    unsigned first;                     /* number of GPU 0 in that name */
    const char *shared[MAX_SHARED + 1]; /* devices that all its GPUs need */
    const char *facts[2];               /* what its library reads of it */
} drivers[] = {
    {"/dev/nvidiactl",
     "/dev/nvidia",
     0,
     {"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"},
     {"/proc/driver/nvidia", "/sys/module/nvidia"}},
    {"/dev/kfd", "/dev/dri/renderD", 128, {"/dev/kfd"}, {"/sys/class/kfd", "/sys/module/amdgpu"}},
    {"/dev/dri", "/dev/dri/renderD", 128, {NULL}, {"/sys/class/drm", NULL}},
};

static void add(struct gpu_rows *rows, const char *path, unsigned rights)
{
    rows->rows[rows->count++] = (struct sandbox_path){path, rights};
}

static void add_driver(const struct driver *driver, uint32_t gpus, struct gpu_rows *rows)
{
    const unsigned use = SANDBOX_READ | SANDBOX_WRITE | SANDBOX_DEVICE;
    for (size_t i = 0; driver->shared[i]; i++)
        add(rows, driver->shared[i], use);
    for (size_t i = 0; i < 2 && driver->facts[i]; i++)
        add(rows, driver->facts[i], SANDBOX_READ);
    for (unsigned i = 0; i < PROCESS_MAX_GPUS; i++) {
        if (!(gpus & UINT32_C(1) << i))
            continue;
        snprintf(rows->names[i], GPU_PATH_BYTES, "%s%u", driver->device, driver->first + i);
        add(rows, rows->names[i], use);
    }
}

void gpu_find(uint32_t gpus, bool (*exists)(const char *path), struct gpu_rows *ret_rows)
{
    ret_rows->count = 0;
    for (size_t i = 0; gpus && i < sizeof drivers / sizeof *drivers; i++) {
        if (exists(drivers[i].sign)) {
            add_driver(&drivers[i], gpus, ret_rows);
            return;
        }
    }
}

bool gpu_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}
