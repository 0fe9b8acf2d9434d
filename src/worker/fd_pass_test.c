/* Unit tests of worker/fd_pass.h. */
#include "worker/fd_pass.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

/* Sends `count` ends of pipes and takes up to `most` of them; whether each one's other end sees it
 * gone shows whether it was closed. */
static void pass(size_t count, size_t most)
{
    int line[2], pipes[FD_PASS_MOST][2], ends[FD_PASS_MOST], got[FD_PASS_MOST];
    char word[4] = "";
    size_t came;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line), 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pipe2(pipes[i], O_CLOEXEC), 0);
        ends[i] = pipes[i][1];
    }
    assert_int_equal(fd_pass_send(line[0], "word", 4, ends, count, 0), 0);
    for (size_t i = 0; i < count; i++)
        close(ends[i]);
    assert_int_equal(fd_pass_receive(line[1], word, sizeof word, got, most, &came), 4);
    assert_memory_equal(word, "word", 4);
    assert_int_equal(came, count);
    for (size_t i = 0; i < count; i++) {
        char byte;
        if (i < most) {
            assert_int_equal(write(got[i], "x", 1), 1);
            assert_int_equal(close(got[i]), 0);
            assert_int_equal(read(pipes[i][0], &byte, 1), 1);
        }
        assert_int_equal(read(pipes[i][0], &byte, 1), 0);
        close(pipes[i][0]);
    }
    close(line[0]);
    close(line[1]);
}

static void descriptors_arrive_in_order(void **state)
{
    pass(0, 0);
    pass(1, 1);
    pass(FD_PASS_MOST, FD_PASS_MOST);
}

static void those_beyond_are_closed(void **state)
{
    pass(2, 1);
    pass(FD_PASS_MOST, 3);
    pass(1, 0);
}

static void a_failure_is_an_errno(void **state)
{
    int line[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line), 0);
    close(line[1]);
    assert_int_equal(fd_pass_send(line[0], "x", 1, NULL, 0, 0), EPIPE);
    close(line[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_arrive_in_order),
        cmocka_unit_test(those_beyond_are_closed),
        cmocka_unit_test(a_failure_is_an_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
