/* The TLS of the test server; see secure.h. The library is the one that tensord loads. */
#include "secure.h"

#include "protocol/http.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LOOK_MS = 3600 * 1000 }; /* the files do not change */

bool secure_file(struct span bytes, char path[SECURE_PATH_BYTES], struct error *ret_error)
{
    int fd = memfd_create("pem", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes.data, bytes.size) != (ssize_t)bytes.size)
        return error_set(ret_error, ERROR_INTERNAL, "cannot write a file of PEM");
    snprintf(path, SECURE_PATH_BYTES, "/proc/self/fd/%d", fd);
    return true;
}

static void on_reloaded(void *context, const struct error *error)
{
}

struct tls_server *secure_new(struct loop *loop, const struct tls_files *files,
                              struct error *ret_error)
{
    const struct tls_library *library = tls_library_load(TLS_LIBRARY, ret_error);
    const struct tls_server_options options = {
        .library = library,
        .files = *files,
        .look_ms = LOOK_MS,
        .plain_answer = http_answer_without_tls,
        .reloaded = on_reloaded,
    };
    return library ? tls_server_new(loop, &options, ret_error) : NULL;
}
