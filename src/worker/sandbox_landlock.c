/* Landlock: which files a process may open, whatever its user may do; see sandbox.h.
 *
 * The structs and constants are declared here: the headers of a distribution are often older than
 * its kernel, and the ABI only grows. What a kernel does not know yet is masked out, so that each
 * gives as much as it can (Documentation/userspace-api/landlock.rst). */
#include "worker/sandbox_layers.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

enum { CREATE_RULESET_VERSION = 1, RULE_PATH_BENEATH = 1 };

enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_DIR = 1 << 4,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_DIR = 1 << 7,
    FS_MAKE_REG = 1 << 8,
    FS_MAKE_SOCK = 1 << 9,
    FS_MAKE_FIFO = 1 << 10,
    FS_MAKE_SYM = 1 << 12,
    FS_REFER = 1 << 13,
    FS_TRUNCATE = 1 << 14,
    FS_IOCTL_DEV = 1 << 15,
    /* What may be said of a file that is no folder. */
    FS_OF_FILES = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV,
};

enum { NET_BIND_TCP = 1, NET_CONNECT_TCP = 2, SCOPE_ABSTRACT_UNIX = 1, SCOPE_SIGNAL = 2 };

/* Kernels accept a struct longer than they know when the rest is zero. */
struct ruleset_attr {
    uint64_t handled_fs;
    uint64_t handled_net; /* ABI 4 */
    uint64_t scoped;      /* ABI 6 */
};

struct path_beneath_attr {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed));

int sandbox_landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
}

/* Every right on files that this ABI knows. */
static uint64_t known_rights(int abi)
{
    uint64_t rights = FS_REFER - 1;
    if (abi >= 2)
        rights |= FS_REFER;
    if (abi >= 3)
        rights |= FS_TRUNCATE;
    if (abi >= 5)
        rights |= FS_IOCTL_DEV;
    return rights;
}

static uint64_t rights_of(unsigned rights)
{
    uint64_t fs = 0;
    if (rights & SANDBOX_READ)
        fs |= FS_READ_FILE | FS_READ_DIR;
    if (rights & SANDBOX_WRITE)
        fs |= FS_WRITE_FILE | FS_TRUNCATE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR |
              FS_MAKE_REG | FS_MAKE_SYM | FS_REFER;
    if (rights & SANDBOX_EXECUTE)
        fs |= FS_EXECUTE;
    if (rights & SANDBOX_SOCKETS)
        fs |= FS_MAKE_SOCK | FS_MAKE_FIFO;
    if (rights & SANDBOX_DEVICE)
        fs |= FS_IOCTL_DEV;
    return fs;
}

/* Whether errno says that this process, and not the path, is why it cannot be opened. */
static bool is_own_lack(void)
{
    return errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == EINTR || errno == EIO;
}

/* Grants nothing when the path cannot be opened: then it could not be used either. */
static bool allow(int ruleset, uint64_t known, const struct sandbox_path *row,
                  struct error *ret_error)
{
    struct stat status;
    int fd = row->path && row->rights ? open(row->path, O_PATH | O_CLOEXEC) : -1;
    if (fd < 0 && row->path && row->rights && is_own_lack())
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "landlock: cannot open a path: %s",
                         strerrordesc_np(errno));
    if (fd < 0)
        return true;
    struct path_beneath_attr attr = {.allowed = rights_of(row->rights) & known, .parent_fd = fd};
    if (fstat(fd, &status) == 0 && !S_ISDIR(status.st_mode))
        attr.allowed &= FS_OF_FILES;
    long result = syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &attr, 0);
    int failure = errno;
    close(fd);
    if (result < 0)
        return error_set(ret_error, ERROR_INTERNAL, "landlock refuses a path: %s",
                         strerrordesc_np(failure));
    return true;
}

static bool restrict_self(int ruleset, uint64_t known, const struct sandbox_path *paths,
                          size_t count, struct error *ret_error)
{
    for (size_t i = 0; i < count; i++)
        if (!allow(ruleset, known, &paths[i], ret_error))
            return false;
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        return error_set(ret_error, ERROR_INTERNAL, "landlock_restrict_self: %s",
                         strerrordesc_np(errno));
    return true;
}

bool sandbox_landlock_enter(int abi, const struct sandbox_path *paths, size_t count,
                            enum sandbox_tcp tcp, struct error *ret_error)
{
    static const uint64_t refused[] = {[SANDBOX_NO_TCP] = NET_BIND_TCP | NET_CONNECT_TCP,
                                       [SANDBOX_CONNECTS] = NET_BIND_TCP,
                                       [SANDBOX_ALL_TCP] = 0};
    if (abi == 0)
        return true;
    struct ruleset_attr attr = {.handled_fs = known_rights(abi)};
    if (abi >= 4)
        attr.handled_net = refused[tcp];
    if (abi >= 6)
        attr.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0)
        return error_set(ret_error, ERROR_INTERNAL, "landlock_create_ruleset: %s",
                         strerrordesc_np(errno));
    bool entered = restrict_self(ruleset, attr.handled_fs, paths, count, ret_error);
    close(ruleset);
    return entered;
}
