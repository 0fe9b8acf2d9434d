/* The sandbox's rows and the order of its layers; see sandbox.h. Landlock and seccomp have files of
 * their own.
 *
 * There is no limit on the size of files, but for those of a scratch folder on disk: standard error
 * may be a big log file, and a write to it would then kill. Address space is not limited either,
 * because tensor memory and runtimes reserve far more than they touch. */
#include "worker/sandbox.h"
#include "worker/sandbox_layers.h"
#include "worker/sandbox_root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

enum { MAX_PATHS = 240 }; /* rows of one process */

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

/* What every worker may open. Libraries may be executed because the program is started, after the
 * first step, by the loader among them. */
static const struct sandbox_path worker_paths[] = {
    {"/usr", SANDBOX_READ},
    {"/usr/lib", SANDBOX_READ | SANDBOX_EXECUTE},
    {"/usr/lib64", SANDBOX_READ | SANDBOX_EXECUTE},
    {"/lib", SANDBOX_READ | SANDBOX_EXECUTE},
    {"/lib64", SANDBOX_READ | SANDBOX_EXECUTE},
    {"/opt", SANDBOX_READ}, /* vendors' runtimes */
    {"/etc/ld.so.cache", SANDBOX_READ},
    {"/etc/alternatives", SANDBOX_READ}, /* links between libraries lead through it */
    {"/etc/localtime", SANDBOX_READ},
    /* Runtimes count processors and memory, and look for devices. */
    {"/proc/self", SANDBOX_READ},
    {"/proc/cpuinfo", SANDBOX_READ},
    {"/proc/meminfo", SANDBOX_READ},
    {"/proc/stat", SANDBOX_READ},
    {"/proc/filesystems", SANDBOX_READ},
    {"/proc/sys/vm/overcommit_memory", SANDBOX_READ},
    {"/sys/devices", SANDBOX_READ},
    {"/sys/bus/pci", SANDBOX_READ},
    {"/sys/fs/cgroup", SANDBOX_READ},
    {"/sys/kernel/mm/transparent_hugepage", SANDBOX_READ},
    {"/dev/null", SANDBOX_READ | SANDBOX_WRITE},
    {"/dev/zero", SANDBOX_READ},
    {"/dev/random", SANDBOX_READ},
    {"/dev/urandom", SANDBOX_READ},
};

static const struct sandbox_path front_paths[] = {
    {"/etc/localtime", SANDBOX_READ},
    {"/usr/share/zoneinfo", SANDBOX_READ},
    {"/proc/self", SANDBOX_READ}, /* its own statistics, and the machine's */
    {"/proc/stat", SANDBOX_READ},
    {"/proc/meminfo", SANDBOX_READ},
    {"/proc/sys/vm/overcommit_memory", SANDBOX_READ},
    {"/sys/devices/system/cpu", SANDBOX_READ},
    {"/sys/fs/cgroup", SANDBOX_READ},
    {"/dev/null", SANDBOX_READ | SANDBOX_WRITE},
    {"/dev/urandom", SANDBOX_READ},
};

/* Names are resolved, and collectors' certificates checked, by these; libraries that do it may be
 * loaded. */
static const struct sandbox_path exporter_paths[] = {
    {"/usr/lib", SANDBOX_READ | SANDBOX_EXECUTE},
    {"/usr/lib64", SANDBOX_READ | SANDBOX_EXECUTE},
    {"/lib", SANDBOX_READ | SANDBOX_EXECUTE},
    {"/lib64", SANDBOX_READ | SANDBOX_EXECUTE},
    {"/etc/ld.so.cache", SANDBOX_READ},
    {"/etc/resolv.conf", SANDBOX_READ},
    {"/etc/nsswitch.conf", SANDBOX_READ},
    {"/etc/host.conf", SANDBOX_READ},
    {"/etc/hosts", SANDBOX_READ},
    {"/etc/gai.conf", SANDBOX_READ},
    {"/etc/services", SANDBOX_READ},
    {"/etc/localtime", SANDBOX_READ},
    {"/etc/ssl", SANDBOX_READ},
    {"/etc/pki", SANDBOX_READ},
    {"/etc/crypto-policies", SANDBOX_READ},
    {"/etc/ca-certificates", SANDBOX_READ},
    {"/usr/share/ca-certificates", SANDBOX_READ},
    {"/usr/local/share/ca-certificates", SANDBOX_READ},
    {"/dev/null", SANDBOX_READ | SANDBOX_WRITE},
    {"/dev/urandom", SANDBOX_READ},
};

/* Installers run compilers, find certificates and ask who they are. */
static const struct sandbox_path installer_paths[] = {
    {"/usr", SANDBOX_READ | SANDBOX_EXECUTE},
    {"/bin", SANDBOX_READ | SANDBOX_EXECUTE},
    {"/sbin", SANDBOX_READ | SANDBOX_EXECUTE},
    {"/lib", SANDBOX_READ | SANDBOX_EXECUTE},
    {"/lib32", SANDBOX_READ | SANDBOX_EXECUTE},
    {"/lib64", SANDBOX_READ | SANDBOX_EXECUTE},
    {"/opt", SANDBOX_READ | SANDBOX_EXECUTE},
    {"/etc/ld.so.cache", SANDBOX_READ},
    {"/etc/ld.so.conf", SANDBOX_READ},
    {"/etc/ld.so.conf.d", SANDBOX_READ},
    {"/etc/alternatives", SANDBOX_READ},
    {"/etc/passwd", SANDBOX_READ},
    {"/etc/group", SANDBOX_READ},
    {"/etc/os-release", SANDBOX_READ},
    {"/etc/debian_version", SANDBOX_READ},
    {"/etc/mime.types", SANDBOX_READ},
    {"/etc/gitconfig", SANDBOX_READ},
    {"/etc/pip.conf", SANDBOX_READ},
    {"/etc/uv", SANDBOX_READ},
    {"/etc/xdg", SANDBOX_READ},
    {"/etc/resolv.conf", SANDBOX_READ},
    {"/etc/nsswitch.conf", SANDBOX_READ},
    {"/etc/host.conf", SANDBOX_READ},
    {"/etc/hosts", SANDBOX_READ},
    {"/etc/gai.conf", SANDBOX_READ},
    {"/etc/services", SANDBOX_READ},
    {"/etc/localtime", SANDBOX_READ},
    {"/etc/ssl", SANDBOX_READ},
    {"/etc/pki", SANDBOX_READ},
    {"/etc/crypto-policies", SANDBOX_READ},
    {"/etc/ca-certificates", SANDBOX_READ},
    {"/proc/self", SANDBOX_READ},
    {"/proc/cpuinfo", SANDBOX_READ},
    {"/proc/meminfo", SANDBOX_READ},
    {"/proc/stat", SANDBOX_READ},
    {"/proc/version", SANDBOX_READ},
    {"/proc/filesystems", SANDBOX_READ},
    {"/proc/sys", SANDBOX_READ},
    {"/sys/devices", SANDBOX_READ},
    {"/sys/fs/cgroup", SANDBOX_READ},
    {"/dev/null", SANDBOX_READ | SANDBOX_WRITE},
    {"/dev/zero", SANDBOX_READ},
    {"/dev/random", SANDBOX_READ},
    {"/dev/urandom", SANDBOX_READ},
};

struct limit {
    __rlimit_resource_t resource;
    rlim_t value;
};

static const struct limit worker_limits[] = {
    {RLIMIT_CORE, 0},      /* a core holds clients' data */
    {RLIMIT_NOFILE, 1024}, /* descriptors */
    {RLIMIT_NPROC, 8192},  /* threads, of all processes of this user */
    {RLIMIT_MSGQUEUE, 0},  /* bytes in POSIX message queues */
    {RLIMIT_RTPRIO, 0},    /* no real-time priority */
};

/* Servers have many connections and processes. */
static const struct limit server_limits[] = {
    {RLIMIT_CORE, 0},     {RLIMIT_NOFILE, 65536}, {RLIMIT_NPROC, 16384},
    {RLIMIT_MSGQUEUE, 0}, {RLIMIT_RTPRIO, 0},
};

static const struct limit front_limits[] = {
    {RLIMIT_CORE, 0},
    {RLIMIT_MSGQUEUE, 0},
    {RLIMIT_RTPRIO, 0},
};

static const struct limit exporter_limits[] = {
    {RLIMIT_CORE, 0}, /* a core holds clients' paths and the collector's key */
    {RLIMIT_NOFILE, 256},
    {RLIMIT_MSGQUEUE, 0},
    {RLIMIT_RTPRIO, 0},
};

bool sandbox_mode_of_name(struct span name, enum sandbox_mode *ret_mode)
{
    static const char *const names[] = {"off", "auto", "strict"};
    for (size_t i = 0; i < COUNT(names); i++) {
        if (span_equal(name, span_of(names[i]))) {
            *ret_mode = (enum sandbox_mode)i;
            return true;
        }
    }
    return false;
}

bool sandbox_check(enum sandbox_mode mode, struct error *ret_error)
{
    if (mode != SANDBOX_STRICT)
        return true;
    if (sandbox_landlock_abi() == 0)
        return error_set(ret_error, ERROR_UNAVAILABLE, "the kernel has no Landlock");
    if (!sandbox_seccomp_available())
        return error_set(ret_error, ERROR_UNAVAILABLE, "the kernel has no seccomp filters");
    return true;
}

char *sandbox_describe(enum sandbox_mode mode, unsigned own, char *text, size_t size)
{
    char landlock[32] = "", namespaces[64] = "";
    int abi = sandbox_landlock_abi();
    if (abi)
        snprintf(landlock, sizeof landlock, "landlock abi %d, ", abi);
    if (own & ~(unsigned)SANDBOX_INIT)
        snprintf(namespaces, sizeof namespaces, "namespaces (root%s%s%s), ",
                 own & SANDBOX_OWN_PROCESSES ? ", processes" : "",
                 own & SANDBOX_OWN_NETWORK ? ", network" : "",
                 own & SANDBOX_OWN_USERS ? ", users" : "");
    if (mode == SANDBOX_OFF)
        snprintf(text, size, "off");
    else
        snprintf(text, size, "%s%s%sno_new_privs, rlimits", namespaces, landlock,
                 sandbox_seccomp_available() ? "seccomp, " : "");
    return text;
}

/* Lowers each limit, for good. */
static bool limit(const struct limit *rows, size_t count, struct error *ret_error)
{
    for (size_t i = 0; i < count; i++) {
        struct rlimit now;
        if (getrlimit(rows[i].resource, &now) < 0)
            return error_set(ret_error, ERROR_INTERNAL, "getrlimit: %s", strerrordesc_np(errno));
        if (now.rlim_max > rows[i].value)
            now.rlim_max = rows[i].value;
        if (now.rlim_cur > now.rlim_max)
            now.rlim_cur = now.rlim_max;
        if (setrlimit(rows[i].resource, &now) < 0)
            return error_set(ret_error, ERROR_INTERNAL, "setrlimit: %s", strerrordesc_np(errno));
    }
    return true;
}

/* What a share says is a bound for what happens between two looks of whoever watches it. */
static bool limit_share(const struct sandbox_share *share, struct error *ret_error)
{
    enum { SLACK_MIB = 1024 }; /* stacks and arenas are reserved, and not used */
    struct limit rows[2];
    size_t count = 0;
    if (!share)
        return true;
    const struct process_limits *limits = &share->limits;
    if (limits->memory_mib && !limits->gpus && !SANDBOX_SANITIZED)
        rows[count++] =
            (struct limit){RLIMIT_DATA, (2 * (rlim_t)limits->memory_mib + SLACK_MIB) << 20};
    if (share->scratch && limits->scratch_mib)
        rows[count++] = (struct limit){RLIMIT_FSIZE, (rlim_t)limits->scratch_mib << 20};
    return limit(rows, count, ret_error);
}

static bool forbid_new_privileges(struct error *ret_error)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set(ret_error, ERROR_INTERNAL, "no_new_privs: %s", strerrordesc_np(errno));
    return true;
}

/* The role's own rows and those of the caller: what else there is, neither the root folder nor
 * Landlock lets the process have. */
static bool bound_files(const struct sandbox_path *of_role, size_t of_role_count,
                        const struct sandbox_path *paths, size_t count,
                        const struct sandbox_share *share, enum sandbox_tcp tcp,
                        struct error *ret_error)
{
    struct sandbox_path rows[MAX_PATHS];
    if (count > MAX_PATHS - of_role_count)
        return error_set(ret_error, ERROR_INTERNAL, "too many paths for the sandbox");
    memcpy(rows, of_role, of_role_count * sizeof *of_role);
    if (count)
        memcpy(rows + of_role_count, paths, count * sizeof *paths);
    count += of_role_count;
    return (!share || !(share->own & SANDBOX_OWN_ROOT) ||
            sandbox_root_enter(rows, count, share, ret_error)) &&
           sandbox_landlock_enter(sandbox_landlock_abi(), rows, count, tcp, ret_error);
}

static bool set_capabilities(uint32_t effective, uint32_t permitted, struct error *ret_error)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.effective = effective, .permitted = permitted}};
    if (syscall(SYS_capset, &head, data) < 0)
        return error_set(ret_error, ERROR_INTERNAL, "capset: %s", strerrordesc_np(errno));
    return true;
}

static bool get_permitted(uint32_t *ret_low, bool *ret_any)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &head, data) < 0)
        return false;
    *ret_low = data[0].permitted;
    *ret_any = data[0].permitted || data[1].permitted;
    return true;
}

static bool can_read(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0)
        close(fd);
    return fd >= 0 || errno != EACCES;
}

static bool can_read_all(const struct sandbox_path *paths, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (paths[i].path && !can_read(paths[i].path))
            return false;
    return true;
}

/* Drops every capability but those of `keep`. `sudo tensord serve ~/models` has to work, though,
 * where the home folder is its owner's alone: a server run by root that cannot read one of the
 * paths otherwise keeps the right to read, which Landlock bounds to its rows. */
static bool drop_capabilities(const struct sandbox_path *paths, size_t count, bool files_bounded,
                              uint32_t keep, struct error *ret_error)
{
    uint32_t permitted;
    bool any;
    if (!get_permitted(&permitted, &any))
        return error_set(ret_error, ERROR_INTERNAL, "capget: %s", strerrordesc_np(errno));
    if (!any) /* a service that has none may not even be allowed to ask */
        return true;
    uint32_t reading = permitted & (1U << CAP_DAC_READ_SEARCH);
    keep &= permitted;
    if (!set_capabilities(keep, reading | keep, ret_error))
        return false;
    if (reading && files_bounded && !can_read_all(paths, count))
        keep |= reading;
    return set_capabilities(keep, keep, ret_error);
}

/* Memory of this process is nobody's to read; sanitizers do, from a clone. */
static bool hide(struct error *ret_error)
{
    if (!SANDBOX_SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return error_set(ret_error, ERROR_INTERNAL, "dumpable: %s", strerrordesc_np(errno));
    return true;
}

static bool bound_calls(enum sandbox_role role, bool files_bounded, bool devices,
                        struct error *ret_error)
{
    return !sandbox_seccomp_available() ||
           sandbox_seccomp_enter(role, files_bounded, devices, ret_error);
}

bool sandbox_confine_worker(enum sandbox_mode mode, const struct sandbox_path *paths, size_t count,
                            const struct sandbox_share *share, struct error *ret_error)
{
    if (mode == SANDBOX_OFF)
        return true;
    return sandbox_check(mode, ret_error) &&
           limit(worker_limits, COUNT(worker_limits), ret_error) && limit_share(share, ret_error) &&
           forbid_new_privileges(ret_error) &&
           bound_files(worker_paths, COUNT(worker_paths), paths, count, share, SANDBOX_NO_TCP,
                       ret_error);
}

bool sandbox_enter_interpreter(enum sandbox_mode mode, const char *root, bool devices,
                               struct error *ret_error)
{
    const struct sandbox_path row = {root, SANDBOX_READ};
    if (mode == SANDBOX_OFF)
        return true;
    bool files_bounded = sandbox_landlock_abi() > 0;
    return drop_capabilities(&row, 1, files_bounded, 1U << CAP_LEASE, ret_error) &&
           bound_calls(SANDBOX_INTERPRETER, files_bounded, devices, ret_error);
}

bool sandbox_enter_worker(enum sandbox_mode mode, const char *root, bool scratch, bool devices,
                          struct error *ret_error)
{
    if (mode == SANDBOX_OFF)
        return true;
    bool files_bounded = sandbox_landlock_abi() > 0;
    return sandbox_check(mode, ret_error) && forbid_new_privileges(ret_error) && hide(ret_error) &&
           drop_capabilities(&(struct sandbox_path){root, SANDBOX_READ}, 1, files_bounded, 0,
                             ret_error) &&
           bound_calls(scratch ? SANDBOX_PYTHON : SANDBOX_WORKER, files_bounded, devices,
                       ret_error);
}

bool sandbox_confine_keeper(enum sandbox_mode mode, const struct sandbox_path *paths, size_t count,
                            struct error *ret_error)
{
    if (mode == SANDBOX_OFF)
        return true;
    return sandbox_check(mode, ret_error) &&
           limit(worker_limits, COUNT(worker_limits), ret_error) &&
           forbid_new_privileges(ret_error) &&
           bound_files(worker_paths, COUNT(worker_paths), paths, count, NULL, SANDBOX_CONNECTS,
                       ret_error);
}

bool sandbox_enter_keeper(enum sandbox_mode mode, struct error *ret_error)
{
    if (mode == SANDBOX_OFF)
        return true;
    bool files_bounded = sandbox_landlock_abi() > 0;
    return sandbox_check(mode, ret_error) && forbid_new_privileges(ret_error) && hide(ret_error) &&
           drop_capabilities(NULL, 0, files_bounded, 0, ret_error) &&
           bound_calls(SANDBOX_KEEPER, files_bounded, false, ret_error);
}

bool sandbox_enter_server(enum sandbox_mode mode, const struct sandbox_path *paths, size_t count,
                          const char *root, const struct sandbox_share *share,
                          struct error *ret_error)
{
    const struct sandbox_path row = {root, SANDBOX_READ};
    if (mode == SANDBOX_OFF)
        return true;
    bool files_bounded = sandbox_landlock_abi() > 0;
    return sandbox_check(mode, ret_error) &&
           limit(server_limits, COUNT(server_limits), ret_error) && limit_share(share, ret_error) &&
           forbid_new_privileges(ret_error) &&
           bound_files(installer_paths, COUNT(installer_paths), paths, count, NULL, SANDBOX_ALL_TCP,
                       ret_error) &&
           drop_capabilities(&row, 1, files_bounded, 0, ret_error) &&
           bound_calls(SANDBOX_SERVER, files_bounded, false, ret_error);
}

bool sandbox_enter_writer(enum sandbox_mode mode, struct error *ret_error)
{
    if (mode == SANDBOX_OFF)
        return true;
    bool files_bounded = sandbox_landlock_abi() > 0;
    return sandbox_check(mode, ret_error) && forbid_new_privileges(ret_error) && hide(ret_error) &&
           drop_capabilities(NULL, 0, files_bounded, 0, ret_error) &&
           bound_calls(SANDBOX_WRITER, files_bounded, false, ret_error);
}

bool sandbox_enter_script(enum sandbox_mode mode, const struct sandbox_path *paths, size_t count,
                          const char *root, bool installs, const struct sandbox_share *share,
                          struct error *ret_error)
{
    const struct sandbox_path row = {root, SANDBOX_READ};
    if (mode == SANDBOX_OFF)
        return true;
    bool files_bounded = sandbox_landlock_abi() > 0;
    if (!sandbox_check(mode, ret_error) || !limit(worker_limits, COUNT(worker_limits), ret_error) ||
        !limit_share(share, ret_error) || !forbid_new_privileges(ret_error))
        return false;
    bool bounded = installs ? bound_files(installer_paths, COUNT(installer_paths), paths, count,
                                          share, SANDBOX_CONNECTS, ret_error)
                            : bound_files(worker_paths, COUNT(worker_paths), paths, count, share,
                                          SANDBOX_NO_TCP, ret_error);
    return bounded && drop_capabilities(&row, installs ? 0 : 1, files_bounded, 0, ret_error) &&
           bound_calls(installs ? SANDBOX_INSTALLER : SANDBOX_SCRIPT, files_bounded, false,
                       ret_error);
}

bool sandbox_enter_front(enum sandbox_mode mode, const struct sandbox_path *paths, size_t count,
                         struct error *ret_error)
{
    if (mode == SANDBOX_OFF)
        return true;
    bool files_bounded = sandbox_landlock_abi() > 0;
    if (!sandbox_check(mode, ret_error) || !limit(front_limits, COUNT(front_limits), ret_error) ||
        !forbid_new_privileges(ret_error) || !hide(ret_error) ||
        !bound_files(front_paths, COUNT(front_paths), paths, count, NULL, SANDBOX_NO_TCP,
                     ret_error) ||
        !drop_capabilities(paths, count, files_bounded, 0, ret_error))
        return false;
    /* From Linux 6.3 on: memory that was writable never becomes executable. */
    prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
    return bound_calls(SANDBOX_FRONT, files_bounded, false, ret_error);
}

bool sandbox_enter_exporter(enum sandbox_mode mode, const struct sandbox_path *paths, size_t count,
                            struct error *ret_error)
{
    if (mode == SANDBOX_OFF)
        return true;
    bool files_bounded = sandbox_landlock_abi() > 0;
    if (!sandbox_check(mode, ret_error) ||
        !limit(exporter_limits, COUNT(exporter_limits), ret_error) ||
        !forbid_new_privileges(ret_error) || !hide(ret_error) ||
        !bound_files(exporter_paths, COUNT(exporter_paths), paths, count, NULL, SANDBOX_CONNECTS,
                     ret_error) ||
        !drop_capabilities(NULL, 0, files_bounded, 0, ret_error))
        return false;
    prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
    return bound_calls(SANDBOX_EXPORTER, files_bounded, false, ret_error);
}
