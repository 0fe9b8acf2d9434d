/* The file of weights; see routing_file.h. A new file takes the old one's place by a rename. */
#include "cmd/routing_file.h"

#include "base/file_bytes.h"
#include "telemetry/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static const char name[] = "rollouts", new_name[] = "rollouts.new";

enum { ARENA_BYTES = 4096 };

static void take_in(struct routing_file *file, int fd)
{
    struct arena arena;
    struct span text;
    struct error error = {.message = "cannot be read"};
    arena_init(&arena, ARENA_BYTES, ROUTING_KEPT_BYTES + ARENA_BYTES);
    if (!file_bytes_read(fd, ROUTING_KEPT_BYTES, &arena, &text) ||
        !routing_kept_read(&file->serving->routing_kept, text, &error))
        log_warning("front", "weights that were set by 'tensord rollout' are lost: '%s/%s': %s",
                    file->beside->path, name, error.message);
    arena_fini(&arena);
}

static void write_on_thread(struct loop_work *work)
{
    struct routing_file *file = list_entry(work, struct routing_file, work);
    int folder = file->beside->folder;
    int fd = openat(folder, new_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool written = fd >= 0 && file_bytes_write(fd, buf_span(&file->bytes));
    file->failure = written ? 0 : errno;
    if (fd >= 0)
        close(fd);
    if (written && renameat(folder, new_name, folder, name) != 0)
        file->failure = errno;
}

static void say_failure(const struct routing_file *file)
{
    if (file->failure)
        log_warning("front", "weights that were set are not kept over a restart: '%s/%s': %s",
                    file->beside->path, name, strerrordesc_np(file->failure));
}

/* Whether there is something to write; it is in file->bytes then. */
static bool has_changed(struct routing_file *file)
{
    struct routing_kept *kept = &file->serving->routing_kept;
    if (!kept->changed)
        return false;
    kept->changed = false;
    buf_clear(&file->bytes);
    routing_kept_write(kept, &file->bytes);
    return buf_ok(&file->bytes);
}

static void start(struct routing_file *file);

static void written(struct loop_work *work)
{
    struct routing_file *file = list_entry(work, struct routing_file, work);
    file->writing = false;
    say_failure(file);
    start(file); /* more may have been set meanwhile */
}

static void start(struct routing_file *file)
{
    struct error error;
    if (!file->writing && has_changed(file))
        file->writing =
            loop_work_start(file->serving->loop, &file->work, write_on_thread, written, &error);
}

static void on_change(void *context)
{
    start(context);
}

void routing_file_open(struct routing_file *file, struct serving *serving,
                       const struct learned_file *beside)
{
    *file = (struct routing_file){.serving = serving, .beside = beside};
    buf_init(&file->bytes, ROUTING_KEPT_BYTES);
    if (beside->folder < 0)
        return;
    int fd = openat(beside->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) {
        take_in(file, fd);
        close(fd);
    }
    serving->routing_changed = on_change;
    serving->routing_context = file;
}

void routing_file_close(struct routing_file *file)
{
    if (file->beside->folder < 0 || file->writing || !has_changed(file))
        return;
    write_on_thread(&file->work);
    say_failure(file);
}
