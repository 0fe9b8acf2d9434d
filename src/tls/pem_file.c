/* Reading PEM files, with errors that an operator can act on. */
#include "tls/tls_private.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES = 1 << 20 }; /* bundles of all public authorities have a quarter of it */

const char *openssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return reason ? reason : "unknown error";
}

static bool refuse(const char *path, const char *why, struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "cannot read '%s': %s", path, why);
}

static bool check(int fd, const char *path, struct stat *ret_file, struct error *ret_error)
{
    if (fd < 0 || fstat(fd, ret_file) != 0)
        return refuse(path, strerrordesc_np(errno), ret_error);
    if (!S_ISREG(ret_file->st_mode))
        return refuse(path, "it is no file", ret_error);
    if (ret_file->st_size > FILE_BYTES)
        return refuse(path, "it is too large for a PEM file", ret_error);
    return true;
}

/* All of the file, into a BIO that owns the bytes. */
static BIO *read_all(int fd, const char *path, struct error *ret_error)
{
    char part[4096];
    ssize_t count;
    BIO *bio = BIO_new(BIO_s_mem());
    while (bio && (count = read(fd, part, sizeof part)) != 0) {
        if (count > 0 && BIO_write(bio, part, (int)count) == (int)count)
            continue;
        refuse(path, count < 0 ? strerrordesc_np(errno) : "out of memory", ret_error);
        BIO_free(bio);
        return NULL;
    }
    OPENSSL_cleanse(part, sizeof part);
    if (!bio)
        error_no_memory(ret_error);
    return bio;
}

BIO *pem_file_open(const char *path, unsigned *ret_mode, struct error *ret_error)
{
    struct stat file = {.st_mode = 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not make us wait */
    BIO *bio = check(fd, path, &file, ret_error) ? read_all(fd, path, ret_error) : NULL;
    if (fd >= 0)
        close(fd);
    if (bio)
        *ret_mode = file.st_mode;
    return bio;
}
