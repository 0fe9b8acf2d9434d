/* Errands; see errand.h. An errand lives until its process has ended and its socket is closed,
 * whichever comes last. */
#include "worker/errand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"

enum {
    READ_BYTES = 64 << 10,
    REASON_BYTES = 512,
    LAST_WORDS_MS = 5000, /* after its end: what it had said has come long before */
};

struct errand {
    uv_pipe_t pipe;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct loop *loop;
    struct spawner_client *spawner;
    struct worker_process process;
    const struct errand_events *events;
    void *owner;
    struct buf question;
    struct buf line;         /* what came of it so far */
    struct timer last_words; /* runs when it has ended and its socket has not */
    bool ended, closed, started;
    char reason[REASON_BYTES];
    char room[READ_BYTES];
};

static void free_errand(struct errand *errand)
{
    buf_fini(&errand->question);
    buf_fini(&errand->line);
    free(errand);
}

static void finish(struct errand *errand)
{
    if (!errand->ended || !errand->closed)
        return;
    errand->events->ended(errand->owner, errand->started, errand->reason);
    free_errand(errand);
}

static void on_closed(uv_handle_t *handle)
{
    struct errand *errand = handle->data;
    errand->closed = true;
    timer_stop(&errand->last_words);
    finish(errand);
}

static void close_pipe(struct errand *errand)
{
    if (!uv_is_closing((uv_handle_t *)&errand->pipe))
        uv_close((uv_handle_t *)&errand->pipe, on_closed);
}

/* Whoever else has the other end, it is not the one that was sent. */
static void on_silence(struct timer *timer)
{
    close_pipe(list_entry(timer, struct errand, last_words));
}

static void on_ended(struct worker_process *process, bool started, const char *reason)
{
    struct errand *errand = list_entry(process, struct errand, process);
    errand->ended = true;
    errand->started = started;
    snprintf(errand->reason, sizeof errand->reason, "%s", reason);
    if (!started)
        close_pipe(errand); /* nobody has the other end */
    else if (!errand->closed)
        timer_start(&errand->last_words, errand->loop, LAST_WORDS_MS, on_silence);
    finish(errand);
}

/* ---- what it says ---- */

static void give_line(struct errand *errand)
{
    errand->events->line(errand->owner, buf_span(&errand->line));
    buf_clear(&errand->line);
}

/* False when the line is too long. */
static bool take(struct errand *errand, struct span bytes)
{
    while (bytes.size) {
        const char *end = memchr(bytes.data, '\n', bytes.size);
        size_t size = end ? (size_t)(end - bytes.data) : bytes.size;
        buf_append(&errand->line, (struct span){bytes.data, size});
        if (!buf_ok(&errand->line))
            return false;
        if (!end)
            return true;
        give_line(errand);
        bytes = span_after(bytes, size + 1);
    }
    return true;
}

static void on_room(uv_handle_t *handle, size_t wish, uv_buf_t *ret_room)
{
    struct errand *errand = handle->data;
    *ret_room = uv_buf_init(errand->room, READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *room)
{
    struct errand *errand = stream->data;
    if (size == 0)
        return;
    if (size < 0) {
        close_pipe(errand);
    } else if (!take(errand, (struct span){room->base, (size_t)size})) {
        spawner_kill(errand->spawner, &errand->process);
        close_pipe(errand);
    }
}

/* ---- asking ---- */

static void on_shut(uv_shutdown_t *request, int status)
{
}

/* A process that does not read all of it says why in its answer, or by how it ends. */
static void on_written(uv_write_t *request, int status)
{
    struct errand *errand = request->data;
    if (status == 0 && !uv_is_closing((uv_handle_t *)&errand->pipe))
        uv_shutdown(&errand->shutdown, (uv_stream_t *)&errand->pipe, on_shut);
}

static struct errand *errand_new(struct span question, const struct errand_events *events,
                                 void *owner)
{
    struct errand *errand = calloc(1, sizeof *errand);
    if (!errand)
        return NULL;
    errand->events = events;
    errand->owner = owner;
    errand->process.ended = on_ended;
    buf_init(&errand->question, question.size);
    buf_init(&errand->line, ERRAND_LINE_MAX_BYTES);
    buf_append(&errand->question, question);
    if (buf_ok(&errand->question))
        return errand;
    free_errand(errand);
    return NULL;
}

/* From here on the handle is libuv's until it is closed; the process that has the other end has
 * been asked for. */
static void converse(struct errand *errand, struct loop *loop, int fd)
{
    struct span question = buf_span(&errand->question);
    uv_buf_t bytes = uv_buf_init((char *)(uintptr_t)question.data, (unsigned)question.size);
    errand->write.data = errand;
    if (uv_pipe_open(&errand->pipe, fd) < 0) {
        close(fd);
    } else if (uv_read_start((uv_stream_t *)&errand->pipe, on_room, on_read) == 0 &&
               loop_register(loop, fd) &&
               uv_write(&errand->write, (uv_stream_t *)&errand->pipe, &bytes, 1, on_written) == 0) {
        return;
    }
    spawner_kill(errand->spawner, &errand->process);
    close_pipe(errand);
}

struct errand *errand_start(struct loop *loop, struct spawner_client *spawner, unsigned task,
                            const char *path, struct span question,
                            const struct errand_events *events, void *owner,
                            struct error *ret_error)
{
    int pair[2];
    struct errand *errand = errand_new(question, events, owner);
    if (!errand) {
        error_no_memory(ret_error);
        return NULL;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "a socket: %s", strerrordesc_np(errno));
        free_errand(errand);
        return NULL;
    }
    errand->loop = loop;
    errand->spawner = spawner;
    bool asked = spawner_run_task(spawner, &errand->process, task, path, pair[1], ret_error);
    close(pair[1]);
    if (!asked) {
        close(pair[0]);
        free_errand(errand);
        return NULL;
    }
    uv_pipe_init(loop_uv(loop), &errand->pipe, 0);
    errand->pipe.data = errand;
    converse(errand, loop, pair[0]);
    return errand;
}

void errand_kill(struct errand *errand)
{
    if (!errand->ended)
        spawner_kill(errand->spawner, &errand->process);
}
