/* Whole files; see file_bytes.h. */
#include "base/file_bytes.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_bytes_read(int fd, size_t limit_bytes, struct arena *arena, struct span *ret_bytes)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || (uint64_t)status.st_size > limit_bytes)
        return false;
    size_t size = (size_t)status.st_size, done = 0;
    char *bytes = arena_alloc(arena, size + 1);
    while (bytes && done < size) {
        ssize_t count = pread(fd, bytes + done, size - done, (off_t)done);
        if (count == 0 || (count < 0 && errno != EINTR))
            return false;
        done += count > 0 ? (size_t)count : 0;
    }
    if (!bytes)
        return false;
    bytes[size] = '\0';
    *ret_bytes = (struct span){bytes, size};
    return true;
}

bool file_bytes_write(int fd, struct span bytes)
{
    size_t done = 0;
    if (ftruncate(fd, 0) != 0)
        return false;
    while (done < bytes.size) {
        ssize_t size = pwrite(fd, bytes.data + done, bytes.size - done, (off_t)done);
        if (size < 0 && errno != EINTR)
            return false;
        done += size > 0 ? (size_t)size : 0;
    }
    return true;
}
