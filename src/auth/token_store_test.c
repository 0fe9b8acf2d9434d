/* Unit tests of auth/token_store.h, in a folder of their own. */
#include "auth/token_store.h"

#include "auth/scope.h"
#include "auth/token_text.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char top[64], folder[128], path[256];
static struct error error;

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    snprintf(top, sizeof top, "/tmp/tensord-store-XXXXXX");
    if (!mkdtemp(top))
        return -1;
    snprintf(folder, sizeof folder, "%s/state", top);
    error = (struct error){0};
    return mkdir(folder, 0700);
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"tokens", "admin-token", ".tokens.new", ".admin-token.new"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        unlink(in_folder(names[i]));
        rmdir(in_folder(names[i]));
    }
    rmdir(folder);
    return rmdir(top);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    int fd = open(in_folder(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static mode_t mode_of(const char *name)
{
    struct stat status;
    assert_int_equal(lstat(in_folder(name), &status), 0);
    return status.st_mode & 07777;
}

/* Number of tokens in the file; their ids go to ids. */
static size_t tokens(uint32_t ids[8])
{
    struct buf text;
    struct token_record *records;
    size_t count;
    buf_init(&text, TOKEN_TEXT_BYTES);
    assert_true(token_store_read(folder, &text, &error));
    assert_true(token_text_parse(buf_span(&text), &records, &count, &error));
    for (size_t i = 0; i < count && i < 8; i++)
        ids[i] = records[i].id;
    free(records);
    buf_fini(&text);
    return count;
}

static bool create(const char *name, struct token_record *record, char secret[SECRET_BYTES + 1])
{
    token_record_init(record);
    record->scopes = scope_bit(SCOPE_INFER);
    record->name = span_of(name);
    return token_store_create(folder, record, secret, &error);
}

static void first_start_makes_an_admin_token(void **state)
{
    bool made = false;
    uint32_t ids[8];
    char secret[SECRET_BYTES + 1], again[SECRET_BYTES + 1];
    assert_true(token_store_begin(folder, &made, &error));
    assert_true(made);
    assert_int_equal(mode_of("tokens"), 0600);
    assert_int_equal(mode_of("admin-token"), 0600);
    assert_int_equal(tokens(ids), 1);
    assert_true(token_store_admin(folder, secret, &error));
    assert_true(secret_valid(span_of(secret)));
    assert_true(token_store_begin(folder, &made, &error));
    assert_false(made);
    assert_true(token_store_admin(folder, again, &error));
    assert_string_equal(secret, again);
}

/* Whoever took the admin's token away does not get another one. */
static void only_the_first_start_makes_one(void **state)
{
    bool made = true;
    char secret[SECRET_BYTES + 1];
    write_file("tokens", "", 0600);
    assert_true(token_store_begin(folder, &made, &error));
    assert_false(made);
    assert_false(token_store_admin(folder, secret, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
}

static void tokens_are_created_and_revoked(void **state)
{
    struct token_record a, b;
    uint32_t ids[8] = {0}, revoked;
    char secret[SECRET_BYTES + 1];
    unsigned char hash[SECRET_HASH_BYTES];
    assert_true(create("a", &a, secret));
    secret_hash(span_of(secret), hash);
    assert_memory_equal(hash, a.hash, sizeof hash);
    assert_true(create("b", &b, secret));
    assert_int_not_equal(a.id, b.id);
    assert_int_equal(tokens(ids), 2);
    assert_int_equal(mode_of("tokens"), 0600);
    assert_true(token_store_revoke(folder, SPAN("a"), &revoked, &error));
    assert_int_equal(revoked, a.id);
    assert_int_equal(tokens(ids), 1);
    assert_int_equal(ids[0], b.id);
    assert_false(token_store_revoke(folder, SPAN("a"), &revoked, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    assert_int_equal(access(in_folder(".tokens.new"), F_OK), -1);
}

static void the_secret_is_nowhere_in_the_file(void **state)
{
    struct token_record record;
    struct buf text;
    char secret[SECRET_BYTES + 1];
    assert_true(create("a", &record, secret));
    buf_init(&text, TOKEN_TEXT_BYTES);
    assert_true(token_store_read(folder, &text, &error));
    assert_null(memmem(text.data, text.size, SECRET_PREFIX, sizeof SECRET_PREFIX - 1));
    assert_null(memmem(text.data, text.size, secret + 8, 43));
    buf_fini(&text);
}

static void refuse_to_read(const char *part_of_sentence)
{
    struct buf text;
    struct token_record record;
    bool made;
    char secret[SECRET_BYTES + 1];
    buf_init(&text, TOKEN_TEXT_BYTES);
    assert_false(token_store_read(folder, &text, &error));
    if (!strstr(error.message, part_of_sentence))
        fail_msg("'%s' is not in '%s'", part_of_sentence, error.message);
    assert_false(create("a", &record, secret));
    assert_false(token_store_begin(folder, &made, &error));
    buf_fini(&text);
}

static void a_file_that_others_may_use_is_refused(void **state)
{
    static const mode_t modes[] = {0604, 0602, 0601, 0620, 0610, 0666, 0777};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        write_file("tokens", "", modes[i]);
        refuse_to_read("chmod 600");
    }
    write_file("tokens", "", 0400);
    struct buf text;
    buf_init(&text, TOKEN_TEXT_BYTES);
    assert_true(token_store_read(folder, &text, &error));
    buf_fini(&text);
}

static void a_file_of_somebody_else_is_refused(void **state)
{
    if (geteuid() != 0)
        skip();
    write_file("tokens", "", 0600);
    assert_int_equal(chown(in_folder("tokens"), 12345, 12345), 0);
    refuse_to_read("belongs to another user");
}

static void a_folder_that_others_may_write_is_refused(void **state)
{
    write_file("tokens", "", 0600);
    assert_int_equal(chmod(folder, 0770), 0);
    refuse_to_read("chmod go-w");
    assert_int_equal(chmod(folder, 0702), 0);
    refuse_to_read("chmod go-w");
    assert_int_equal(chmod(folder, 0755), 0);
    struct buf text;
    buf_init(&text, TOKEN_TEXT_BYTES);
    assert_true(token_store_read(folder, &text, &error));
    buf_fini(&text);
}

static void what_is_no_file_is_refused(void **state)
{
    assert_int_equal(mkdir(in_folder("tokens"), 0700), 0);
    refuse_to_read("is no file");
    assert_int_equal(rmdir(in_folder("tokens")), 0);
    assert_int_equal(mkfifo(in_folder("tokens"), 0600), 0);
    refuse_to_read("is no file"); /* and nobody waits for a writer */
}

static void a_long_file_is_refused(void **state)
{
    write_file("tokens", "", 0600);
    assert_int_equal(truncate(in_folder("tokens"), TOKEN_TEXT_BYTES + 1), 0);
    refuse_to_read("too large");
    assert_int_equal(truncate(in_folder("tokens"), 0), 0);
    struct buf text;
    buf_init(&text, TOKEN_TEXT_BYTES);
    assert_true(token_store_read(folder, &text, &error));
    buf_fini(&text);
}

static void a_malformed_file_is_not_changed(void **state)
{
    struct token_record record;
    struct buf text;
    uint32_t id;
    char secret[SECRET_BYTES + 1];
    write_file("tokens", "# mine\nnonsense\n", 0600);
    assert_false(create("a", &record, secret));
    assert_non_null(strstr(error.message, "line 2"));
    assert_false(token_store_revoke(folder, SPAN("a"), &id, &error));
    buf_init(&text, TOKEN_TEXT_BYTES);
    assert_true(token_store_read(folder, &text, &error));
    assert_true(span_equal(buf_span(&text), SPAN("# mine\nnonsense\n")));
    buf_fini(&text);
}

/* A link that lies where the draft goes is not followed. */
static void the_draft_is_our_own_file(void **state)
{
    struct token_record record;
    struct stat status;
    char secret[SECRET_BYTES + 1], target[128];
    snprintf(target, sizeof target, "%s/victim", top);
    assert_int_equal(symlink(target, in_folder(".tokens.new")), 0);
    assert_true(create("a", &record, secret));
    assert_int_equal(stat(target, &status), -1);
}

static void an_admin_file_must_hold_a_secret(void **state)
{
    char secret[SECRET_BYTES + 1] = "kept", made[SECRET_BYTES + 1], text[SECRET_BYTES + 8];
    write_file("admin-token", "tensord_abc\n", 0600);
    assert_false(token_store_admin(folder, secret, &error));
    assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
    assert_string_equal(secret, "kept");
    assert_true(secret_make(made, &error));
    snprintf(text, sizeof text, "%s\r\n", made);
    write_file("admin-token", text, 0600);
    assert_true(token_store_admin(folder, secret, &error));
    assert_string_equal(secret, made);
    write_file("admin-token", text, 0644);
    assert_false(token_store_admin(folder, secret, &error));
}

/* Many at once: each change waits for the other, none is lost. */
static void changes_at_the_same_time_are_all_kept(void **state)
{
    enum { PROCESSES = 8 };
    uint32_t ids[8];
    for (int i = 0; i < PROCESSES; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct token_record record;
            char secret[SECRET_BYTES + 1];
            _exit(create("a", &record, secret) ? 0 : 1);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_int_equal(tokens(ids), PROCESSES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_start_makes_an_admin_token),
        TEST(only_the_first_start_makes_one),
        TEST(tokens_are_created_and_revoked),
        TEST(the_secret_is_nowhere_in_the_file),
        TEST(a_file_that_others_may_use_is_refused),
        TEST(a_file_of_somebody_else_is_refused),
        TEST(a_folder_that_others_may_write_is_refused),
        TEST(what_is_no_file_is_refused),
        TEST(a_long_file_is_refused),
        TEST(a_malformed_file_is_not_changed),
        TEST(the_draft_is_our_own_file),
        TEST(an_admin_file_must_hold_a_secret),
        TEST(changes_at_the_same_time_are_all_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
