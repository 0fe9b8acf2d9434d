/* The file of learned figures; see learned_file.h. A new file takes the old one's place by a
 * rename, so that there is always a whole one; after a power cut it may be an older one or damaged,
 * which costs a few measurements. */
#include "cmd/learned_file.h"

#include "base/file_bytes.h"
#include "cmd/absolute.h"
#include "cmd/state_dir.h"
#include "telemetry/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char name[] = "figures", new_name[] = "figures.new";

enum { PERIOD_MS = 60000, ARENA_BYTES = 4096 };

/* ---- reading ---- */

static void take_in(struct learned_file *file, int fd)
{
    struct arena arena;
    struct span bytes;
    struct error error;
    arena_init(&arena, ARENA_BYTES, LEARNED_FILE_BYTES + ARENA_BYTES);
    if (!file_bytes_read(fd, LEARNED_FILE_BYTES, &arena, &bytes))
        log_warning("front", "what was learned of models is lost: cannot read '%s/%s'", file->path,
                    name);
    else if (!learned_read(&file->serving->learned, bytes, &error))
        log_warning("front", "what was learned of models is lost: '%s/%s': %s", file->path, name,
                    error.message);
    else
        buf_append(&file->bytes, bytes);
    arena_fini(&arena);
}

static bool make_folder(struct learned_file *file, const struct settings *settings)
{
    char state[PATH_MAX], absolute[PATH_MAX];
    struct error error;
    if (!state_dir_find(settings, state, &error) || !absolute_path(state, absolute, &error) ||
        (size_t)snprintf(file->path, PATH_MAX, "%s/learned", absolute) >= PATH_MAX)
        return false;
    if (mkdir(file->path, 0700) != 0 && errno != EEXIST)
        return false;
    file->folder = open(file->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return file->folder >= 0;
}

void learned_file_open(struct learned_file *file, struct serving *serving,
                       const struct settings *settings)
{
    *file = (struct learned_file){.serving = serving, .folder = -1};
    buf_init(&file->bytes, LEARNED_FILE_BYTES);
    buf_init(&file->latest, LEARNED_FILE_BYTES);
    if (!make_folder(file, settings)) {
        file->path[0] = '\0'; /* as in a container that nothing may be written in */
        return;
    }
    int fd = openat(file->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return; /* the first start */
    take_in(file, fd);
    close(fd);
}

/* ---- writing ---- */

static void write_on_thread(struct loop_work *work)
{
    struct learned_file *file = list_entry(work, struct learned_file, work);
    int fd =
        openat(file->folder, new_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool written = fd >= 0 && file_bytes_write(fd, buf_span(&file->bytes));
    file->failure = written ? 0 : errno;
    if (fd >= 0)
        close(fd);
    if (written && renameat(file->folder, new_name, file->folder, name) != 0)
        file->failure = errno;
}

static void written(struct loop_work *work)
{
    struct learned_file *file = list_entry(work, struct learned_file, work);
    file->writing = false;
    if (file->failure && file->failure != file->told)
        log_warning("front", "what is learned of models is not kept: cannot write '%s/%s': %s",
                    file->path, name, strerrordesc_np(file->failure));
    file->told = file->failure;
    if (file->failure)
        buf_clear(&file->bytes); /* to be tried again */
}

/* Whether there is something to write; it is in file->bytes then. */
static bool has_changed(struct learned_file *file)
{
    serving_keep_learned(file->serving);
    buf_clear(&file->latest);
    learned_write(&file->serving->learned, &file->latest);
    if (!buf_ok(&file->latest) || span_equal(buf_span(&file->latest), buf_span(&file->bytes)) ||
        (file->serving->learned.count == 0 && file->bytes.size == 0))
        return false;
    buf_clear(&file->bytes);
    buf_append(&file->bytes, buf_span(&file->latest));
    return buf_ok(&file->bytes);
}

static void look(struct timer *timer)
{
    struct learned_file *file = list_entry(timer, struct learned_file, timer);
    struct error error;
    if (!file->writing && has_changed(file))
        file->writing =
            loop_work_start(file->serving->loop, &file->work, write_on_thread, written, &error);
    timer_start(&file->timer, file->serving->loop, PERIOD_MS, look);
}

void learned_file_start(struct learned_file *file)
{
    if (file->folder >= 0)
        timer_start(&file->timer, file->serving->loop, PERIOD_MS, look);
}

void learned_file_close(struct learned_file *file)
{
    if (file->folder < 0 || file->writing || !has_changed(file))
        return;
    write_on_thread(&file->work);
    written(&file->work);
}
