/* Unit tests of worker/spawner_python.h and worker/scratch.h: whose folders a Python worker may
 * read, and where it may write. */
#include "worker/spawner_python.h"

#include "worker/scratch.h"

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

static char base[] = "/tmp/spawner-python-XXXXXX";

static const char *at(const char *path)
{
    static char paths[8][PATH_MAX];
    static unsigned next;
    char *made = paths[next++ % 8];
    snprintf(made, PATH_MAX, "%s/%s", base, path);
    return made;
}

static void make_folder(const char *path)
{
    assert_int_equal(mkdir(at(path), 0700), 0);
}

static void make_file(const char *path, const char *text)
{
    FILE *file = fopen(at(path), "w");
    if (!file)
        abort();
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* base/real/bin/python3, an installation; base/server, an environment on it; base/model, one that a
 * model brought; base/secret, what nobody may read. */
static int set_up(void **state)
{
    char home[PATH_MAX + 16];
    assert_non_null(mkdtemp(base));
    static const char *const folders[] = {"real",  "real/bin",  "server", "server/bin",
                                          "model", "model/bin", "secret", "secret/bin"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        make_folder(folders[i]);
    make_file("real/bin/python3", "");
    make_file("secret/bin/python3", "");
    snprintf(home, sizeof home, "home = %s\nversion = 3\n", at("real/bin"));
    make_file("server/pyvenv.cfg", home);
    snprintf(home, sizeof home, "home = %s\n", at("secret/bin"));
    make_file("model/pyvenv.cfg", home);
    assert_int_equal(symlink(at("real/bin/python3"), at("server/bin/python")), 0);
    assert_int_equal(symlink(at("real/bin/python3"), at("model/bin/python")), 0);
    assert_int_equal(symlink(at("secret/bin/python3"), at("model/bin/astray")), 0);
    return 0;
}

static int tear_down(void **state)
{
    char command[PATH_MAX + 16];
    setenv("TMPDIR", "/tmp", 1);
    snprintf(command, sizeof command, "%s", base);
    scratch_remove(command);
    while (wait(NULL) > 0)
        continue;
    return 0;
}

/* The server's options: its own interpreter is the environment base/server. */
static const struct spawner_options *served_by(void)
{
    static struct spawner_options options;
    options = (struct spawner_options){.python = at("server/bin/python")};
    return &options;
}

static bool may_read(const struct spawner_python *python, const char *path)
{
    struct sandbox_path rows[SPAWNER_PYTHON_PATHS];
    size_t count = spawner_python_paths(python, rows);
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].path, path) == 0)
            return true;
    return false;
}

static void an_environment_has_its_own_prefix_and_the_servers(void **state)
{
    struct spawner_python python;
    assert_true(spawner_python_find(at("model/bin/python"), served_by(), &python, NULL));
    assert_true(may_read(&python, at("model")));
    assert_true(may_read(&python, at("server")));
    assert_true(may_read(&python, at("real")));
    assert_true(may_read(&python, at("real/bin/python3")));
}

static void what_an_environment_says_of_its_home_is_not_believed(void **state)
{
    struct spawner_python python;
    assert_true(spawner_python_find(at("model/bin/python"), served_by(), &python, NULL));
    assert_false(may_read(&python, at("secret")));
}

static void a_link_out_of_an_environment_is_refused(void **state)
{
    struct spawner_python python;
    struct error error;
    assert_false(spawner_python_find(at("model/bin/astray"), served_by(), &python, &error));
    assert_non_null(strstr(error.message, "link out of its environment"));
    assert_false(spawner_python_find(at("no/such/python"), served_by(), &python, &error));
    assert_false(spawner_python_find("python3", served_by(), &python, &error));
}

static void a_scratch_folder_is_its_owners_alone(void **state)
{
    char path[SCRATCH_PATH_BYTES], other[SCRATCH_PATH_BYTES];
    struct stat status;
    struct error error;
    setenv("TMPDIR", base, 1);
    assert_true(scratch_path(getpid(), 5, 7, path, &error));
    assert_true(scratch_path(getpid(), 5, 8, other, &error));
    assert_string_not_equal(path, other);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(other, sizeof other, "%.400s/inside", path);
    assert_int_equal(mkdir(other, 0), 0); /* a folder that cannot be looked into goes too */
    scratch_remove(path);
    assert_true(wait(NULL) > 0);
    assert_int_not_equal(stat(path, &status), 0);
    scratch_remove_all(getpid());
    *strrchr(path, '/') = '\0';
    assert_int_not_equal(stat(path, &status), 0);
}

static void somebody_elses_folder_is_not_used(void **state)
{
    char path[SCRATCH_PATH_BYTES];
    struct error error;
    setenv("TMPDIR", base, 1);
    assert_true(scratch_path(4711, 1, 1, path, &error));
    *strrchr(path, '/') = '\0';
    assert_int_equal(chmod(path, 0755), 0);
    assert_false(scratch_path(4711, 1, 1, path, &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_environment_has_its_own_prefix_and_the_servers),
        cmocka_unit_test(what_an_environment_says_of_its_home_is_not_believed),
        cmocka_unit_test(a_link_out_of_an_environment_is_refused),
        cmocka_unit_test(a_scratch_folder_is_its_owners_alone),
        cmocka_unit_test(somebody_elses_folder_is_not_used),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
