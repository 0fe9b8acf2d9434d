/* Unit tests of worker/cgroup.h, with the kernel's own groups where this user may make some; how
 * much a group bounds is only seen where it controls memory, which the test then says. */
#include "worker/cgroup.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

/* A group of the test's own in the kernel's file system; -1: this user may make none. */
static int make_base(char path[128])
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char procs[64];
        snprintf(procs, sizeof procs, "%s/cgroup.controllers", places[i]);
        snprintf(path, 128, "%s/tensord-test-%d", places[i], (int)getpid());
        if (access(procs, F_OK) == 0 && mkdir(path, 0755) == 0)
            return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return -1;
}

/* What this process's group is called. */
static bool is_in(const char *name)
{
    char text[1024] = "";
    FILE *file = fopen("/proc/self/cgroup", "re");
    size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[size] = '\0';
    if (file)
        fclose(file);
    return strstr(text, name) != NULL;
}

static void a_process_enters_its_group_and_the_group_goes(void **state)
{
    char path[128], name[CGROUP_NAME_BYTES];
    struct cgroup cgroup = {make_base(path)};
    int status;
    if (cgroup.base < 0)
        skip();
    cgroup_name(12, 34, name);
    assert_string_equal(name, "worker-12-34");
    assert_true(cgroup_make(&cgroup, name, &(struct process_limits){0}));
    pid_t child = fork();
    if (child == 0)
        _exit(cgroup_enter(&cgroup, name) && is_in(name) ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_false(is_in(name));
    assert_false(cgroup_remove(&cgroup, name)); /* nobody was ended */
    assert_int_not_equal(faccessat(cgroup.base, name, F_OK, 0), 0);
    cgroup_close(&cgroup);
    assert_int_equal(rmdir(path), 0);
}

/* Written by a group that controls nothing, the limit cannot be kept, and none is left behind. */
static void a_group_without_control_is_not_made(void **state)
{
    char path[128], there[256] = "";
    struct cgroup cgroup = {make_base(path)};
    if (cgroup.base < 0)
        skip();
    int fd = openat(cgroup.base, "cgroup.controllers", O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, there, sizeof there - 1) >= 0);
    close(fd);
    if (!strstr(there, "memory")) {
        const struct process_limits limits = {.memory_mib = 64};
        char lack[200];
        assert_false(cgroup_make(&cgroup, "worker", &limits));
        assert_int_not_equal(faccessat(cgroup.base, "worker", F_OK, 0), 0);
        assert_false(cgroup_prepare(cgroup.base, lack, sizeof lack));
        assert_string_equal(lack, "its cgroup does not control memory and processes");
    }
    cgroup_close(&cgroup);
    assert_int_equal(rmdir(path), 0);
}

static void without_a_folder_of_its_own_it_says_why(void **state)
{
    struct cgroup cgroup;
    char lack[320];
    pid_t child = fork();
    int status;
    if (child == 0) { /* which would be moved */
        cgroup_open(&cgroup, lack, sizeof lack);
        _exit((cgroup.base < 0) == (lack[0] != '\0') ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_enters_its_group_and_the_group_goes),
        cmocka_unit_test(a_group_without_control_is_not_made),
        cmocka_unit_test(without_a_folder_of_its_own_it_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
