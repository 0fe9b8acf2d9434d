/* The certificate of a server and what its connections share; see tls_server.h.
 *
 * The files are looked at every now and then, and read again once they have changed and then stayed
 * as they are for one look: a certificate and its key are rarely replaced in one step. Looking and
 * reading happen on a thread of libuv's, since both may block. */
#include "net/tls_private.h"

#include "base/clock.h"
#include "net/loop_work.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES = 3 };

/* What a file is, without reading it; all zero when it is not there. */
struct file_state {
    dev_t device;
    ino_t inode;
    off_t size;
    int64_t changed_ns;
};

struct tls_watch {
    struct tls_server *server;
    struct timer timer;
    struct loop_work work;
    bool working, again, freed;
    struct file_state loaded[FILES], seen[FILES];
    /* The thread's, while it works. */
    bool asked; /* read the files, changed or not */
    struct tls_context *tls;
    struct error error;
    bool read;
};

/* ---- the library ---- */

const struct tls_library *tls_library_load(const char *path, struct error *ret_error)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct tls_library *library = module ? dlsym(module, TLS_LIBRARY_SYMBOL) : NULL;
    if (!library) {
        error_set(ret_error, ERROR_UNAVAILABLE, "TLS needs OpenSSL 3: %s", dlerror());
        return NULL;
    }
    if (strcmp(library->version, TENSORD_VERSION) != 0) {
        error_set(ret_error, ERROR_UNAVAILABLE, "'%s' is of version %s, not " TENSORD_VERSION, path,
                  library->version);
        return NULL;
    }
    return library;
}

/* ---- outputs ---- */

struct tls_output *tls_output_take(struct tls_server *server)
{
    struct tls_output *output = server->spare ? server->spare : malloc(sizeof *output);
    server->spare = NULL;
    if (output)
        output->size = 0;
    return output;
}

void tls_output_give(struct tls_server *server, struct tls_output *output)
{
    if (server->spare)
        free(output);
    else
        server->spare = output;
}

/* ---- reading the files again ---- */

static void look(const struct tls_files *files, struct file_state states[FILES])
{
    const char *const paths[FILES] = {files->certificate, files->key, files->client_ca};
    memset(states, 0, FILES * sizeof *states);
    for (size_t i = 0; i < FILES; i++) {
        struct stat file;
        if (!paths[i] || stat(paths[i], &file) != 0)
            continue;
        states[i].device = file.st_dev;
        states[i].inode = file.st_ino;
        states[i].size = file.st_size;
        states[i].changed_ns = file.st_ctim.tv_sec * (int64_t)CLOCK_NS_PER_S + file.st_ctim.tv_nsec;
    }
}

static bool same(const struct file_state *a, const struct file_state *b)
{
    return memcmp(a, b, FILES * sizeof *a) == 0;
}

static void work(struct loop_work *request)
{
    struct tls_watch *watch = list_entry(request, struct tls_watch, work);
    const struct tls_server_options *options = &watch->server->options;
    struct file_state now[FILES];
    look(&options->files, now);
    watch->read = watch->asked || (!same(now, watch->loaded) && same(now, watch->seen));
    memcpy(watch->seen, now, sizeof now);
    if (!watch->read)
        return;
    memcpy(watch->loaded, now, sizeof now); /* also when that fails: it is tried and told once */
    watch->tls = options->library->context_new(&options->files, &watch->error);
}

static void start_work(struct tls_watch *watch, bool asked);

static void time_to_look(struct timer *timer)
{
    start_work(list_entry(timer, struct tls_watch, timer), false);
}

static void free_all(struct tls_server *server)
{
    server->options.library->context_free(server->tls);
    free(server->spare);
    free(server->watch);
    free(server);
}

static void take_over(struct tls_server *server)
{
    struct tls_watch *watch = server->watch;
    if (watch->tls) {
        server->options.library->context_free(server->tls);
        server->tls = watch->tls;
    }
    server->options.reloaded(server->options.context, watch->tls ? NULL : &watch->error);
    watch->tls = NULL;
}

static void worked(struct loop_work *request)
{
    struct tls_watch *watch = list_entry(request, struct tls_watch, work);
    struct tls_server *server = watch->server;
    watch->working = false;
    if (watch->freed) {
        server->options.library->context_free(watch->tls);
        free_all(server);
        return;
    }
    if (watch->read)
        take_over(server);
    bool again = watch->again;
    watch->again = false;
    if (again)
        start_work(watch, true);
    else
        timer_start(&watch->timer, server->loop, server->options.look_ms, time_to_look);
}

static void start_work(struct tls_watch *watch, bool asked)
{
    timer_stop(&watch->timer);
    watch->asked = asked;
    watch->working = true;
    struct tls_server *server = watch->server;
    struct error error;
    if (loop_work_start(server->loop, &watch->work, work, worked, &error))
        return;
    watch->working = false;
    if (asked)
        server->options.reloaded(server->options.context, &error);
    timer_start(&watch->timer, server->loop, server->options.look_ms, time_to_look);
}

void tls_server_reload(struct tls_server *server)
{
    if (server->watch->working)
        server->watch->again = true;
    else
        start_work(server->watch, true);
}

/* ---- beginning and end ---- */

struct tls_server *tls_server_new(struct loop *loop, const struct tls_server_options *options,
                                  struct error *ret_error)
{
    struct tls_server *server = calloc(1, sizeof *server);
    struct tls_watch *watch = calloc(1, sizeof *watch);
    if (!server || !watch) {
        free(server);
        free(watch);
        error_no_memory(ret_error);
        return NULL;
    }
    server->options = *options;
    server->loop = loop;
    server->watch = watch;
    watch->server = server;
    look(&options->files, watch->loaded);
    server->tls = options->library->context_new(&options->files, ret_error);
    if (!server->tls) {
        free_all(server);
        return NULL;
    }
    memcpy(watch->seen, watch->loaded, sizeof watch->seen);
    timer_start(&watch->timer, loop, options->look_ms, time_to_look);
    return server;
}

const char *tls_server_describe(const struct tls_server *server)
{
    return server->options.library->context_describe(server->tls);
}

const char *tls_server_warning(const struct tls_server *server)
{
    return server->options.library->context_warning(server->tls);
}

void tls_server_free(struct tls_server *server)
{
    if (!server)
        return;
    server->watch->freed = true;
    if (!server->watch->working)
        free_all(server);
}
