/* What a kept process uses; see cage_watch.h.
 *
 * Memory is what nobody else has, and what no other limit bounds: anonymous pages, and files in the
 * scratch folder. A model's files can be read again, and tensors have a limit of their own. */
#include "worker/cage_watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "worker/spawn_message.h"

enum { STATUS_BYTES = 4096, OPEN_FOLDERS = 16, KIB = 1024, MIB = 1 << 20 };

/* ---- what there is ---- */

/* The number behind "NAME:\t", which begins a line of its own: a process's name cannot contain one.
 */
static uint64_t number_of(struct span line, struct span name)
{
    uint64_t number = 0;
    if (!span_starts_with(line, name))
        return 0;
    struct span rest = span_after(line, name.size);
    while (rest.size && (rest.data[0] == '\t' || rest.data[0] == ' '))
        rest = span_after(rest, 1);
    while (rest.size && rest.data[0] >= '0' && rest.data[0] <= '9' && number < UINT64_MAX / 100) {
        number = number * 10 + (uint64_t)(rest.data[0] - '0');
        rest = span_after(rest, 1);
    }
    return number;
}

void cage_usage_add(struct cage_usage *usage, struct span status)
{
    while (status.data) {
        struct span line = span_split(&status, '\n');
        usage->memory_bytes +=
            (number_of(line, SPAN("RssAnon:")) + number_of(line, SPAN("VmSwap:"))) * KIB;
        usage->pids += number_of(line, SPAN("Threads:"));
    }
}

static void add_process(struct cage_usage *usage, const char *pid)
{
    char path[64], text[STATUS_BYTES];
    snprintf(path, sizeof path, "/proc/%.20s/status", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    if (size > 0)
        cage_usage_add(usage, (struct span){text, (size_t)size});
}

/* All but the init itself, which is number 1. */
static bool add_all(struct cage_usage *usage)
{
    DIR *folder = opendir("/proc");
    if (!folder)
        return false;
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && strcmp(entry->d_name, "1") != 0)
            add_process(usage, entry->d_name);
    closedir(folder);
    return true;
}

/* Whether /proc, and with it the root folder, is that of the init's own processes: it is not,
 * before the kept process has changed the root. */
static bool has_own_proc(void)
{
    char self[16];
    ssize_t size = readlink("/proc/self", self, sizeof self);
    return size == 1 && self[0] == '1';
}

static void add_scratch(struct cage_usage *usage)
{
    struct statvfs status;
    if (statvfs("/tmp", &status) == 0 && status.f_blocks >= status.f_bfree)
        usage->memory_bytes += (uint64_t)(status.f_blocks - status.f_bfree) * status.f_frsize;
}

static struct cage_usage *counted; /* nftw knows no context; an init has one thread */

static int add_file(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    counted->disk_bytes += (uint64_t)status->st_blocks * 512;
    return ++counted->files > SANDBOX_SCRATCH_FILES; /* enough has been seen */
}

bool cage_usage_look(const struct sandbox_share *share, pid_t kept, struct cage_usage *ret_usage)
{
    char pid[16];
    *ret_usage = (struct cage_usage){0};
    if (share->scratch) {
        counted = ret_usage;
        nftw(share->scratch, add_file, OPEN_FOLDERS, FTW_PHYS | FTW_MOUNT);
    }
    if (!(share->own & SANDBOX_OWN_PROCESSES)) {
        snprintf(pid, sizeof pid, "%d", (int)kept);
        add_process(ret_usage, pid);
        return true;
    }
    if (!has_own_proc() || !add_all(ret_usage))
        return false;
    if (share->own & SANDBOX_OWN_ROOT)
        add_scratch(ret_usage);
    return true;
}

/* ---- what there may be ---- */

bool cage_usage_exceeds(const struct cage_usage *usage, const struct process_limits *limits,
                        char *text, size_t size)
{
    if (limits->memory_mib && usage->memory_bytes > (uint64_t)limits->memory_mib * MIB) {
        snprintf(text, size,
                 SPAWN_USED_MEMORY
                 "%llu MiB of memory, its limit is %u MiB: set sandbox.memory_mib "
                 "in its model.yaml, or --worker-memory-mib",
                 (unsigned long long)(usage->memory_bytes / MIB), limits->memory_mib);
        return true;
    }
    if (limits->scratch_mib && usage->disk_bytes > (uint64_t)limits->scratch_mib * MIB) {
        snprintf(text, size,
                 "it had written %llu MiB to its scratch folder, its limit is %u MiB: set "
                 "sandbox.scratch_mib in its model.yaml, or --worker-scratch-mib",
                 (unsigned long long)(usage->disk_bytes / MIB), limits->scratch_mib);
        return true;
    }
    if (usage->files > SANDBOX_SCRATCH_FILES) {
        snprintf(text, size, "its scratch folder held more files than its limit is, %d",
                 SANDBOX_SCRATCH_FILES);
        return true;
    }
    if (limits->pids && usage->pids > limits->pids) {
        snprintf(text, size,
                 "it had %llu threads and processes, its limit is %u: set sandbox.pids in its "
                 "model.yaml, or --worker-pids",
                 (unsigned long long)usage->pids, limits->pids);
        return true;
    }
    return false;
}
