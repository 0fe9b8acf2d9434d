/* What a kept process uses; see cage_watch.h.
 *
 * Memory is what nobody else has, and what no other limit bounds: anonymous pages, and files in the
 * scratch folder. A model's files can be read again, and tensors have a limit of their own. A
 * managed server has no tensors, but shares memory between its processes: that counts, once. */
#include "worker/cage_watch.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "worker/cage_tree.h"
#include "worker/spawn_message.h"

enum { TEXT_BYTES = 4096, OPEN_FOLDERS = 16, KIB = 1024, MIB = 1 << 20 };

/* ---- one process ---- */

/* The number behind "NAME:" and blanks, which begin a line: a process's name cannot contain one. */
static uint64_t number_of(struct span line, struct span name)
{
    uint64_t number = 0;
    if (!span_starts_with(line, name))
        return 0;
    struct span rest = span_after(line, name.size);
    /* -Wanalyzer-null-dereference: only an empty span has no data */
    while (rest.size && (rest.data[0] == '\t' || rest.data[0] == ' '))
        rest = span_after(rest, 1);
    while (rest.size && rest.data[0] >= '0' && rest.data[0] <= '9' && number < UINT64_MAX / 100) {
        number = number * 10 + (uint64_t)(rest.data[0] - '0');
        rest = span_after(rest, 1);
    }
    return number;
}

void cage_process_read(struct cage_process *process, struct span text)
{
    uint64_t own_kib = 0, shared_kib = 0, threads = 0;
    while (text.data) {
        struct span line = span_split(&text, '\n');
        own_kib += number_of(line, SPAN("RssAnon:")) + number_of(line, SPAN("VmSwap:")) +
                   number_of(line, SPAN("Pss_Anon:")) + number_of(line, SPAN("SwapPss:"));
        shared_kib += number_of(line, SPAN("RssShmem:")) + number_of(line, SPAN("Pss_Shmem:"));
        threads += number_of(line, SPAN("Threads:"));
    }
    *process = (struct cage_process){own_kib * KIB, shared_kib * KIB, threads};
}

static bool read_process(pid_t pid, const char *file, struct cage_process *ret_process)
{
    char path[64], text[TEXT_BYTES];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    if (size > 0)
        cage_process_read(ret_process, (struct span){text, (size_t)size});
    return size > 0;
}

/* With pages that are shared divided between those who share them, where that may be known: not of
 * a process that hides its memory. */
static void divide(pid_t pid, struct cage_process *process)
{
    struct cage_process divided;
    if (!read_process(pid, "smaps_rollup", &divided) || !divided.own_bytes)
        return;
    process->own_bytes = divided.own_bytes;
    process->shared_bytes = divided.shared_bytes;
}

/* ---- all of them ---- */

/* Whether /proc, and with it the root folder, is that of the init's own processes: it is not,
 * before the kept process has changed the root. */
static bool has_own_proc(void)
{
    char self[16];
    ssize_t size = readlink("/proc/self", self, sizeof self);
    return size == 1 && self[0] == '1';
}

static uint64_t used_of(const char *path, dev_t *ret_device)
{
    struct statvfs status;
    struct stat place;
    if (stat(path, &place) < 0 || statvfs(path, &status) < 0 || status.f_blocks < status.f_bfree)
        return 0;
    *ret_device = place.st_dev;
    return (uint64_t)(status.f_blocks - status.f_bfree) * status.f_frsize;
}

/* What lies in the /dev/shm that the processes have of their own, mapped or not. */
static uint64_t used_of_shared_folder(const struct cage_tree *tree)
{
    dev_t ours = 0, theirs = 0;
    used_of("/dev/shm", &ours);
    for (size_t i = tree->count; i-- > 0;) { /* the innermost are those that may be looked into */
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/root/dev/shm", (int)tree->pids[i]);
        uint64_t used = used_of(path, &theirs);
        if (theirs)
            return theirs == ours ? 0 : used;
    }
    return 0;
}

static void add_processes(struct cage_usage *usage, const struct sandbox_share *share,
                          const struct cage_tree *tree, bool divided)
{
    uint64_t shared_bytes = 0, folder_bytes = share->serves ? used_of_shared_folder(tree) : 0;
    usage->memory_bytes = 0;
    usage->pids = 0;
    for (size_t i = 0; i < tree->count; i++) {
        struct cage_process process;
        if (!read_process(tree->pids[i], "status", &process))
            continue;
        if (divided)
            divide(tree->pids[i], &process);
        usage->memory_bytes += process.own_bytes;
        usage->pids += process.threads;
        shared_bytes += process.shared_bytes;
    }
    if (share->serves) /* most of what lies in the folder is mapped: it counts once */
        usage->memory_bytes += shared_bytes > folder_bytes ? shared_bytes : folder_bytes;
    if (share->own & SANDBOX_OWN_PROCESSES && share->own & SANDBOX_OWN_ROOT)
        usage->memory_bytes += used_of("/tmp", &(dev_t){0}); /* it is in memory, and its own */
}

static struct cage_usage *counted; /* nftw knows no context; an init has one thread */

static int add_file(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    counted->disk_bytes += (uint64_t)status->st_blocks * 512;
    return ++counted->files > SANDBOX_SCRATCH_FILES; /* enough has been seen */
}

bool cage_usage_look(const struct sandbox_share *share, struct cage_usage *ret_usage)
{
    static struct cage_tree tree;
    *ret_usage = (struct cage_usage){0};
    if (share->scratch) {
        counted = ret_usage;
        nftw(share->scratch, add_file, OPEN_FOLDERS, FTW_PHYS | FTW_MOUNT);
    }
    if (share->own & SANDBOX_OWN_PROCESSES && !has_own_proc())
        return false;
    cage_tree_look(&tree);
    add_processes(ret_usage, share, &tree, false);
    if (share->limits.memory_mib && ret_usage->memory_bytes / MIB >= share->limits.memory_mib)
        add_processes(ret_usage, share, &tree, true);
    return true;
}

/* ---- what there may be ---- */

bool cage_usage_exceeds(const struct cage_usage *usage, const struct sandbox_share *share,
                        char *text, size_t size)
{
    const struct process_limits *limits = &share->limits;
    const char *kind = share->serves ? "server" : "worker";
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
                 SPAWN_USED_SCRATCH
                 "%llu MiB to its scratch folder, its limit is %u MiB: set sandbox.scratch_mib in "
                 "its model.yaml, or --%s-scratch-mib",
                 (unsigned long long)(usage->disk_bytes / MIB), limits->scratch_mib, kind);
        return true;
    }
    if (usage->files > SANDBOX_SCRATCH_FILES) {
        snprintf(text, size,
                 SPAWN_USED_SCRATCH "more files to its scratch folder than its limit is, %d",
                 SANDBOX_SCRATCH_FILES);
        return true;
    }
    if (limits->pids && usage->pids > limits->pids) {
        snprintf(text, size,
                 SPAWN_USED_PIDS "%llu threads and processes, its limit is %u: set sandbox.pids in "
                                 "its model.yaml, or --%s-pids",
                 (unsigned long long)usage->pids, limits->pids, kind);
        return true;
    }
    return false;
}
