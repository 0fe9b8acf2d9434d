/* The machine's memory, as far as it is ours; see machine.h. */
#include "base/machine.h"

#include "base/span.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum { TEXT_BYTES = 4096 };

static struct span read_text(const char *path, char text[TEXT_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, TEXT_BYTES);
    if (fd >= 0)
        close(fd);
    return (struct span){text, size > 0 ? (size_t)size : 0};
}

/* "max", or what cannot be read, is no limit. */
static uint64_t limit_at(const char *root, struct span group, const char *file)
{
    char path[PATH_MAX], text[TEXT_BYTES];
    uint64_t limit;
    int size = snprintf(path, sizeof path, "%s%.*s/%s", root, SPAN_ARGS(group), file);
    if (size < 0 || (size_t)size >= sizeof path)
        return UINT64_MAX;
    struct span found = read_text(path, text);
    return span_to_u64(span_split(&found, '\n'), &limit) ? limit : UINT64_MAX;
}

static uint64_t least_upwards(const char *root, struct span group, const char *file)
{
    uint64_t least = UINT64_MAX;
    for (;;) {
        uint64_t limit = limit_at(root, group, file);
        least = limit < least ? limit : least;
        if (!group.size)
            return least;
        while (group.size && group.data[group.size - 1] != '/')
            group.size--;
        group.size -= group.size > 0; /* the slash */
    }
}

/* A line is NUMBER:CONTROLLERS:PATH; version 2 has no controllers there. A container sees its own
 * group as the root, whatever the path says: then what is not found is passed over. */
uint64_t machine_cgroup_bytes(const char *root, const char *groups)
{
    struct span text = span_of(groups);
    uint64_t least = UINT64_MAX;
    while (text.data) {
        struct span line = span_split(&text, '\n');
        span_split(&line, ':');
        struct span controllers = span_split(&line, ':');
        uint64_t limit = UINT64_MAX;
        char below[PATH_MAX];
        if (line.data && !controllers.size)
            limit = least_upwards(root, line, "memory.max");
        else if (line.data && span_equal(controllers, SPAN("memory"))) {
            snprintf(below, sizeof below, "%s/memory", root);
            limit = least_upwards(below, line, "memory.limit_in_bytes");
        }
        least = limit < least ? limit : least;
    }
    return least;
}

uint64_t machine_memory_bytes(void)
{
    char text[TEXT_BYTES + 1];
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    text[read_text("/proc/self/cgroup", text).size] = '\0';
    uint64_t group = machine_cgroup_bytes("/sys/fs/cgroup", text);
    return group < machine ? group : machine;
}
