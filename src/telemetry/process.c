/* The process and the machine; see process.h. */
#include "telemetry/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILE_BYTES = 8192 };

/* The start of a file as a string; empty when it cannot be read. */
static const char *read_start(const char *path, char text[FILE_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, text, FILE_BYTES - 1);
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

/* Takes the next decimal number off a text; false when there is none. */
static bool take_number(const char **at, uint64_t *ret_number)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(*at, &end, 10);
    if (end == *at || errno)
        return false;
    *at = end;
    *ret_number = number;
    return true;
}

void process_init(struct server_metrics *server)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    server->process_start_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    server->build_info = 1;
}

static void measure_memory(struct server_metrics *server)
{
    char text[FILE_BYTES];
    const char *at = read_start("/proc/self/statm", text);
    uint64_t total, resident, page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (!take_number(&at, &total) || !take_number(&at, &resident))
        return;
    server->virtual_bytes = total * page;
    server->resident_bytes = resident * page;
}

static void measure_cpu(struct server_metrics *server)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return;
    uint64_t us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                  (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    server->process_cpu_ns = us * 1000;
}

/* From Linux 6.2 on the folder's size says how many there are; before, they are counted. */
static uint64_t count_fds(void)
{
    struct stat status;
    uint64_t count = 0;
    if (stat("/proc/self/fd", &status) == 0 && status.st_size > 0)
        return (uint64_t)status.st_size;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return 0;
    for (const struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count - 1; /* the folder's own */
}

static void measure_fds(struct server_metrics *server)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        server->max_fds = limit.rlim_cur;
    server->open_fds = count_fds();
}

/* The number behind a name of /proc/meminfo, in bytes. */
static uint64_t memory_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    uint64_t kib;
    if (!at)
        return 0;
    at += strlen(name);
    at += *at == ':';
    if (!take_number(&at, &kib))
        return 0;
    return kib * 1024;
}

static void measure_machine_memory(struct server_metrics *server)
{
    char text[FILE_BYTES];
    uint64_t total = memory_of(read_start("/proc/meminfo", text), "MemTotal");
    uint64_t available = memory_of(text, "MemAvailable");
    if (!total || available > total)
        return;
    server->machine_memory_bytes = total;
    server->machine_memory_used_bytes = total - available;
}

/* The machine's CPU time since it started, in ticks, by the first line of /proc/stat: user, nice,
 * system, idle, iowait, irq, softirq, steal. */
static void measure_machine_cpu(struct server_metrics *server)
{
    static uint64_t total_before, idle_before;
    char text[FILE_BYTES];
    const char *at = read_start("/proc/stat", text);
    uint64_t total = 0, idle = 0, ticks;
    if (strncmp(at, "cpu ", 4) != 0)
        return;
    at += 4;
    for (int i = 0; i < 8; i++) {
        if (!take_number(&at, &ticks))
            return;
        total += ticks;
        idle += i == 3 || i == 4 ? ticks : 0;
    }
    if (total > total_before && idle >= idle_before && total - total_before >= idle - idle_before)
        server->machine_busy_permille = 1000 - (idle - idle_before) * 1000 / (total - total_before);
    total_before = total;
    idle_before = idle;
}

void process_measure(struct server_metrics *server)
{
    measure_memory(server);
    measure_cpu(server);
    measure_fds(server);
    measure_machine_memory(server);
    measure_machine_cpu(server);
}
