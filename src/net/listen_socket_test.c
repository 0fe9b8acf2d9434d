/* Unit tests of net/listen_socket.h: addresses, unix sockets' files, socket activation. */
#include "net/listen_socket.h"

#include "net/address.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char unix_address[64]; /* "unix:PATH" */
#define UNIX_PATH (unix_address + strlen("unix:"))

static int start(void **state)
{
    snprintf(unix_address, sizeof unix_address, "unix:/tmp/listen_test.%d", (int)getpid());
    return 0;
}

static int end(void **state)
{
    unlink(UNIX_PATH);
    return 0;
}

static struct listen_socket opened(const char *address)
{
    struct error error;
    struct listen_socket socket;
    if (!listen_socket_open(address, LISTEN_MAIN, 0600, &socket, &error))
        fail_msg("%s", error.message);
    return socket;
}

static void drop(struct listen_socket *socket)
{
    listen_socket_remove_file(socket);
    listen_socket_close(socket);
}

static void assert_refused(const char *address, const char *why)
{
    struct error error = {.message = ""};
    struct listen_socket socket;
    assert_false(listen_socket_open(address, LISTEN_MAIN, 0600, &socket, &error));
    assert_non_null(strstr(error.message, address));
    if (!strstr(error.message, why))
        fail_msg("'%s' does not say '%s'", error.message, why);
}

static void assert_connects(const char *address)
{
    struct sockaddr_storage to;
    socklen_t size;
    assert_true(address_parse(address, &to, &size, NULL));
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, size), 0);
    close(fd);
}

/* ---- opening ---- */

static void the_chosen_port_is_told(void **state)
{
    char text[64], expected[64];
    struct listen_socket socket = opened("127.0.0.1:0");
    unsigned port = address_port(&socket.address);
    assert_true(port > 0);
    snprintf(expected, sizeof expected, "http://127.0.0.1:%u", port);
    assert_string_equal(listen_socket_format(&socket, false, text, sizeof text), expected);
    snprintf(expected, sizeof expected, "https://127.0.0.1:%u", port);
    assert_string_equal(listen_socket_format(&socket, true, text, sizeof text), expected);
    assert_connects(text + strlen("https://"));
    assert_true(listen_socket_is_at(&socket, text + strlen("https://")));
    assert_true(listen_socket_is_at(&socket, "localhost:0"));
    assert_false(listen_socket_is_at(&socket, "127.0.0.1:1"));
    assert_false(listen_socket_is_at(&socket, "0.0.0.0:0"));
    assert_false(listen_socket_is_at(&socket, "nonsense"));
    assert_true(listen_socket_is_local(&socket));
    drop(&socket);
    assert_int_equal(socket.fd, -1);
    drop(&socket);
}

static void beyond_loopback_is_not_local(void **state)
{
    struct listen_socket socket = opened("0.0.0.0:0");
    assert_false(listen_socket_is_local(&socket));
    drop(&socket);
}

static void an_address_in_use_is_named(void **state)
{
    char address[64];
    struct listen_socket socket = opened("127.0.0.1:0");
    snprintf(address, sizeof address, "127.0.0.1:%u", address_port(&socket.address));
    assert_refused(address, "another server");
    assert_refused("nonsense", "HOST:PORT");
    assert_refused("192.0.2.1:0", "no such address"); /* TEST-NET-1, RFC 5737 */
    drop(&socket);
}

static void a_role_says_whether_tls_is_spoken(void **state)
{
    static const struct {
        enum listen_role role;
        bool with, without; /* a certificate */
    } rows[] = {{LISTEN_MAIN, true, false},
                {LISTEN_GRPC, true, false},
                {LISTEN_METRICS, true, false},
                {LISTEN_HTTP, false, false},
                {LISTEN_HTTPS, true, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum listen_role role;
        struct listen_socket ip = {.role = rows[i].role, .address.ss_family = AF_INET};
        struct listen_socket file = {.role = rows[i].role, .address.ss_family = AF_UNIX};
        assert_int_equal(listen_socket_is_tls(&ip, true), rows[i].with);
        assert_int_equal(listen_socket_is_tls(&ip, false), rows[i].without);
        assert_false(listen_socket_is_tls(&file, true));
        assert_true(listen_role_of_name(span_of(listen_role_name(rows[i].role)), &role));
        assert_int_equal(role, rows[i].role);
    }
    enum listen_role untouched = LISTEN_GRPC;
    assert_false(listen_role_of_name(SPAN("nonsense"), &untouched));
    assert_int_equal(untouched, LISTEN_GRPC);
}

/* ---- unix sockets ---- */

static mode_t mode_of_file(void)
{
    struct stat file;
    assert_int_equal(stat(UNIX_PATH, &file), 0);
    return file.st_mode & 07777;
}

static void a_unix_socket_is_for_its_user_alone(void **state)
{
    char text[64];
    mode_t mask = umask(0);
    struct listen_socket socket = opened(unix_address);
    umask(mask);
    assert_int_equal(mode_of_file(), 0600);
    assert_string_equal(listen_socket_format(&socket, true, text, sizeof text), unix_address);
    assert_true(listen_socket_is_local(&socket));
    assert_true(listen_socket_is_at(&socket, unix_address));
    assert_connects(unix_address);
    assert_refused(unix_address, "a server listens there");
    drop(&socket);
    assert_int_equal(access(UNIX_PATH, F_OK), -1);
}

static void the_mode_is_what_was_asked_for(void **state)
{
    struct listen_socket socket;
    mode_t mask = umask(0077);
    assert_true(listen_socket_open(unix_address, LISTEN_MAIN, 0660, &socket, NULL));
    umask(mask);
    assert_int_equal(mode_of_file(), 0660);
    drop(&socket);
}

/* Files that are made after this call have a later time of change. */
static void await_next_tick(const struct timespec *changed)
{
    struct timespec now;
    do {
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
    } while (now.tv_sec == changed->tv_sec && now.tv_nsec == changed->tv_nsec);
}

static void a_stale_unix_socket_is_replaced(void **state)
{
    struct listen_socket killed = opened(unix_address);
    listen_socket_close(&killed); /* leaves the file, as a server that is killed does */
    await_next_tick(&killed.changed);
    struct listen_socket socket = opened(unix_address);
    assert_connects(unix_address);
    listen_socket_remove_file(&killed); /* not its own any more */
    assert_connects(unix_address);
    drop(&socket);
}

static void a_file_that_is_no_socket_stays(void **state)
{
    close(open(UNIX_PATH, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_refused(unix_address, "in use");
    assert_int_equal(access(UNIX_PATH, F_OK), 0);
}

/* ---- taking over ---- */

static void a_listening_socket_is_adopted(void **state)
{
    int no_delay = 0, alive = 0;
    socklen_t size = sizeof no_delay;
    struct listen_socket first = opened("127.0.0.1:0"), second;
    struct error error;
    assert_int_equal(fcntl(first.fd, F_SETFD, 0), 0);
    assert_int_equal(fcntl(first.fd, F_SETFL, 0), 0);
    assert_true(listen_socket_adopt(first.fd, LISTEN_GRPC, &second, &error));
    assert_int_equal(second.fd, first.fd);
    assert_int_equal(second.role, LISTEN_GRPC);
    assert_true(address_equal(&first.address, &second.address));
    assert_int_equal(fcntl(second.fd, F_GETFD), FD_CLOEXEC);
    assert_true(fcntl(second.fd, F_GETFL) & O_NONBLOCK);
    assert_int_equal(getsockopt(second.fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
    assert_int_equal(no_delay, 1);
    assert_int_equal(getsockopt(second.fd, SOL_SOCKET, SO_KEEPALIVE, &alive, &size), 0);
    assert_int_equal(alive, 1);
    drop(&second);
}

static void the_file_of_an_adopted_socket_is_not_ours(void **state)
{
    struct listen_socket first = opened(unix_address), second;
    assert_true(listen_socket_adopt(first.fd, LISTEN_MAIN, &second, NULL));
    assert_true(listen_socket_is_at(&second, unix_address));
    drop(&second);
    assert_int_equal(access(UNIX_PATH, F_OK), 0);
    listen_socket_own_file(&second); /* unless it was handed over */
    listen_socket_remove_file(&second);
    assert_int_equal(access(UNIX_PATH, F_OK), -1);
}

static void assert_not_adopted(int fd, const char *why)
{
    struct error error = {.message = ""};
    struct listen_socket socket = {.fd = -7};
    assert_false(listen_socket_adopt(fd, LISTEN_MAIN, &socket, &error));
    if (!strstr(error.message, why))
        fail_msg("'%s' does not say '%s'", error.message, why);
    assert_int_equal(socket.fd, -7);
    close(fd);
}

static void what_does_not_listen_is_not_adopted(void **state)
{
    int pipe_fds[2], pair[2];
    assert_int_equal(pipe(pipe_fds), 0);
    close(pipe_fds[1]);
    assert_not_adopted(pipe_fds[0], "is no socket");
    assert_not_adopted(pipe_fds[0], "is no socket"); /* closed */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    close(pair[1]);
    assert_not_adopted(pair[0], "no listening stream socket"); /* as with Accept=yes */
    assert_not_adopted(socket(AF_INET, SOCK_DGRAM, 0), "no listening stream socket");
    assert_not_adopted(socket(AF_NETLINK, SOCK_RAW, 0), "neither a TCP nor a unix socket");
    int packets = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    struct sockaddr_storage address;
    socklen_t size;
    assert_true(address_parse(unix_address, &address, &size, NULL));
    assert_int_equal(bind(packets, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(packets, 1), 0);
    assert_not_adopted(packets, "no listening stream socket");
}

/* ---- socket activation ---- */

/* What a process that was started with these variables and one socket at 3 makes of them: the
 * number of sockets, or its complaint. */
struct inherited {
    bool fine;
    size_t count;
    enum listen_role roles[2];
    bool variables_left;
    struct error error;
};

static struct inherited inherit(const char *pid, const char *fds, const char *names)
{
    struct inherited result = {0};
    int report[2];
    assert_int_equal(pipe2(report, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char own[16];
        struct listen_socket sockets[LISTEN_SOCKETS];
        struct listen_socket one = opened("127.0.0.1:0"), two = opened("127.0.0.1:0");
        int write_to = fcntl(report[1], F_DUPFD_CLOEXEC, 100);
        dup2(fcntl(one.fd, F_DUPFD_CLOEXEC, 100), 3);
        dup2(fcntl(two.fd, F_DUPFD_CLOEXEC, 100), 4);
        close_range(5, 99, 0);
        snprintf(own, sizeof own, "%d", (int)getpid());
        setenv("LISTEN_PID", pid ? pid : own, 1);
        setenv("LISTEN_FDS", fds, 1);
        if (names)
            setenv("LISTEN_FDNAMES", names, 1);
        result.fine = listen_socket_inherit(sockets, &result.count, &result.error);
        for (size_t i = 0; i < result.count && i < 2; i++)
            result.roles[i] = sockets[i].role;
        result.variables_left =
            getenv("LISTEN_PID") || getenv("LISTEN_FDS") || getenv("LISTEN_FDNAMES");
        _exit(write(write_to, &result, sizeof result) != sizeof result);
    }
    close(report[1]);
    assert_int_equal(read(report[0], &result, sizeof result), sizeof result);
    close(report[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_false(result.variables_left);
    return result;
}

static void sockets_are_inherited_by_name(void **state)
{
    struct inherited two = inherit(NULL, "2", "grpc:tensord.socket");
    assert_true(two.fine);
    assert_int_equal(two.count, 2);
    assert_int_equal(two.roles[0], LISTEN_GRPC);
    assert_int_equal(two.roles[1], LISTEN_MAIN);
    struct inherited unnamed = inherit(NULL, "1", NULL);
    assert_true(unnamed.fine);
    assert_int_equal(unnamed.count, 1);
    assert_int_equal(unnamed.roles[0], LISTEN_MAIN);
}

static void sockets_for_another_process_are_left_alone(void **state)
{
    struct inherited parents = inherit("1", "2", "main:grpc");
    assert_true(parents.fine);
    assert_int_equal(parents.count, 0);
    assert_true(inherit("x", "2", NULL).fine);
}

static void bad_activation_is_refused(void **state)
{
    struct inherited beyond = inherit(NULL, "3", "main:grpc:extra"); /* 5 is no socket */
    assert_false(beyond.fine);
    assert_non_null(strstr(beyond.error.message, "'extra'"));
    struct inherited number = inherit(NULL, "many", NULL);
    assert_false(number.fine);
    assert_non_null(strstr(number.error.message, "LISTEN_FDS is 'many'"));
    assert_false(inherit(NULL, "33", NULL).fine);
    assert_false(inherit(NULL, "-1", NULL).fine);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_chosen_port_is_told),
        TEST(beyond_loopback_is_not_local),
        TEST(an_address_in_use_is_named),
        TEST(a_role_says_whether_tls_is_spoken),
        TEST(a_unix_socket_is_for_its_user_alone),
        TEST(the_mode_is_what_was_asked_for),
        TEST(a_stale_unix_socket_is_replaced),
        TEST(a_file_that_is_no_socket_stays),
        TEST(a_listening_socket_is_adopted),
        TEST(the_file_of_an_adopted_socket_is_not_ours),
        TEST(what_does_not_listen_is_not_adopted),
        TEST(sockets_are_inherited_by_name),
        TEST(sockets_for_another_process_are_left_alone),
        TEST(bad_activation_is_refused),
    };
    return cmocka_run_group_tests_name("net/listen_socket", tests, NULL, NULL);
}
