/* What this process uses of memory; see memory_use.h.
 *
 * Libraries and files that several processes have mapped count in parts (PSS), so that the sum over
 * processes is what the machine has given. The kernel keeps the largest use without such parts
 * (VmHWM): what is shared now is taken off. */
#include "worker/memory_use.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { TEXT_BYTES = 4096, KIB = 1024 };

/* The number behind "NAME:", which begins a line. False when there is no such line. */
static bool find_number(struct span text, struct span name, uint64_t *ret_bytes)
{
    while (text.data) {
        struct span line = span_split(&text, '\n');
        if (!span_starts_with(line, name))
            continue;
        struct span number = span_trim(span_after(line, name.size));
        uint64_t kib;
        if (!span_to_u64(span_split(&number, ' '), &kib) || kib > UINT64_MAX / KIB)
            return false;
        *ret_bytes = kib * KIB;
        return true;
    }
    return false;
}

bool memory_use_read(struct span rollup, struct span status, struct memory_use *ret_use)
{
    uint64_t resident, own, swapped = 0, most;
    if (!find_number(rollup, SPAN("Rss:"), &resident) || !find_number(rollup, SPAN("Pss:"), &own) ||
        !find_number(status, SPAN("VmHWM:"), &most))
        return false;
    find_number(rollup, SPAN("SwapPss:"), &swapped);
    uint64_t shared = resident > own ? resident - own : 0;
    uint64_t now = own + swapped, then = most > shared ? most - shared : 0;
    *ret_use = (struct memory_use){now, then > now ? then : now};
    return true;
}

static bool read_text(const char *path, char text[TEXT_BYTES], struct span *ret_text)
{
    size_t size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = -1;
    while (fd >= 0 && size < TEXT_BYTES) {
        got = read(fd, text + size, TEXT_BYTES - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        size += (size_t)got;
    }
    if (fd >= 0)
        close(fd);
    *ret_text = (struct span){text, size};
    return fd >= 0 && got >= 0;
}

bool memory_use_look(struct memory_use *ret_use)
{
    char rollup_text[TEXT_BYTES], status_text[TEXT_BYTES];
    struct span rollup, status;
    return read_text("/proc/self/smaps_rollup", rollup_text, &rollup) &&
           read_text("/proc/self/status", status_text, &status) &&
           memory_use_read(rollup, status, ret_use);
}
