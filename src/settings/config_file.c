/* Reading the config file whole; config_text.c understands it. */
#include "settings/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads all of the file into *text, which has room for one byte more than a file may have. */
static bool read_file(const char *path, char *text, size_t *ret_size, struct error *ret_error)
{
    struct stat status;
    size_t size = 0;
    ssize_t got = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return error_set(ret_error, ERROR_NOT_FOUND, "%s", strerror(errno));
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "not a regular file");
    }
    while (got > 0 && size <= CONFIG_FILE_MAX_BYTES) {
        got = read(fd, text + size, CONFIG_FILE_MAX_BYTES + 1 - size);
        size += got > 0 ? (size_t)got : 0;
    }
    int failure = got < 0 ? errno : 0;
    close(fd);
    if (failure)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s", strerror(failure));
    if (size > CONFIG_FILE_MAX_BYTES)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "longer than %d bytes",
                         CONFIG_FILE_MAX_BYTES);
    *ret_size = size;
    return true;
}

bool config_file_read(struct settings *settings, const char *path, struct error *ret_error)
{
    struct error error;
    size_t size = 0;
    char *text = malloc(CONFIG_FILE_MAX_BYTES + 1);
    if (!text)
        return error_no_memory(ret_error);
    bool good = read_file(path, text, &size, &error) &&
                config_text_read(settings, (struct span){text, size}, &error);
    free(text);
    return good || error_set(ret_error, error.code, "%.200s: %s", path, error.message);
}
