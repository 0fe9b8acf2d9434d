/* Unit tests of worker/sandbox.h: a process enters the sandbox and tries one thing; what is
 * forbidden must be refused, what engines need must work. Each case runs in a process of its own,
 * as this user and, when that is root, as nobody too. */
#include "worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534, CAGE_FAILED = 200, WORKED = 0 };

static char base[] = "/tmp/tensord-sandbox-XXXXXX";
static char models[64], model[80], secret[64], state_dir[64];
static int listener; /* bound before the front is caged */

static int answer(long result)
{
    return result < 0 ? errno : WORKED;
}

static int open_and_close(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    int result = answer(fd);
    if (fd >= 0)
        close(fd);
    return result;
}

/* ---- what may be tried: each returns 0 or an errno ---- */

static int reads_secret(void)
{
    return open_and_close(secret, O_RDONLY);
}

static int reads_secret_by_detour(void)
{
    char path[160];
    snprintf(path, sizeof path, "%s/../secret", models);
    return open_and_close(path, O_RDONLY);
}

static int reads_etc_passwd(void)
{
    return open_and_close("/etc/passwd", O_RDONLY);
}

static int reads_parent_environment(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/environ", getppid());
    return open_and_close(path, O_RDONLY);
}

static int writes_model(void)
{
    return open_and_close(model, O_WRONLY);
}

static int creates_beside_model(void)
{
    char path[160];
    snprintf(path, sizeof path, "%s/new", models);
    return open_and_close(path, O_WRONLY | O_CREAT);
}

static int creates_in_tmp(void)
{
    return open_and_close("/tmp/tensord-sandbox-escape", O_WRONLY | O_CREAT);
}

static int removes_model(void)
{
    return answer(unlink(model));
}

static int makes_inet_socket(void)
{
    return answer(socket(AF_INET, SOCK_STREAM, 0));
}

static int makes_unix_socket(void)
{
    return answer(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int makes_datagram_pair(void)
{
    int pair[2];
    return answer(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
}

static int connects(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return answer(connect(listener, (struct sockaddr *)&to, sizeof to));
}

static int listens(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) < 0)
        return errno;
    return answer(listen(fd, 1));
}

static int connects_somewhere(void)
{
    struct sockaddr_in to;
    socklen_t size = sizeof to;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || getsockname(listener, (struct sockaddr *)&to, &size) < 0)
        return errno;
    return answer(connect(fd, (struct sockaddr *)&to, sizeof to));
}

static int resolves_names(void)
{
    struct addrinfo *found = NULL;
    int failure = getaddrinfo("localhost", "80", NULL, &found);
    if (found)
        freeaddrinfo(found);
    return failure ? EIO : WORKED;
}

static int traces_parent(void)
{
    return answer(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int executes(void)
{
    char *arguments[] = {(char[]){"true"}, NULL};
    return answer(execv("/usr/bin/true", arguments));
}

static int forks(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return answer(child);
}

static int vforks_by_number(void)
{
    return answer(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL));
}

static int kills_parent(void)
{
    return answer(kill(getppid(), 0));
}

static int kills_all(void)
{
    return answer(kill(-1, 0));
}

static int uses_io_uring(void)
{
    char parameters[256] = {0};
    return answer(syscall(SYS_io_uring_setup, 8, parameters));
}

static int unshares(void)
{
    return answer(unshare(CLONE_NEWUSER));
}

static int uses_bpf(void)
{
    return answer(syscall(SYS_bpf, 0, NULL, 0));
}

static int mounts(void)
{
    return answer(syscall(SYS_mount, "none", models, "tmpfs", 0, NULL));
}

static int uses_keyctl(void)
{
    return answer(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}

static int uses_userfaultfd(void)
{
    return answer(syscall(SYS_userfaultfd, 0));
}

static int opens_perf_events(void)
{
    return answer(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
}

static int reads_parent_memory(void)
{
    return answer(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
}

static int outlives_the_spawner(void)
{
    return answer(prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0));
}

static int raises_a_limit(void)
{
    const struct rlimit high = {1 << 20, 1 << 20};
    return answer(setrlimit(RLIMIT_NOFILE, &high));
}

static int has_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &head, data) < 0)
        return errno;
    uint32_t all = data[0].effective | data[0].permitted | data[1].effective | data[1].permitted;
    return all ? WORKED : EPERM;
}

static int makes_memory_executable(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return answer(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static int reads_model(void)
{
    return open_and_close(model, O_RDONLY);
}

static int lists_models(void)
{
    return open_and_close(models, O_RDONLY | O_DIRECTORY);
}

static int reads_own_statistics(void)
{
    return open_and_close("/proc/self/statm", O_RDONLY);
}

static int counts_processors(void)
{
    return sysconf(_SC_NPROCESSORS_ONLN) > 0 &&
                   open_and_close("/sys/devices/system/cpu/online", O_RDONLY) == 0
               ? WORKED
               : EIO;
}

static void *increment(void *number)
{
    ++*(int *)number;
    return NULL;
}

static int runs_threads(void)
{
    int number = 0;
    pthread_t thread;
    int failure = pthread_create(&thread, NULL, increment, &number);
    if (!failure)
        failure = pthread_join(thread, NULL);
    return failure ? failure : number == 1 ? WORKED : EIO;
}

static int uses_memfd(void)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, 4096) < 0)
        return errno;
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return errno;
    page[0] = 1;
    return answer(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
}

static int shares_memory(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return answer(page == MAP_FAILED ? -1 : 0);
}

static int uses_stream_pair(void)
{
    int pair[2];
    char byte = 'x';
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return errno;
    return answer(send(pair[0], &byte, 1, 0) == 1 && recv(pair[1], &byte, 1, 0) == 1 ? 0 : -1);
}

static int signals_itself(void)
{
    signal(SIGUSR1, SIG_IGN);
    return answer(raise(SIGUSR1));
}

static int loads_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return answer(page == MAP_FAILED ? -1 : 0);
}

static int writes_state(void)
{
    char path[160], renamed[160];
    snprintf(path, sizeof path, "%s/token.new", state_dir);
    snprintf(renamed, sizeof renamed, "%s/token", state_dir);
    int failure = open_and_close(path, O_WRONLY | O_CREAT | O_EXCL);
    if (!failure)
        failure = answer(rename(path, renamed));
    return failure ? failure : answer(unlink(renamed));
}

static int accepts(void)
{
    int failure = answer(accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
    return failure == EAGAIN ? WORKED : failure;
}

struct attempt {
    const char *name;
    int (*act)(void);
    bool of_sanitizers; /* builds with sanitizers are allowed it */
};

#define ATTEMPT(act) {#act, act, false}
#define ATTEMPT_OF_SANITIZERS(act) {#act, act, true}

static const struct attempt forbidden_to_all[] = {
    ATTEMPT(reads_secret),
    ATTEMPT(reads_secret_by_detour),
    ATTEMPT(reads_etc_passwd),
    ATTEMPT(reads_parent_environment),
    ATTEMPT(writes_model),
    ATTEMPT(creates_beside_model),
    ATTEMPT(creates_in_tmp),
    ATTEMPT(removes_model),
    ATTEMPT(makes_unix_socket),
    ATTEMPT(makes_datagram_pair),
    ATTEMPT(listens),
    ATTEMPT_OF_SANITIZERS(traces_parent),
    ATTEMPT(executes),
    ATTEMPT_OF_SANITIZERS(forks),
    ATTEMPT_OF_SANITIZERS(vforks_by_number),
    ATTEMPT(kills_parent),
    ATTEMPT(kills_all),
    ATTEMPT(uses_io_uring),
    ATTEMPT(unshares),
    ATTEMPT(uses_bpf),
    ATTEMPT(mounts),
    ATTEMPT(uses_keyctl),
    ATTEMPT(uses_userfaultfd),
    ATTEMPT(opens_perf_events),
    ATTEMPT_OF_SANITIZERS(reads_parent_memory),
    ATTEMPT_OF_SANITIZERS(outlives_the_spawner),
    ATTEMPT(has_capabilities),
};

static const struct attempt forbidden_network[] = {
    ATTEMPT(makes_inet_socket),
    ATTEMPT(connects),
};

static const struct attempt forbidden_to_worker[] = {
    ATTEMPT(raises_a_limit), ATTEMPT(writes_state),  ATTEMPT(accepts),
    ATTEMPT(uses_memfd),     ATTEMPT(shares_memory),
};

static const struct attempt allowed_to_both[] = {
    ATTEMPT(reads_model),  ATTEMPT(lists_models),   ATTEMPT(reads_own_statistics),
    ATTEMPT(runs_threads), ATTEMPT(signals_itself), ATTEMPT(counts_processors),
};

static const struct attempt allowed_to_worker[] = {
    ATTEMPT(uses_stream_pair),
    ATTEMPT(loads_code),
};

static const struct attempt forbidden_to_exporter[] = {
    ATTEMPT(raises_a_limit), ATTEMPT(writes_state), ATTEMPT(accepts),
    ATTEMPT(lists_models),   ATTEMPT(reads_model),
};

static const struct attempt allowed_to_exporter[] = {
    ATTEMPT(connects_somewhere), ATTEMPT(resolves_names), ATTEMPT(runs_threads),
    ATTEMPT(uses_stream_pair),   ATTEMPT(signals_itself),
};

static const struct attempt allowed_to_front[] = {
    ATTEMPT(writes_state),
    ATTEMPT(accepts),
    ATTEMPT(uses_memfd),
};

/* ---- cages ---- */

static bool cage_worker(struct error *ret_error)
{
    const struct sandbox_path paths[] = {{models, SANDBOX_READ}};
    return sandbox_confine_worker(SANDBOX_AUTO, paths, 1, NULL, ret_error) &&
           sandbox_enter_worker(SANDBOX_AUTO, models, false, false, ret_error);
}

static bool cage_front(struct error *ret_error)
{
    const struct sandbox_path paths[] = {{models, SANDBOX_READ},
                                         {state_dir, SANDBOX_READ | SANDBOX_WRITE}};
    return sandbox_enter_front(SANDBOX_AUTO, paths, 2, ret_error);
}

/* What the attempt returned, in a process of its own. */
static int try_as(uid_t user, bool (*cage)(struct error *), const struct attempt *attempt)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct error error;
        if (user && (setgid(user) < 0 || setuid(user) < 0))
            _exit(CAGE_FAILED);
        if (!cage(&error)) {
            fprintf(stderr, "%s\n", error.message);
            _exit(CAGE_FAILED);
        }
        _exit(attempt->act());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) == CAGE_FAILED)
        fail_msg("%s as %d: wait status %d", attempt->name, user, status);
    return WEXITSTATUS(status);
}

/* An argument that makes no sense is no proof: the sandbox must have said no before. */
static bool refused(int result)
{
    return result == EPERM || result == EACCES || result == ENOSYS || result == EROFS ||
           result == EAFNOSUPPORT;
}

static void each(bool (*cage)(struct error *), const struct attempt *attempts, size_t count,
                 bool allowed)
{
    const uid_t users[] = {getuid(), NOBODY};
    for (size_t user = 0; user < (getuid() == 0 ? 2 : 1); user++) {
        for (size_t i = 0; i < count; i++) {
            if (SANDBOX_SANITIZED && attempts[i].of_sanitizers)
                continue;
            int result = try_as(users[user], cage, &attempts[i]);
            if (allowed ? result != WORKED : !refused(result))
                fail_msg("%s as %d: %s", attempts[i].name, users[user], strerrordesc_np(result));
        }
    }
}

#define EACH(cage, attempts, allowed)                                                              \
    each(cage, attempts, sizeof(attempts) / sizeof *(attempts), allowed)

static void a_worker_may_not(void **state)
{
    if (!sandbox_check(SANDBOX_STRICT, NULL))
        skip();
    EACH(cage_worker, forbidden_to_all, false);
    EACH(cage_worker, forbidden_network, false);
    EACH(cage_worker, forbidden_to_worker, false);
}

static void a_worker_may(void **state)
{
    EACH(cage_worker, allowed_to_both, true);
    EACH(cage_worker, allowed_to_worker, true);
}

static void the_front_may_not(void **state)
{
    static const struct attempt mdwe[] = {ATTEMPT(makes_memory_executable)};
    if (!sandbox_check(SANDBOX_STRICT, NULL))
        skip();
    EACH(cage_front, forbidden_to_all, false);
    EACH(cage_front, forbidden_network, false);
    if (prctl(66 /* PR_GET_MDWE */, 0, 0, 0, 0) >= 0)
        EACH(cage_front, mdwe, false);
}

static void the_front_may(void **state)
{
    EACH(cage_front, allowed_to_both, true);
    EACH(cage_front, allowed_to_front, true);
}

static bool cage_exporter(struct error *ret_error)
{
    return sandbox_enter_exporter(SANDBOX_AUTO, NULL, 0, ret_error);
}

static void the_exporter_may_not(void **state)
{
    if (!sandbox_check(SANDBOX_STRICT, NULL))
        skip();
    EACH(cage_exporter, forbidden_to_all, false);
    EACH(cage_exporter, forbidden_to_exporter, false);
}

static void the_exporter_may(void **state)
{
    EACH(cage_exporter, allowed_to_exporter, true);
}

/* A folder that its owner alone may enter, as a home often is. */
static bool cage_worker_of_a_private_folder(struct error *ret_error)
{
    return chmod(models, 0700) == 0 && chown(models, NOBODY, NOBODY) == 0 && cage_worker(ret_error);
}

static void root_may_serve_what_only_another_user_may_read(void **state)
{
    static const struct attempt reading = ATTEMPT(reads_model), writing = ATTEMPT(writes_model);
    if (getuid() != 0)
        skip();
    assert_int_equal(try_as(0, cage_worker_of_a_private_folder, &reading), WORKED);
    assert_true(refused(try_as(0, cage_worker_of_a_private_folder, &writing)));
    assert_int_equal(chmod(models, 0755) + chown(models, 0, 0), 0);
}

enum { WORKERS_FDS = 1024, MOST_FREE = 12 };

static int free_fds;

/* Of the descriptors that a worker may have, so many are left. Too few: EMFILE is the answer. */
static bool cage_worker_without_descriptors(struct error *ret_error)
{
    int last = 0;
    while (last >= 0 && last < WORKERS_FDS - 1)
        last = dup(STDERR_FILENO);
    for (int i = 0; i < free_fds; i++)
        close(WORKERS_FDS - 1 - i);
    if (!cage_worker(ret_error))
        _exit(EMFILE);
    return true;
}

/* A cage is whole, or it is none. */
static void a_lack_of_descriptors_makes_no_narrower_cage(void **state)
{
    static const struct attempt reading = ATTEMPT(lists_models);
    int result = EMFILE;
    for (free_fds = 0; free_fds < MOST_FREE; free_fds++) {
        result = try_as(getuid(), cage_worker_without_descriptors, &reading);
        assert_true(result == WORKED || result == EMFILE);
    }
    assert_int_equal(result, WORKED);
}

static void modes_have_names(void **state)
{
    enum sandbox_mode mode;
    char text[128];
    assert_true(sandbox_mode_of_name(SPAN("strict"), &mode));
    assert_int_equal(mode, SANDBOX_STRICT);
    assert_false(sandbox_mode_of_name(SPAN("on"), &mode));
    assert_string_equal(sandbox_describe(SANDBOX_OFF, 0, text, sizeof text), "off");
    assert_non_null(strstr(sandbox_describe(SANDBOX_AUTO, 0, text, sizeof text), "no_new_privs"));
}

/* ---- the ground ---- */

static void write_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

static int set_up(void **state)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    umask(022);
    assert_non_null(mkdtemp(base));
    snprintf(models, sizeof models, "%s/models", base);
    snprintf(model, sizeof model, "%s/model.onnx", models);
    snprintf(secret, sizeof secret, "%s/secret", base);
    snprintf(state_dir, sizeof state_dir, "%s/state", base);
    assert_int_equal(chmod(base, 0755) + mkdir(models, 0755) + mkdir(state_dir, 0777), 0);
    assert_int_equal(chmod(state_dir, 0777), 0);
    write_file(model);
    write_file(secret);
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&any, sizeof any), 0);
    return listen(listener, 1);
}

static int tear_down(void **state)
{
    close(listener);
    unlink(model);
    unlink(secret);
    rmdir(models);
    rmdir(state_dir);
    return rmdir(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_may_not),
        cmocka_unit_test(a_worker_may),
        cmocka_unit_test(the_front_may_not),
        cmocka_unit_test(the_front_may),
        cmocka_unit_test(the_exporter_may_not),
        cmocka_unit_test(the_exporter_may),
        cmocka_unit_test(root_may_serve_what_only_another_user_may_read),
        cmocka_unit_test(a_lack_of_descriptors_makes_no_narrower_cage),
        cmocka_unit_test(modes_have_names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
