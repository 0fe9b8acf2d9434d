/* Files of tokens; see token_store.h. */
#include "auth/token_store.h"

#include "auth/scope.h"
#include "auth/token_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILE_MODE = 0600, READ_BYTES = 4096 };

static bool failed(struct error *ret_error, const char *what, const char *folder, const char *name)
{
    return error_set(ret_error, errno == ENOMEM ? ERROR_RESOURCE_EXHAUSTED : ERROR_INTERNAL,
                     "cannot %s %s%s%s: %s", what, folder, name[0] ? "/" : "", name,
                     strerror(errno));
}

static bool is_ours(const struct stat *status)
{
    return status->st_uid == geteuid() || status->st_uid == 0;
}

/* ---- the folder ---- */

static bool check_folder(const char *folder, int fd, struct error *ret_error)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return failed(ret_error, "look at", folder, "");
    if (!is_ours(&status))
        return error_set(ret_error, ERROR_PERMISSION_DENIED,
                         "%s belongs to another user (uid %u), who could change the tokens in it",
                         folder, status.st_uid);
    if (status.st_mode & (S_IWGRP | S_IWOTH))
        return error_set(ret_error, ERROR_PERMISSION_DENIED,
                         "others may write %s and change the tokens in it: chmod go-w %s", folder,
                         folder);
    return true;
}

/* The folder's descriptor, checked; -1 otherwise. */
static int open_folder(const char *folder, struct error *ret_error)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        failed(ret_error, "open", folder, "");
        return -1;
    }
    if (check_folder(folder, fd, ret_error))
        return fd;
    close(fd);
    return -1;
}

/* ---- reading ---- */

static bool check_file(const char *folder, const char *name, int fd, struct error *ret_error)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return failed(ret_error, "look at", folder, name);
    if (!S_ISREG(status.st_mode))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s/%s is no file", folder, name);
    if (!is_ours(&status))
        return error_set(ret_error, ERROR_PERMISSION_DENIED,
                         "%s/%s belongs to another user (uid %u): chown it to the user that runs "
                         "tensord",
                         folder, name, status.st_uid);
    /* A group may read what root gave it to: that is how secrets are mounted into containers. */
    mode_t others = status.st_mode & (status.st_uid == 0 ? 0037 : 0077);
    if (others)
        return error_set(ret_error, ERROR_PERMISSION_DENIED,
                         "others may use %s/%s (mode %04o): chmod 600 %s/%s", folder, name,
                         status.st_mode & 07777, folder, name);
    return true;
}

/* Reads up to the buffer's limit. False with errno, which is EFBIG when the file is longer. */
static bool read_all(int fd, struct buf *to)
{
    for (;;) {
        char beyond = 0;
        size_t left = to->limit_bytes - to->size, wanted = left < READ_BYTES ? left : READ_BYTES;
        char *room = wanted ? buf_reserve(to, wanted) : &beyond;
        errno = ENOMEM;
        ssize_t got = room ? read(fd, room, wanted ? wanted : 1) : -1;
        if (got == 0)
            return true;
        if (got > 0 && !wanted)
            errno = EFBIG;
        if (got > 0 && wanted)
            to->size += (size_t)got;
        else if (errno != EINTR)
            return false;
    }
}

/* Appends the file's bytes. *ret_found is false, and that is no failure, when there is no file. */
static bool read_file(const char *folder, int folder_fd, const char *name, struct buf *to,
                      bool *ret_found, struct error *ret_error)
{
    int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    *ret_found = fd >= 0;
    if (fd < 0)
        return errno == ENOENT || failed(ret_error, "open", folder, name);
    bool good = check_file(folder, name, fd, ret_error);
    if (good && !read_all(fd, to))
        good = failed(ret_error, "read", folder, name);
    close(fd);
    return good;
}

bool token_store_read(const char *folder, struct buf *to, struct error *ret_error)
{
    bool found;
    int fd = open_folder(folder, ret_error);
    if (fd < 0)
        return false;
    bool good = read_file(folder, fd, TOKEN_STORE_FILE, to, &found, ret_error);
    close(fd);
    return good;
}

/* ---- writing ---- */

static bool write_all(int fd, struct span bytes)
{
    while (bytes.size) {
        ssize_t written = write(fd, bytes.data, bytes.size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes = span_after(bytes, (size_t)written);
    }
    return true;
}

/* Puts the bytes in place of the file. A power cut leaves the old file or the new one. */
static bool replace_file(const char *folder, int folder_fd, const char *name, struct span bytes,
                         struct error *ret_error)
{
    char draft[64];
    snprintf(draft, sizeof draft, ".%s.new", name);
    unlinkat(folder_fd, draft, 0); /* left by somebody who was ended; we hold the lock */
    int fd =
        openat(folder_fd, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return failed(ret_error, "write", folder, name);
    bool good = fchmod(fd, FILE_MODE) == 0 && write_all(fd, bytes) && fsync(fd) == 0;
    int failure = errno;
    close(fd);
    if (good && renameat(folder_fd, draft, folder_fd, name) == 0 && fsync(folder_fd) == 0)
        return true;
    if (!good)
        errno = failure;
    good = failed(ret_error, "write", folder, name);
    unlinkat(folder_fd, draft, 0);
    return good;
}

/* ---- changing ---- */

/* The token file while it is being changed: opened, locked, read. */
struct change {
    const char *folder;
    int folder_fd;
    bool found;
    struct buf text, next;
    struct token_record *records;
    size_t count;
};

static void change_end(struct change *change)
{
    free(change->records);
    buf_fini(&change->text);
    buf_fini(&change->next);
    if (change->folder_fd >= 0)
        close(change->folder_fd); /* and so unlocks it */
}

static bool change_read(struct change *change, struct error *ret_error)
{
    struct error error;
    if (flock(change->folder_fd, LOCK_EX) != 0)
        return failed(ret_error, "lock", change->folder, "");
    if (!read_file(change->folder, change->folder_fd, TOKEN_STORE_FILE, &change->text,
                   &change->found, ret_error))
        return false;
    return token_text_parse(buf_span(&change->text), &change->records, &change->count, &error) ||
           error_set(ret_error, error.code, "%s/%s: %.400s", change->folder, TOKEN_STORE_FILE,
                     error.message);
}

static bool change_begin(struct change *change, const char *folder, struct error *ret_error)
{
    *change = (struct change){.folder = folder, .folder_fd = open_folder(folder, ret_error)};
    buf_init(&change->text, TOKEN_TEXT_BYTES);
    buf_init(&change->next, TOKEN_TEXT_BYTES);
    if (change->folder_fd >= 0 && change_read(change, ret_error))
        return true;
    change_end(change);
    return false;
}

static bool change_write(struct change *change, struct error *ret_error)
{
    if (!buf_ok(&change->next) || change->count >= TOKEN_LIMIT)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                         "the token file is full: %d tokens or %d bytes; revoke some", TOKEN_LIMIT,
                         TOKEN_TEXT_BYTES);
    return replace_file(change->folder, change->folder_fd, TOKEN_STORE_FILE,
                        buf_span(&change->next), ret_error);
}

static bool id_taken(const struct change *change, uint32_t id)
{
    for (size_t i = 0; i < change->count; i++) {
        if (change->records[i].id == id)
            return true;
    }
    return false;
}

static bool make_token(struct change *change, struct token_record *record,
                       char secret[SECRET_BYTES + 1], struct error *ret_error)
{
    if (!secret_make(secret, ret_error))
        return false;
    do {
        if (getrandom(&record->id, sizeof record->id, 0) != sizeof record->id)
            return failed(ret_error, "make an id for", change->folder, TOKEN_STORE_FILE);
    } while (id_taken(change, record->id));
    record->created_s = time(NULL);
    secret_hash((struct span){secret, SECRET_BYTES}, record->hash);
    token_text_add(buf_span(&change->text), record, &change->next);
    return true;
}

bool token_store_create(const char *folder, struct token_record *record,
                        char ret_secret[SECRET_BYTES + 1], struct error *ret_error)
{
    struct change change;
    if (!change_begin(&change, folder, ret_error))
        return false;
    bool good =
        make_token(&change, record, ret_secret, ret_error) && change_write(&change, ret_error);
    change_end(&change);
    return good;
}

bool token_store_revoke(const char *folder, struct span id_or_name, uint32_t *ret_id,
                        struct error *ret_error)
{
    struct change change;
    if (!change_begin(&change, folder, ret_error))
        return false;
    const struct token_record *record =
        token_find(change.records, change.count, id_or_name, ret_error);
    bool good = record != NULL;
    if (record) {
        *ret_id = record->id;
        token_text_remove(buf_span(&change.text), record->id, &change.next);
        change.count--;
        good = change_write(&change, ret_error);
    }
    change_end(&change);
    return good;
}

/* ---- the admin's token ---- */

static bool write_admin(struct change *change, struct error *ret_error)
{
    char secret[SECRET_BYTES + 2];
    struct token_record record;
    token_record_init(&record);
    record.name = SPAN("admin");
    record.scopes = scope_bit(SCOPE_ADMIN);
    if (!make_token(change, &record, secret, ret_error))
        return false;
    secret[SECRET_BYTES] = '\n';
    /* The secret first: a token without anybody who knows it would stay for ever. */
    return replace_file(change->folder, change->folder_fd, TOKEN_STORE_ADMIN_FILE,
                        (struct span){secret, SECRET_BYTES + 1}, ret_error) &&
           change_write(change, ret_error);
}

bool token_store_begin(const char *folder, bool *ret_made, struct error *ret_error)
{
    struct change change;
    if (!change_begin(&change, folder, ret_error))
        return false;
    bool made = !change.found;
    bool good = !made || write_admin(&change, ret_error);
    if (good)
        *ret_made = made;
    change_end(&change);
    return good;
}

bool token_store_admin(const char *folder, char ret_secret[SECRET_BYTES + 1],
                       struct error *ret_error)
{
    struct buf text;
    bool found = false;
    int fd = open_folder(folder, ret_error);
    if (fd < 0)
        return false;
    buf_init(&text, 4096);
    bool good = read_file(folder, fd, TOKEN_STORE_ADMIN_FILE, &text, &found, ret_error);
    struct span secret = buf_span(&text);
    while (secret.size && strchr("\r\n \t", secret.data[secret.size - 1]))
        secret.size--;
    if (good && !found)
        good = error_set(ret_error, ERROR_NOT_FOUND, "there is no %s/%s", folder,
                         TOKEN_STORE_ADMIN_FILE);
    else if (good && !secret_valid(secret))
        good = error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s/%s holds no token", folder,
                         TOKEN_STORE_ADMIN_FILE);
    if (good)
        snprintf(ret_secret, SECRET_BYTES + 1, "%.*s", SPAN_ARGS(secret));
    buf_fini(&text);
    close(fd);
    return good;
}
