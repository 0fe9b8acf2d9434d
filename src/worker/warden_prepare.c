/* What the warden does before the command runs: its words, its home, its environment and its
 * sandbox; see warden_internal.h. */
#include "worker/warden_internal.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "worker/gpu.h"
#include "worker/spawner_rows.h"

enum { USUAL_PORT = 8000 }; /* where nobody else can have it */

/* ---- what it is to start ---- */

static bool read_spec(struct warden *warden, struct error *ret_error)
{
    arena_init(&warden->arena, 4096, SPEC_ARENA_BYTES);
    return spec_map_read(FD_SPEC, &warden->arena, &warden->spec, ret_error);
}

/* A port that is free now. Another program may take it before the command does: then that one says
 * so and is started again. */
static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                 getsockname(fd, (struct sockaddr *)&address, &size) == 0;
    if (fd >= 0)
        close(fd);
    return bound ? ntohs(address.sin_port) : USUAL_PORT;
}

static bool choose_place(struct warden *warden, char socket[PATH_MAX], struct error *ret_error)
{
    const struct server_config *server = &warden->spec.server;
    warden_socket_path(warden->worker->scratch, socket, PATH_MAX);
    if (server_config_mentions(server, SPAN("{socket}")))
        return strlen(socket) < sizeof((struct sockaddr_un *)NULL)->sun_path ||
               error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the path for its unix socket is too long: start the server with a "
                         "shorter TMPDIR, or write {port}");
    warden->port = (uint16_t)server->port;
    if (!warden->port)
        warden->port = warden->own_network ? USUAL_PORT : free_port();
    return true;
}

static bool make_words(struct warden *warden, struct error *ret_error)
{
    const struct server_config *server = &warden->spec.server;
    char socket[PATH_MAX], port[16];
    if (!choose_place(warden, socket, ret_error))
        return false;
    snprintf(port, sizeof port, "%u", (unsigned)warden->port);
    warden->words = arena_calloc(&warden->arena, server->command_count + 1, sizeof(char *));
    for (size_t i = 0; warden->words && i < server->command_count; i++) {
        warden->words[i] = server_config_word(&warden->arena, server->command[i], span_of(port),
                                              span_of(socket), warden->spec.name);
        if (!warden->words[i])
            return error_no_memory(ret_error);
    }
    return warden->words || error_no_memory(ret_error);
}

/* ---- its home ---- */

/* Adds a model's name as a file's: letters, digits and a few others stay. */
static void put_name(struct buf *path, struct span name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool plain = ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || (c == '.' && i > 0);
        buf_printf(path, plain ? "%c" : "%%%02X", (unsigned char)c);
    }
}

/* Its folder for scratch, or one that stays. */
static bool choose_home(struct warden *warden, struct error *ret_error)
{
    static struct buf path; /* for as long as this process lives */
    const char *homes = warden->child->options->homes;
    warden->home = warden->worker->scratch;
    if (!warden->spec.server.keep_home)
        return true;
    if (!homes)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "its home cannot be kept (keep_home): the server has no state folder");
    mkdir(homes, 0700); /* where that fails, the next one does too */
    buf_init(&path, PATH_MAX);
    buf_printf(&path, "%s/", homes);
    put_name(&path, warden->spec.name);
    if (!buf_append_char(&path, '\0') || (mkdir(path.data, 0700) < 0 && errno != EEXIST))
        return error_set(ret_error, ERROR_INTERNAL, "its home cannot be made: %s",
                         strerrordesc_np(errno));
    warden->home = path.data;
    return true;
}

/* ---- its environment ---- */

static const char *const kept[] = {"PATH",
                                   "LANG",
                                   "LC_ALL",
                                   "LC_CTYPE",
                                   "TZ",
                                   "LD_LIBRARY_PATH",
                                   "VIRTUAL_ENV",
                                   "CONDA_PREFIX",
                                   "CUDA_VISIBLE_DEVICES",
                                   "CUDA_DEVICE_ORDER"};
static const char *const kept_for_network[] = {
    "HTTP_PROXY",    "HTTPS_PROXY",  "ALL_PROXY",          "NO_PROXY",
    "http_proxy",    "https_proxy",  "all_proxy",          "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"};

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

/* Copies of what stays, taken before all is cleared. */
static void keep_variables(const char *const *names, size_t count, char **values)
{
    for (size_t i = 0; i < count; i++) {
        const char *value = getenv(names[i]);
        values[i] = value ? strdup(value) : NULL;
    }
}

static void restore_variables(const char *const *names, size_t count, char **values)
{
    for (size_t i = 0; i < count; i++)
        if (values[i])
            setenv(names[i], values[i], 1);
}

/* The programs of the model's Python come first. */
static void put_python_first(const char *interpreter)
{
    char path[PATH_MAX + 4096], folder[PATH_MAX];
    const char *before = getenv("PATH");
    snprintf(folder, sizeof folder, "%s", interpreter);
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder)
        return;
    *slash = '\0';
    snprintf(path, sizeof path, "%s:%s", folder, before ? before : "/usr/bin:/bin");
    setenv("PATH", path, 1);
    slash = strrchr(folder, '/');
    if (slash && slash != folder) {
        *slash = '\0';
        setenv("VIRTUAL_ENV", folder, 1);
    }
}

void warden_make_environment(const struct warden *warden)
{
    const struct server_config *server = &warden->spec.server;
    char *values[COUNT(kept)], *network[COUNT(kept_for_network)], port[16];
    keep_variables(kept, COUNT(kept), values);
    keep_variables(kept_for_network, COUNT(kept_for_network), network);
    clearenv();
    restore_variables(kept, COUNT(kept), values);
    if (server->network)
        restore_variables(kept_for_network, COUNT(kept_for_network), network);
    if (warden->worker->interpreter[0])
        put_python_first(warden->worker->interpreter);
    setenv("HOME", warden->home, 1);
    setenv("TMPDIR", warden->worker->scratch, 1);
    setenv("PYTHONUNBUFFERED", "1", 1); /* so that its log is read as it is written */
    setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
    if (warden->port) {
        snprintf(port, sizeof port, "%u", (unsigned)warden->port);
        setenv("PORT", port, 1);
    }
    for (size_t i = 0; i < server->environment_count; i++) {
        char *key = arena_printf((struct arena *)(uintptr_t)&warden->arena, "%.*s",
                                 SPAN_ARGS(server->environment[i].key));
        char *value = arena_printf((struct arena *)(uintptr_t)&warden->arena, "%.*s",
                                   SPAN_ARGS(server->environment[i].value));
        if (key && value)
            setenv(key, value, 1);
    }
}

/* ---- its sandbox ---- */

/* Programs on PATH may be those of a virtual environment, which lies around them. */
static void add_environments(struct spawner_rows *rows)
{
    const size_t programs = rows->count;
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the rows keep them */
    for (size_t i = 0; i < programs; i++) {
        char folder[PATH_MAX], file[PATH_MAX + 32];
        snprintf(folder, sizeof folder, "%s", rows->items[i].path);
        char *slash = strrchr(folder, '/');
        if (!slash || slash == folder || strcmp(slash, "/bin") != 0)
            continue;
        *slash = '\0';
        snprintf(file, sizeof file, "%s/pyvenv.cfg", folder);
        if (access(file, F_OK) == 0)
            spawner_rows_add(rows, strdup(folder), SANDBOX_READ | SANDBOX_EXECUTE);
    }
}

static bool add_pythons(const struct warden *warden, struct spawner_rows *rows,
                        struct error *ret_error)
{
    static struct spawner_python own, model;
    const struct spawner_options *options = warden->child->options;
    if (options->python && spawner_python_find(options->python, options, &own, NULL))
        spawner_rows_add_python(rows, options, &own);
    if (!warden->worker->interpreter[0])
        return true;
    if (!spawner_python_find(warden->worker->interpreter, options, &model, ret_error))
        return false;
    spawner_rows_add_python(rows, options, &model);
    return true;
}

static bool confine(const struct warden *warden, struct error *ret_error)
{
    static struct spawner_rows rows;
    static struct gpu_rows gpus;
    spawner_rows_add_programs(&rows);
    add_environments(&rows);
    if (!add_pythons(warden, &rows, ret_error))
        return false;
    spawner_rows_add(&rows, getenv("VIRTUAL_ENV"), SANDBOX_READ | SANDBOX_EXECUTE);
    spawner_rows_add(&rows, getenv("CONDA_PREFIX"), SANDBOX_READ | SANDBOX_EXECUTE);
    spawner_rows_add(&rows, warden->worker->root, SANDBOX_READ | SANDBOX_EXECUTE);
    spawner_rows_add(&rows, warden->worker->scratch,
                     SANDBOX_READ | SANDBOX_WRITE | SANDBOX_EXECUTE | SANDBOX_SOCKETS);
    spawner_rows_add(&rows, warden->home,
                     SANDBOX_READ | SANDBOX_WRITE | SANDBOX_EXECUTE | SANDBOX_SOCKETS);
    spawner_rows_add(&rows, "/dev/shm", SANDBOX_READ | SANDBOX_WRITE);
    gpu_find(warden->spec.limits.gpus, gpu_file_exists, &gpus);
    for (size_t i = 0; i < gpus.count; i++)
        spawner_rows_add(&rows, gpus.rows[i].path, gpus.rows[i].rights);
    if (warden->own_processes)
        spawner_rows_add(&rows, "/proc", SANDBOX_READ);
    struct sandbox_share share = warden->worker->share;
    if (warden->home != warden->worker->scratch)
        share.scratch = NULL; /* files there may be larger than what lies in its scratch folder */
    return sandbox_enter_server(warden->child->sandbox, rows.items, rows.count,
                                warden->worker->root, &share, ret_error);
}

/* ---- all of it ---- */

bool warden_prepare(struct warden *warden, struct error *ret_error)
{
    return read_spec(warden, ret_error) && make_words(warden, ret_error) &&
           choose_home(warden, ret_error) && confine(warden, ret_error);
}
