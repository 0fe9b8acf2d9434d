/* Finding and loading a config; see model_config.h. */
#include "repository/model_config.h"

#include "repository/model_sequences.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

const char *const model_config_names[] = {"config.pbtxt", "model.yaml", NULL};
static const enum model_config_format formats[] = {MODEL_CONFIG_PBTXT, MODEL_CONFIG_YAML};

const struct model_config *model_config_default(void)
{
    static const struct model_config config = {.max_batch_size = -1, .device = {"cpu", 3}};
    return &config;
}

/* Opens a file of the folder for reading; links are followed within the folder only. Where openat2
 * is missing or forbidden, no link is followed. */
static int open_beneath(int folder_fd, const char *name)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_BENEATH};
    long fd = syscall(SYS_openat2, folder_fd, name, &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    return (int)fd;
}

static bool fail(const char *name, const char *what, struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s: %s", name, what);
}

/* The call that has just failed says nothing of the config. */
static bool cannot_now(const char *name, struct error *ret_error)
{
    return error_set(ret_error, ERROR_UNAVAILABLE, "%s: %s", name, strerror(errno));
}

/* Reads all of a file that is open into the arena. */
static bool read_all(int fd, const char *name, struct arena *arena, struct span *ret_text,
                     struct error *ret_error)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return cannot_now(name, ret_error);
    if (!S_ISREG(status.st_mode))
        return fail(name, "not a regular file", ret_error);
    if (status.st_size > MODEL_CONFIG_MAX_BYTES)
        return fail(name, "larger than 1 MiB", ret_error);
    size_t size = (size_t)status.st_size, done = 0;
    char *text = arena_alloc(arena, size);
    if (!text)
        return error_no_memory(ret_error);
    while (done < size) {
        ssize_t count = read(fd, text + done, size - done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return cannot_now(name, ret_error);
        if (count == 0)
            break; /* it has shrunk meanwhile: the next scan sees it whole */
        done += (size_t)count;
    }
    *ret_text = (struct span){text, done};
    return true;
}

/* Reads a file of the folder, which `field` of the config names. */
static bool load_named(int folder_fd, const char *file, const char *field, struct arena *arena,
                       struct span *ret_bytes, struct error *ret_error)
{
    if (!file)
        return error_no_memory(ret_error);
    int fd = open_beneath(folder_fd, file);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "%s: it is named by %s, and is not there", file, field);
    if (fd < 0 && (errno == EXDEV || errno == ELOOP))
        return fail(file, "a link out of the model's folder", ret_error);
    if (fd < 0)
        return cannot_now(file, ret_error);
    bool good = read_all(fd, file, arena, ret_bytes, ret_error);
    close(fd);
    return good;
}

/* Reads the files beside the config that it names: all together as long as a config may be. */
static bool load_labels(int folder_fd, struct model_config *config, struct arena *arena,
                        struct error *ret_error)
{
    size_t total = 0;
    for (size_t i = 0; i < config->label_count; i++) {
        struct model_labels *labels = &config->labels[i];
        const char *file = arena_printf(arena, "%.*s", SPAN_ARGS(labels->file));
        if (!load_named(folder_fd, file, "label_filename", arena, &labels->text, ret_error))
            return false;
        if (memchr(labels->text.data, '\0', labels->text.size))
            return fail(file, "it is no text", ret_error);
        total += labels->text.size;
        if (total > MODEL_CONFIG_MAX_BYTES)
            return fail(file, "the files of labels are larger than 1 MiB", ret_error);
    }
    return true;
}

static bool load_warm_up(int folder_fd, const struct warm_up *warm_up, struct arena *arena,
                         size_t *total, struct error *ret_error)
{
    for (size_t i = 0; i < warm_up->input_count; i++) {
        struct warm_up_input *input = &warm_up->inputs[i];
        if (input->data != WARM_UP_FILE)
            continue;
        const char *file = arena_printf(arena, "warmup/%.*s", SPAN_ARGS(input->file));
        if (!load_named(folder_fd, file, "input_data_file", arena, &input->bytes, ret_error))
            return false;
        *total += input->bytes.size;
        if (*total > WARM_UP_FILE_BYTES)
            return fail(file, "the files of model_warmup are larger than 1 MiB: use random_data",
                        ret_error);
    }
    return true;
}

static bool load_warm_ups(int folder_fd, const struct model_config *config, struct arena *arena,
                          struct error *ret_error)
{
    size_t total = 0;
    for (size_t i = 0; i < config->warm_ups.count; i++) {
        if (!load_warm_up(folder_fd, &config->warm_ups.items[i], arena, &total, ret_error))
            return false;
    }
    return true;
}

/* Reads what sequences begin with: all together as long as a config may be. */
static bool load_states(int folder_fd, struct model_sequences *sequences, struct arena *arena,
                        struct error *ret_error)
{
    size_t total = 0;
    for (size_t i = 0; sequences && i < sequences->state_count; i++) {
        struct model_state *state = &sequences->states[i];
        if (!state->initial_file.size)
            continue;
        const char *file =
            arena_printf(arena, "initial_state/%.*s", SPAN_ARGS(state->initial_file));
        if (!load_named(folder_fd, file, "data_file", arena, &state->initial, ret_error))
            return false;
        total += state->initial.size;
        if (total > MODEL_CONFIG_MAX_BYTES)
            return fail(file, "the files of states are larger than 1 MiB", ret_error);
    }
    return true;
}

/* Reads and checks the config that fd is. */
static bool load_file(int folder_fd, int fd, size_t row, struct arena *arena,
                      const struct model_config **ret_config, struct error *ret_error)
{
    const char *name = model_config_names[row];
    struct span text = {0};
    struct error error;
    struct model_config *config = arena_alloc(arena, sizeof *config);
    if (!config)
        return error_no_memory(ret_error);
    if (!read_all(fd, name, arena, &text, ret_error))
        return false;
    if (!model_config_read(formats[row], text, arena, config, &error))
        return error_set(ret_error, error.code, "%s: %.480s", name, error.message);
    if (!load_labels(folder_fd, config, arena, ret_error) ||
        !load_warm_ups(folder_fd, config, arena, ret_error) ||
        !load_states(folder_fd, config->sequences, arena, ret_error))
        return false;
    *ret_config = config;
    return true;
}

static bool load_from(int folder_fd, struct arena *arena, const struct model_config **ret_config,
                      struct error *ret_error)
{
    const struct model_config *config = model_config_default();
    bool found = false;
    for (size_t row = 0; model_config_names[row]; row++) {
        int fd = open_beneath(folder_fd, model_config_names[row]);
        if (fd < 0 && errno == ENOENT)
            continue;
        if (fd < 0 && (errno == EXDEV || errno == ELOOP))
            return fail(model_config_names[row], "a link out of the model's folder", ret_error);
        if (fd < 0)
            return cannot_now(model_config_names[row], ret_error);
        bool ok = found ? fail(model_config_names[row], "there is another config", ret_error)
                        : load_file(folder_fd, fd, row, arena, &config, ret_error);
        close(fd);
        if (!ok)
            return false;
        found = true;
    }
    *ret_config = config;
    return true;
}

bool model_config_load(const char *folder, struct arena *arena,
                       const struct model_config **ret_config, struct error *ret_error)
{
    int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0)
        return cannot_now("the folder cannot be read", ret_error);
    bool ok = load_from(folder_fd, arena, ret_config, ret_error);
    close(folder_fd);
    return ok;
}
