/* What the machine allows, read from folders that look like /sys/fs/cgroup. */
#include "base/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/machine_test_XXXXXX";

static void put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *file = fopen(path, "w");
    if (!file)
        abort();
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void make(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void drop(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(remove(path), 0);
}

static void the_least_limit_above_counts(void **state)
{
    assert_non_null(mkdtemp(root));
    make("pod");
    make("pod/box");
    put("pod/memory.max", "1000000\n");
    put("pod/box/memory.max", "max\n");
    assert_int_equal(machine_cgroup_bytes(root, "0::/pod/box\n"), 1000000);
    put("pod/box/memory.max", "5000\n");
    assert_int_equal(machine_cgroup_bytes(root, "0::/pod/box\n"), 5000);
    assert_true(machine_cgroup_bytes(root, "0::/\n") == UINT64_MAX);
    put("memory.max", "700\n"); /* the root, as a container sees it */
    assert_int_equal(machine_cgroup_bytes(root, "0::/not/seen/here\n"), 700);
    make("memory");
    put("memory/memory.limit_in_bytes", "300\n");
    assert_int_equal(machine_cgroup_bytes(root, "12:cpu,cpuacct:/a\n4:memory:/a\n"), 300);
    static const char *const made[] = {"memory/memory.limit_in_bytes",
                                       "memory",
                                       "memory.max",
                                       "pod/box/memory.max",
                                       "pod/box",
                                       "pod/memory.max",
                                       "pod",
                                       ""};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        drop(made[i]);
}

static void nonsense_is_no_limit(void **state)
{
    assert_true(machine_cgroup_bytes("/nonexistent", "") == UINT64_MAX);
    assert_true(machine_cgroup_bytes("/nonexistent", ":::\n\n0:\nx") == UINT64_MAX);
    assert_true(machine_memory_bytes() > 1 << 20);
}

static void the_least_share_of_processors_counts(void **state)
{
    static const char *const made[] = {"cpu/cpu.cfs_period_us",
                                       "cpu/cpu.cfs_quota_us",
                                       "cpu",
                                       "pod/box/cpu.max",
                                       "pod/box",
                                       "pod/cpu.max",
                                       "pod"};
    snprintf(root, sizeof root, "/tmp/machine_test_XXXXXX");
    assert_non_null(mkdtemp(root));
    make("pod");
    make("pod/box");
    put("pod/cpu.max", "250000 100000\n");
    put("pod/box/cpu.max", "max 100000\n");
    assert_int_equal(machine_cgroup_cpu_percent(root, "0::/pod/box\n"), 250);
    put("pod/box/cpu.max", "33333 100000\n");
    assert_int_equal(machine_cgroup_cpu_percent(root, "0::/pod/box\n"), 34);
    assert_true(machine_cgroup_cpu_percent(root, "0::/\n") == UINT64_MAX);
    put("pod/box/cpu.max", "1 0\n");
    assert_int_equal(machine_cgroup_cpu_percent(root, "0::/pod/box\n"), 250);
    make("cpu");
    put("cpu/cpu.cfs_quota_us", "-1\n");
    put("cpu/cpu.cfs_period_us", "100000\n");
    assert_true(machine_cgroup_cpu_percent(root, "3:cpuacct,cpu:/a\n") == UINT64_MAX);
    put("cpu/cpu.cfs_quota_us", "400000\n");
    assert_int_equal(machine_cgroup_cpu_percent(root, "3:cpuacct,cpu:/a\n"), 400);
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        drop(made[i]);
    assert_int_equal(rmdir(root), 0);
}

static void processors_that_are_ours(void **state)
{
    const struct cpu_list cpus = machine_cpus();
    assert_true(cpu_list_count(&cpus) > 0);
    assert_in_range(machine_processors(), 1, cpu_list_count(&cpus));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_limit_above_counts),
        cmocka_unit_test(nonsense_is_no_limit),
        cmocka_unit_test(the_least_share_of_processors_counts),
        cmocka_unit_test(processors_that_are_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
