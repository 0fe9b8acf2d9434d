/* A worker_spec in a file; see spec_map.h. */
#include "worker/spec_map.h"

#include <sys/mman.h>
#include <sys/stat.h>

bool spec_map_read(int fd, struct arena *arena, struct worker_spec *ret_spec,
                   struct error *ret_error)
{
    struct stat status;
    if (fstat(fd, &status) < 0 || status.st_size <= 0 || status.st_size > WORKER_SPEC_MAX_BYTES)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "no worker's specification");
    size_t size = (size_t)status.st_size;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return error_no_memory(ret_error);
    return worker_spec_read((struct span){bytes, size}, arena, ret_spec, ret_error);
}
