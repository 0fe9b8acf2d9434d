/* Control groups; see cgroup.h (Documentation/admin-guide/cgroup-v2.rst). */
#include "worker/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char own_group[] = "tensord-server";
static const char *const controllers[] = {"memory", "pids", "cpu"};

/* ---- files of the kernel's, by name in a folder ---- */

static bool put(int folder, const char *file, const char *text)
{
    int fd = openat(folder, file, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    int failure = errno;
    if (fd >= 0)
        close(fd);
    errno = failure;
    return written;
}

static bool get(int folder, const char *file, char *text, size_t size)
{
    int fd = openat(folder, file, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = '\0';
    return got >= 0;
}

static bool has_word(const char *text, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at += size)
        if ((at == text || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\n' || !at[size]))
            return true;
    return false;
}

/* ---- the folder ---- */

/* Where the file system of groups is mounted. */
static bool find_mount(char mount[PATH_MAX])
{
    char line[2 * PATH_MAX], at[PATH_MAX];
    bool found = false;
    FILE *file = fopen("/proc/self/mountinfo", "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        found = strstr(line, " - cgroup2 ") && sscanf(line, "%*s %*s %*s %*s %4095s", at) == 1;
        if (found)
            memcpy(mount, at, sizeof at);
    }
    if (file)
        fclose(file);
    return found;
}

/* This process's own group, "/" for the root of what it sees. */
static bool find_group(char group[PATH_MAX])
{
    char line[PATH_MAX + 16];
    bool found = false;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        found = strncmp(line, "0::", 3) == 0;
        if (found)
            snprintf(group, PATH_MAX, "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
    }
    if (file)
        fclose(file);
    return found;
}

/* An older program in this process has made it already. */
static void leave_own_group(char group[PATH_MAX])
{
    char *slash = strrchr(group, '/');
    if (slash && strcmp(slash + 1, own_group) == 0)
        slash[slash == group ? 1 : 0] = '\0';
}

static bool is_alone(int base)
{
    char text[256], own[16];
    snprintf(own, sizeof own, "%d\n", (int)getpid());
    return get(base, "cgroup.procs", text, sizeof text) && (!text[0] || strcmp(text, own) == 0);
}

static bool enter_own_group(int base)
{
    char file[sizeof own_group + 16];
    snprintf(file, sizeof file, "%s/cgroup.procs", own_group);
    return (mkdirat(base, own_group, 0755) == 0 || errno == EEXIST) && put(base, file, "0");
}

bool cgroup_prepare(int base, char *lack, size_t size)
{
    char there[256];
    if (!get(base, "cgroup.controllers", there, sizeof there) || !has_word(there, "memory") ||
        !has_word(there, "pids")) {
        snprintf(lack, size, "its cgroup does not control memory and processes");
        return false;
    }
    if (!is_alone(base)) {
        snprintf(lack, size, "its cgroup holds other processes: it is not the server's own");
        return false;
    }
    if (!enter_own_group(base)) {
        snprintf(lack, size, "its cgroup cannot be divided: %s", strerrordesc_np(errno));
        return false;
    }
    for (size_t i = 0; i < sizeof controllers / sizeof *controllers; i++) {
        char word[16];
        snprintf(word, sizeof word, "+%s", controllers[i]);
        if (!put(base, "cgroup.subtree_control", word) && strcmp(controllers[i], "cpu") != 0) {
            snprintf(lack, size, "its cgroup gives no control of %s: %s", controllers[i],
                     strerrordesc_np(errno));
            return false;
        }
    }
    return true;
}

void cgroup_open(struct cgroup *ret_cgroup, char *lack, size_t size)
{
    char mount[PATH_MAX], group[PATH_MAX], path[2 * PATH_MAX];
    ret_cgroup->base = -1;
    lack[0] = '\0';
    if (!find_mount(mount) || !find_group(group)) {
        snprintf(lack, size, "there is no cgroup v2 here");
        return;
    }
    leave_own_group(group);
    snprintf(path, sizeof path, "%s%s", mount, group);
    int base = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (base < 0)
        snprintf(lack, size, "its cgroup cannot be read: %s", strerrordesc_np(errno));
    else if (cgroup_prepare(base, lack, size))
        ret_cgroup->base = base;
    else
        close(base);
}

void cgroup_close(struct cgroup *cgroup)
{
    if (cgroup->base >= 0)
        close(cgroup->base);
    cgroup->base = -1;
}

/* ---- groups of workers ---- */

void cgroup_name(pid_t front, uint64_t worker, char name[CGROUP_NAME_BYTES])
{
    snprintf(name, CGROUP_NAME_BYTES, "worker-%d-%llu", (int)front, (unsigned long long)worker);
}

static bool put_number(int group, const char *file, uint64_t number)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return put(group, file, text);
}

static bool put_limits(int group, const struct process_limits *limits)
{
    enum { PERIOD_US = 100000 };
    char cpu[48];
    snprintf(cpu, sizeof cpu, "%llu %d", (unsigned long long)limits->cpu_percent * PERIOD_US / 100,
             PERIOD_US);
    put(group, "memory.oom.group", "1"); /* all of it ends, or nothing */
    return (!limits->memory_mib ||
            put_number(group, "memory.max", (uint64_t)limits->memory_mib << 20)) &&
           (!limits->pids || put_number(group, "pids.max", limits->pids)) &&
           (!limits->cpu_percent || put(group, "cpu.max", cpu));
}

bool cgroup_make(const struct cgroup *cgroup, const char *name, const struct process_limits *limits)
{
    if (mkdirat(cgroup->base, name, 0755) < 0 && errno != EEXIST)
        return false;
    int group = openat(cgroup->base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool made = group >= 0 && put_limits(group, limits);
    int failure = errno;
    if (group >= 0)
        close(group);
    if (!made)
        unlinkat(cgroup->base, name, AT_REMOVEDIR);
    errno = failure;
    return made;
}

bool cgroup_enter(const struct cgroup *cgroup, const char *name)
{
    char file[CGROUP_NAME_BYTES + 16];
    snprintf(file, sizeof file, "%s/cgroup.procs", name);
    return put(cgroup->base, file, "0");
}

bool cgroup_remove(const struct cgroup *cgroup, const char *name)
{
    char file[CGROUP_NAME_BYTES + 16], text[512];
    unsigned long long kills = 0;
    snprintf(file, sizeof file, "%s/memory.events", name);
    if (get(cgroup->base, file, text, sizeof text)) {
        const char *line = strstr(text, "oom_kill ");
        if (line)
            kills = strtoull(line + strlen("oom_kill "), NULL, 10);
    }
    unlinkat(cgroup->base, name, AT_REMOVEDIR);
    return kills > 0;
}
