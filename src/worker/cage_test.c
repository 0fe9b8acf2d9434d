/* Unit tests of worker/cage.h: how a kept process ends is how its init ends, and what it has of
 * its own nobody else has. Those that need namespaces are skipped where there are none. */
#include "worker/cage.h"
#include "worker/cage_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORDS_BYTES = 256, EXIT_SEEN = 0, EXIT_UNSEEN = 1 };

static char folder[] = "/tmp/tensord-init-XXXXXX";
static char inside[64], outside[64];

struct end {
    int status;
    bool passed_limit;
    char words[WORDS_BYTES];
};

/* Runs act in a kept process, after `meanwhile` in the caller, and waits for the init. */
static struct end run(const struct sandbox_share *share, int (*act)(void),
                      void (*meanwhile)(pid_t init))
{
    int words[2];
    struct end end = {.status = -1};
    assert_int_equal(pipe2(words, O_CLOEXEC), 0);
    pid_t init = cage_fork(share, words);
    if (init == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        _exit(act());
    }
    assert_true(init > 0);
    close(words[1]);
    if (meanwhile)
        meanwhile(init);
    assert_int_equal(waitpid(init, &end.status, 0), init);
    ssize_t size = read(words[0], end.words, WORDS_BYTES - 1);
    close(words[0]);
    struct span said = {end.words, size > 0 ? (size_t)size : 0};
    end.passed_limit = cage_words_read(&said, &end.status);
    if (said.size)
        memmove(end.words, said.data, said.size);
    end.words[said.size] = '\0';
    return end;
}

static int exits(void)
{
    return 3;
}

static int aborts(void)
{
    signal(SIGABRT, SIG_DFL);
    raise(SIGABRT);
    return 0;
}

static int kills_itself(void)
{
    kill(getpid(), SIGKILL);
    return 0;
}

static const struct sandbox_share alone = {.own = SANDBOX_INIT};

/* All that can be had here, or only an init. */
static struct sandbox_share all(void)
{
    char lack[320];
    return (struct sandbox_share){.own = cage_find_namespaces(lack, sizeof lack)};
}

static void it_ends_as_the_process_ends(void **state)
{
    const struct sandbox_share shares[] = {alone, all()};
    for (size_t i = 0; i < 2; i++) {
        struct end end = run(&shares[i], exits, NULL);
        assert_true(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 3);
        end = run(&shares[i], aborts, NULL);
        assert_true(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGABRT);
        end = run(&shares[i], kills_itself, NULL);
        assert_true(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGKILL);
        assert_false(end.passed_limit);
        assert_string_equal(end.words, "");
    }
}

static _Noreturn int waits(void)
{
    for (;;)
        pause();
}

static void sends_term(pid_t init)
{
    assert_int_equal(kill(init, SIGTERM), 0);
}

static void sends_kill(pid_t init)
{
    assert_int_equal(kill(init, SIGKILL), 0);
}

static void it_passes_signals_on(void **state)
{
    const struct sandbox_share shares[] = {alone, all()};
    for (size_t i = 0; i < 2; i++) {
        struct end end = run(&shares[i], waits, sends_term);
        assert_true(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGTERM);
        end = run(&shares[i], waits, sends_kill);
        assert_true(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGKILL);
    }
}

/* ---- what it has of its own ---- */

static int is_the_second_of_two(void)
{
    return getpid() == 2 && getppid() == 1 ? EXIT_SEEN : EXIT_UNSEEN;
}

/* Leaves one behind that would live for ever. */
static int leaves_an_orphan(void)
{
    if (fork() == 0 && fork() == 0)
        waits();
    return 0;
}

static int has_no_interface(void)
{
    struct if_nameindex *names = if_nameindex();
    bool one = names && names[0].if_index && !names[1].if_index;
    return one ? EXIT_SEEN : EXIT_UNSEEN;
}

static int connects_to_itself(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t size = sizeof any;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = bind(listener, (struct sockaddr *)&any, sizeof any) == 0 &&
                     listen(listener, 1) == 0 &&
                     getsockname(listener, (struct sockaddr *)&any, &size) == 0 &&
                     connect(fd, (struct sockaddr *)&any, sizeof any) == 0;
    return connected ? EXIT_SEEN : EXIT_UNSEEN;
}

static void its_processes_and_network_are_its_own(void **state)
{
    struct sandbox_share share = all();
    if (!(share.own & SANDBOX_OWN_PROCESSES) || !(share.own & SANDBOX_OWN_NETWORK))
        skip();
    assert_int_equal(run(&share, is_the_second_of_two, NULL).status, 0);
    assert_int_equal(run(&share, leaves_an_orphan, NULL).status, 0); /* and has not waited for it */
    assert_int_equal(run(&share, has_no_interface, NULL).status, 0);
    assert_int_not_equal(run(&share, connects_to_itself, NULL).status, 0);
    share.own |= SANDBOX_OWN_LOOPBACK;
    assert_int_equal(run(&share, connects_to_itself, NULL).status, 0);
}

static struct sandbox_share caged; /* of the next two */

static bool exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

static bool can_make(const char *at)
{
    char path[96];
    snprintf(path, sizeof path, "%s/made", at);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int fails(const char *what)
{
    fprintf(stderr, "%s\n", what);
    return EXIT_UNSEEN;
}

static char starter[32]; /* this process, as /proc of others has it */

static int sees_its_rows_alone(void)
{
    struct error error;
    char target[64] = "";
    const struct sandbox_path rows[] = {{"/tmp", SANDBOX_READ | SANDBOX_WRITE | SANDBOX_FRESH},
                                        {inside, SANDBOX_READ},
                                        {"/no/such/path", SANDBOX_READ}};
    if (!sandbox_confine_worker(SANDBOX_AUTO, rows, 3, &caged, &error))
        return fails(error.message);
    if (!exists(inside) || !exists("/usr/lib") || !exists("/dev/null") ||
        !exists("/proc/self/stat"))
        return fails("a row is missing");
    if (exists(outside) || exists("/home") || exists("/root") || exists("/etc/passwd") ||
        exists("/var") || exists("/dev/mem") || exists(starter))
        return fails("there is more than its rows");
    if (can_make(inside) || can_make("/") || can_make("/usr/lib") || can_make("/dev"))
        return fails("it may write");
    return can_make("/tmp") && readlink("/dev/shm", target, sizeof target - 1) > 0 &&
                   strcmp(target, "/tmp") == 0 && exists("/tmp/made")
               ? EXIT_SEEN
               : fails("no /tmp of its own");
}

/* By the path that leads over a link, out of the folder and back. */
static int finds_a_row_by_its_links(void)
{
    struct error error;
    char link[80], through[128];
    snprintf(link, sizeof link, "%s/link", folder);
    snprintf(through, sizeof through, "%s/../inside/file", link);
    const struct sandbox_path rows[] = {{link, SANDBOX_READ}, {through, 0}};
    if (!sandbox_confine_worker(SANDBOX_AUTO, rows, 2, &caged, &error))
        return fails(error.message);
    snprintf(through, sizeof through, "%s/file", link);
    int fd = open(through, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && !exists(outside) ? EXIT_SEEN : fails("the link leads nowhere");
}

static int fills_its_folder(void)
{
    struct error error;
    char block[4096] = {1};
    size_t written = 0;
    const struct sandbox_path row = {"/tmp", SANDBOX_READ | SANDBOX_WRITE | SANDBOX_FRESH};
    if (!sandbox_confine_worker(SANDBOX_AUTO, &row, 1, &caged, &error))
        return fails(error.message);
    int fd = open("/tmp/big", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (written < (size_t)8 << 20 && write(fd, block, sizeof block) == sizeof block)
        written += sizeof block;
    return errno == ENOSPC && written <= (size_t)2 << 20 ? EXIT_SEEN : fails("it has no bound");
}

static void its_root_is_its_own(void **state)
{
    caged = all();
    if (!(caged.own & SANDBOX_OWN_ROOT))
        skip();
    caged.limits.scratch_mib = 2;
    snprintf(starter, sizeof starter, "/proc/%d", (int)getpid());
    assert_int_equal(run(&caged, sees_its_rows_alone, NULL).status, 0);
    assert_int_equal(run(&caged, finds_a_row_by_its_links, NULL).status, 0);
    assert_int_equal(run(&caged, fills_its_folder, NULL).status, 0);
    assert_true(exists(outside) && exists("/home"));
    char made[96];
    snprintf(made, sizeof made, "%s/made", inside);
    assert_false(exists(made));
}

/* ---- limits ---- */

static int takes_memory(void)
{
    struct error error;
    if (!sandbox_confine_worker(SANDBOX_AUTO, NULL, 0, &caged, &error))
        return fails(error.message);
    enum { BLOCK = 32 << 20 };
    char *block =
        mmap(NULL, 4 * (size_t)BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(block, 1, 4 * (size_t)BLOCK);
    return waits();
}

static void what_uses_too_much_is_ended(void **state)
{
    const struct sandbox_share shares[] = {alone, all()};
    for (size_t i = 0; i < 2; i++) {
        caged = shares[i];
        caged.limits = (struct process_limits){.memory_mib = 64};
        struct end end = run(&caged, takes_memory, NULL);
        assert_true(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGKILL);
        assert_true(end.passed_limit);
        assert_non_null(strstr(end.words, "its limit is 64 MiB: set sandbox.memory_mib"));
    }
}

enum { BLOCK_BYTES = 40 << 20, CHILDREN = 3 };

/* Starts processes, each in a session of its own, that touch a block each, or all the same one. */
static int starts_others(bool shared)
{
    char *block = mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE,
                       (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
    int done[2];
    char bytes[CHILDREN];
    assert_int_equal(pipe(done), 0);
    for (int i = 0; i < CHILDREN; i++) {
        if (fork() != 0)
            continue;
        setsid();
        memset(block, 1, BLOCK_BYTES);
        if (write(done[1], "", 1) == 1)
            waits();
    }
    for (size_t got = 0; got < sizeof bytes;)
        got += (size_t)read(done[0], bytes, sizeof bytes - got);
    return EXIT_SEEN;
}

static int starts_some_that_take(void)
{
    starts_others(false);
    return waits();
}

/* As servers do: what has more privilege than its init is not looked into. */
static void give_up_privilege(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}};
    syscall(SYS_capset, &head, none);
}

/* Long enough to be looked at, several times and closely. */
static int starts_some_that_share(void)
{
    give_up_privilege();
    starts_others(true);
    usleep(1500 * 1000);
    return EXIT_SEEN;
}

static int starts_threads_of_its_own(void)
{
    for (int i = 0; i < 12; i++)
        if (fork() == 0)
            waits();
    return waits();
}

/* Whether a process that has this pipe's other end lives. */
static int alive[2];

static bool all_are_gone(void)
{
    char byte;
    close(alive[1]);
    ssize_t size = read(alive[0], &byte, 1); /* ends when the last one has ended */
    close(alive[0]);
    return size == 0;
}

static void all_that_it_starts_is_bounded_together(void **state)
{
    const struct sandbox_share server = {
        .own = SANDBOX_INIT, .serves = true, .limits = {.memory_mib = 100, .pids = 10}};
    assert_int_equal(pipe2(alive, O_CLOEXEC), 0);
    struct end end = run(&server, starts_some_that_take, NULL);
    assert_true(end.passed_limit && WTERMSIG(end.status) == SIGKILL);
    assert_non_null(strstr(end.words, "its limit is 100 MiB: set sandbox.memory_mib"));
    assert_true(all_are_gone());
    assert_int_equal(pipe2(alive, O_CLOEXEC), 0);
    struct sandbox_share roomy = server; /* as sanitizers take memory in each process */
    roomy.limits.memory_mib = 4096;
    end = run(&roomy, starts_threads_of_its_own, NULL);
    assert_true(end.passed_limit);
    assert_non_null(strstr(end.words, "its limit is 10: set sandbox.pids in its model.yaml, or "
                                      "--server-pids"));
    assert_true(all_are_gone());
    end = run(&server, starts_some_that_share, NULL);
    assert_false(end.passed_limit);
    assert_int_equal(end.status, 0);
    struct sandbox_share small = server;
    small.limits.memory_mib = 30;
    end = run(&small, starts_some_that_share, NULL);
    assert_true(end.passed_limit);
    const char *used = strstr(end.words, "it used ");
    assert_non_null(used);
    assert_in_range(strtoul(used + 8, NULL, 10), 30, 99); /* once, and not three times */
}

static void usage_is_read_from_the_kernels_texts(void **state)
{
    struct cage_process process;
    cage_process_read(&process, SPAN("Name:\tRssAnon: 9\nState:\tR\nThreads:\t2\n"
                                     "VmSwap:\t    1024 kB\nRssAnon:\t    1024 kB\n"
                                     "RssFile:\t 9999999 kB\nRssShmem:\t 7 kB\n"));
    assert_int_equal(process.own_bytes, 2 << 20);
    assert_int_equal(process.shared_bytes, 7 << 10);
    assert_int_equal(process.threads, 2);
    cage_process_read(&process, SPAN("00400000-7fff r--p 00000000 00:00 0 [rollup]\nRss: 900 kB\n"
                                     "Pss:  500 kB\nPss_Anon:  1 kB\nPss_File:  90 kB\n"
                                     "Pss_Shmem:  3 kB\nSwapPss:  1 kB\n"));
    assert_int_equal(process.own_bytes, 2 << 10);
    assert_int_equal(process.shared_bytes, 3 << 10);
}

static void what_is_too_much_is_said(void **state)
{
    char text[WORDS_BYTES];
    struct sandbox_share share = {.limits = {.memory_mib = 3, .scratch_mib = 8, .pids = 5}};
    struct cage_usage usage = {.memory_bytes = 3 << 20, .pids = 5, .disk_bytes = 8 << 20};
    assert_false(cage_usage_exceeds(&usage, &share, text, sizeof text));
    usage.pids = 6;
    assert_true(cage_usage_exceeds(&usage, &share, text, sizeof text));
    assert_string_equal(text, "it ran 6 threads and processes, its limit is 5: set sandbox.pids in "
                              "its model.yaml, or --worker-pids");
    usage.disk_bytes = 9 << 20;
    share.serves = true;
    assert_true(cage_usage_exceeds(&usage, &share, text, sizeof text));
    assert_string_equal(text, "it wrote 9 MiB to its scratch folder, its limit is 8 MiB: set "
                              "sandbox.scratch_mib in its model.yaml, or --server-scratch-mib");
    usage.memory_bytes = 4 << 20;
    assert_true(cage_usage_exceeds(&usage, &share, text, sizeof text));
    assert_non_null(strstr(text, "it used 4 MiB of memory, its limit is 3 MiB"));
    share.limits = (struct process_limits){0};
    assert_false(cage_usage_exceeds(&usage, &share, text, sizeof text));
}

static void words_of_others_are_left(void **state)
{
    struct span words = SPAN("cannot start");
    int status = 5;
    assert_false(cage_words_read(&words, &status));
    assert_true(span_equal(words, SPAN("cannot start")) && status == 5);
    words = (struct span){"cannot start\0\x09", 14};
    assert_false(cage_words_read(&words, &status));
    assert_true(span_equal(words, SPAN("cannot start")) && status == 9);
    words = (struct span){"\0\x09it used", 9};
    assert_true(cage_words_read(&words, &status));
    assert_true(span_equal(words, SPAN("it used")));
    words = (struct span){"", 0};
    assert_false(cage_words_read(&words, &status));
}

static int set_up(void **state)
{
    char path[96];
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM); /* as in the spawner: none comes before the init can take it */
    sigprocmask(SIG_BLOCK, &term, NULL);
    signal(SIGCHLD, SIG_DFL);
    assert_non_null(mkdtemp(folder));
    snprintf(inside, sizeof inside, "%s/inside", folder);
    snprintf(outside, sizeof outside, "%s/outside", folder);
    snprintf(path, sizeof path, "%s/link", folder);
    assert_int_equal(mkdir(inside, 0755) + mkdir(outside, 0755), 0);
    assert_int_equal(symlink(inside, path), 0);
    snprintf(path, sizeof path, "%s/file", inside);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    return close(fd);
}

static int tear_down(void **state)
{
    char path[96];
    snprintf(path, sizeof path, "%s/file", inside);
    unlink(path);
    snprintf(path, sizeof path, "%s/link", folder);
    unlink(path);
    rmdir(inside);
    rmdir(outside);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_ends_as_the_process_ends),
        cmocka_unit_test(it_passes_signals_on),
        cmocka_unit_test(its_processes_and_network_are_its_own),
        cmocka_unit_test(its_root_is_its_own),
        cmocka_unit_test(what_uses_too_much_is_ended),
        cmocka_unit_test(all_that_it_starts_is_bounded_together),
        cmocka_unit_test(usage_is_read_from_the_kernels_texts),
        cmocka_unit_test(what_is_too_much_is_said),
        cmocka_unit_test(words_of_others_are_left),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
