/* Namespaces; see namespaces.h. unshare(2), user_namespaces(7), pid_namespaces(7). */
#include "worker/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return written;
}

/* In a new user namespace: this user and group are who they were, and there are no others. */
static bool keep_identity(uid_t user, gid_t group)
{
    char users[64], groups[64];
    snprintf(users, sizeof users, "%u %u 1", (unsigned)user, (unsigned)user);
    snprintf(groups, sizeof groups, "%u %u 1", (unsigned)group, (unsigned)group);
    return write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/uid_map", users) &&
           write_file("/proc/self/gid_map", groups);
}

/* The user namespace comes last: it takes away what a privileged user could have read. */
static bool enter(int namespaces)
{
    uid_t user = geteuid();
    gid_t group = getegid();
    return unshare(namespaces) == 0 ||
           (unshare(CLONE_NEWUSER | namespaces) == 0 && keep_identity(user, group));
}

static bool raise_loopback(void)
{
    struct ifreq request = {.ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(request.ifr_name, sizeof request.ifr_name, "lo");
    bool raised = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (fd >= 0)
        close(fd);
    return raised;
}

bool namespaces_enter_network(void)
{
    return enter(CLONE_NEWNET | CLONE_NEWIPC) && raise_loopback();
}

bool namespaces_enter_processes(void)
{
    return enter(CLONE_NEWPID | CLONE_NEWNS);
}

bool namespaces_cover(const char *path)
{
    return mount("/dev/null", path, NULL, MS_BIND, NULL) == 0 || errno == ENOENT ||
           errno == ENOTDIR;
}

/* Where services of this machine listen, that a user may reach by a path. */
static const char *const services[] = {
    "/run/docker.sock",     "/run/containerd/containerd.sock", "/run/podman/podman.sock",
    "/run/systemd/private", "/run/dbus/system_bus_socket",     "/run/crio/crio.sock",
    "/run/snapd.socket",
};

bool namespaces_mount(uint32_t shared_mib)
{
    char options[48] = "mode=1777";
    if (shared_mib)
        snprintf(options, sizeof options, "mode=1777,size=%um", shared_mib);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
        return false;
    if (access("/dev/shm", F_OK) == 0 &&
        mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, options) != 0)
        return false;
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        if (!namespaces_cover(services[i]))
            return false;
    return access("/run/user", F_OK) != 0 ||
           mount("tmpfs", "/run/user", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=1m") == 0;
}
