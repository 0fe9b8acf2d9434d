/* Connections to a managed server; see server_pool.h. What a keeper sends is checked: it is asked
 * for each, and what comes must be a stream socket. */
#include "serving/server_pool.h"

#include "base/clock.h"
#include "net/conn.h"
#include "serving/generation.h"
#include "serving/visit.h"
#include "telemetry/log.h"
#include "worker/fd_pass.h"
#include "worker/keeper_line.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum {
    KEEP_MS = 1000, /* an unused connection: shorter than servers keep theirs, which would race */
    AGAIN_MS = 20,  /* after a refusal */
    PATIENCE_MS = 10000, /* with a server that runs and accepts none */
    MOST_ASKED = 64,     /* at once */
    ANSWERS_PER_TURN = 64,
};

/* The line, freed when libuv has let go of it. */
struct server_line {
    uv_poll_t poll;
    int fd;
    struct server_pool *pool; /* NULL: closed */
};

/* A connection that nobody uses. */
struct idle_conn {
    struct list_link link;
    struct server_pool *pool; /* NULL: it is closing */
    struct conn *conn;
    struct timer timer;
    char room[64];
};

static struct serving *serving_of(const struct server_pool *pool)
{
    return pool->generation->version->model->serving;
}

static const struct server_config *config_of(const struct server_pool *pool)
{
    return &pool->generation->spec.server;
}

/* ---- connections that nobody uses ---- */

static void leave(struct idle_conn *idle)
{
    timer_stop(&idle->timer);
    list_remove(&idle->link);
    if (idle->pool)
        idle->pool->open--;
    idle->pool = NULL;
}

static void drop(struct idle_conn *idle)
{
    struct conn *conn = idle->conn;
    leave(idle);
    conn_abort(conn); /* on_closed follows */
}

static struct room on_room(void *owner)
{
    struct idle_conn *idle = owner;
    return (struct room){idle->room, sizeof idle->room};
}

/* Nobody has asked it anything. */
static void on_received(void *owner, size_t count)
{
    drop(owner);
}

static void on_received_end(void *owner)
{
    drop(owner);
}

static void on_drained(void *owner)
{
}

static void on_closed(void *owner)
{
    leave(owner);
    free(owner);
}

static const struct conn_owner idle_calls = {on_room, on_received, on_received_end, on_drained,
                                             on_closed};

static void on_kept_long(struct timer *timer)
{
    drop(list_entry(timer, struct idle_conn, timer));
}

/* A connection that the pool counts as open. */
static void keep(struct server_pool *pool, struct conn *conn)
{
    struct idle_conn *idle = calloc(1, sizeof *idle);
    if (!idle) {
        pool->open--;
        conn_abort(conn);
        return;
    }
    idle->pool = pool;
    idle->conn = conn;
    list_add(&pool->idle, &idle->link);
    timer_start(&idle->timer, serving_of(pool)->loop, KEEP_MS, on_kept_long);
    conn_own(conn, &idle_calls, idle);
}

/* The one that was used last; NULL when there is none that its server has not closed. Whoever gets
 * it owns it next. */
static struct conn *take_idle(struct server_pool *pool)
{
    while (!list_empty(&pool->idle)) {
        struct idle_conn *idle = list_entry(pool->idle.head.previous, struct idle_conn, link);
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was dropped is not in the list */
        struct conn *conn = idle->conn;
        if (conn_peer_left(conn)) {
            drop(idle);
            continue;
        }
        leave(idle);
        pool->open++;
        conn_disown(conn);
        free(idle);
        return conn;
    }
    return NULL;
}

/* ---- visits ---- */

static void give(struct server_pool *pool, struct conn *conn, bool used)
{
    assert(!list_empty(&pool->waiting));
    struct visit *visit = list_entry(list_first(&pool->waiting), struct visit, link);
    list_remove(&visit->link);
    pool->generation->state.queued--;
    pool->lent++;
    visit_give(visit, conn, used);
}

void server_pool_refuse(struct server_pool *pool, const struct error *error)
{
    for (struct list_link *link; (link = list_first(&pool->waiting));) {
        list_remove(link);
        visit_refuse(list_entry(link, struct visit, link), error);
    }
}

static void on_quiet(struct timer *timer)
{
    struct server_pool *pool = list_entry(timer, struct server_pool, quiet);
    struct generation *generation = pool->generation;
    if (generation->state.phase == GENERATION_READY && !generation->state.retired &&
        !generation->state.queued && !pool->lent)
        generation_notice(generation, GENERATION_IDLE);
}

void server_pool_rest(struct server_pool *pool)
{
    uint64_t idle_after_s = config_of(pool)->idle_after_s;
    if (idle_after_s && !pool->lent && !pool->generation->state.queued)
        timer_start(&pool->quiet, serving_of(pool)->loop, idle_after_s * 1000, on_quiet);
}

void server_pool_return(struct server_pool *pool, struct conn *conn, bool reusable)
{
    assert(pool->lent > 0);
    pool->lent--;
    if (conn && reusable && pool->line) {
        keep(pool, conn);
    } else {
        pool->open--;
        if (conn)
            conn_abort(conn);
    }
    if (pool->generation->state.queued)
        generation_dispatch(pool->generation);
    server_pool_rest(pool);
}

/* ---- asking for connections ---- */

static void ask_again(struct timer *timer)
{
    generation_dispatch(list_entry(timer, struct server_pool, again)->generation);
}

static void wait_and_ask(struct server_pool *pool)
{
    if (!timer_running(&pool->again))
        timer_start(&pool->again, serving_of(pool)->loop, AGAIN_MS, ask_again);
}

/* As many as lack, within what the server's config allows. */
static void ask(struct server_pool *pool)
{
    static const char byte = KEEPER_CONNECT;
    while (pool->asked < pool->generation->state.queued && pool->asked < MOST_ASKED &&
           pool->open < config_of(pool)->connections) {
        if (send(pool->line->fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1) {
            wait_and_ask(pool);
            return;
        }
        pool->asked++;
        pool->open++;
    }
}

void server_pool_dispatch(struct server_pool *pool)
{
    const struct generation_state *state = &pool->generation->state;
    if (state->queued)
        timer_stop(&pool->quiet);
    if (state->phase != GENERATION_READY || !pool->line)
        return;
    while (state->queued) {
        struct conn *conn = take_idle(pool);
        if (!conn)
            break;
        give(pool, conn, true);
    }
    if (!timer_running(&pool->again))
        ask(pool);
    server_pool_rest(pool);
}

/* ---- what the keeper sends ---- */

/* The keeper is not what it should be. */
static void break_line(struct server_pool *pool, const char *what)
{
    generation_break(pool->generation, what);
}

/* A stream socket of a kind that a server listens on, which does not block. */
static bool is_connection(int fd, bool *ret_unix)
{
    int domain = 0, type = 0;
    socklen_t size = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
        return false;
    *ret_unix = domain == AF_UNIX;
    return type == SOCK_STREAM && (domain == AF_INET || domain == AF_UNIX) &&
           fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

/* Takes a connection that was asked for; fd is closed in any case where none comes of it. */
static void take_connection(struct server_pool *pool, int fd)
{
    bool is_unix;
    pool->refused_since_ns = 0;
    if (!is_connection(fd, &is_unix)) {
        close(fd);
        pool->open--;
        break_line(pool, "it handed over what is no connection");
        return;
    }
    struct conn *conn = conn_adopt(serving_of(pool)->loop, fd, is_unix);
    if (!conn) {
        pool->open--;
        wait_and_ask(pool);
    } else if (pool->generation->state.queued) {
        give(pool, conn, false);
    } else {
        keep(pool, conn);
    }
}

/* It may be about to end, and be started again, before those who wait need be told. */
static void take_refusal(struct server_pool *pool, int failure)
{
    struct error error;
    uint64_t now_ns = loop_now_ns(serving_of(pool)->loop);
    pool->open--;
    if (!pool->refused_since_ns)
        pool->refused_since_ns = now_ns;
    if (now_ns - pool->refused_since_ns < PATIENCE_MS * CLOCK_NS_PER_MS) {
        wait_and_ask(pool);
        return;
    }
    pool->refused_since_ns = 0;
    error_set(&error, ERROR_BAD_GATEWAY, "the server of model '%.*s' accepts no connections: %s",
              SPAN_ARGS(pool->generation->spec.name),
              strerrordesc_np(failure) ? strerrordesc_np(failure) : "unknown error");
    pool->generation->state.queued = 0;
    server_pool_refuse(pool, &error);
}

/* False when there is no more for now. */
static bool take_answer(struct server_pool *pool)
{
    struct keeper_answer answer;
    int fd = -1;
    size_t fds;
    ssize_t size = fd_pass_receive(pool->line->fd, &answer, sizeof answer, &fd, 1, &fds);
    if (size < 0)
        return false;
    bool sound = size == (ssize_t)sizeof answer && pool->asked > 0 && fds == (answer.failure == 0);
    if (!sound) {
        if (fd >= 0)
            close(fd);
        if (size > 0)
            break_line(pool, "it said what makes no sense");
        uv_poll_stop(&pool->line->poll); /* its end is told by the spawner */
        return false;
    }
    pool->asked--;
    if (fd >= 0)
        take_connection(pool, fd);
    else
        take_refusal(pool, answer.failure);
    return true;
}

static void on_line(uv_poll_t *poll, int status, int events)
{
    struct server_line *line = poll->data;
    struct server_pool *pool = line->pool;
    if (!pool)
        return;
    struct generation *generation = generation_ref(pool->generation);
    for (int i = 0; i < ANSWERS_PER_TURN && line->pool && take_answer(pool); i++)
        continue;
    if (line->pool && generation->state.queued)
        generation_dispatch(generation);
    generation_unref(generation);
}

static void on_line_closed(uv_handle_t *handle)
{
    struct server_line *line = handle->data;
    close(line->fd);
    free(line);
}

bool server_pool_open(struct server_pool *pool, int fd, struct error *ret_error)
{
    struct loop *loop = serving_of(pool)->loop;
    struct server_line *line = calloc(1, sizeof *line);
    assert(!pool->line);
    if (!line) {
        close(fd);
        return error_no_memory(ret_error);
    }
    line->fd = fd;
    line->poll.data = line;
    if (uv_poll_init(loop_uv(loop), &line->poll, fd) < 0) {
        close(fd);
        free(line);
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "its line cannot be watched");
    }
    line->pool = pool;
    pool->line = line;
    uv_poll_start(&line->poll, UV_READABLE, on_line);
    if (loop_register(loop, fd))
        return true;
    server_pool_close(pool);
    return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "its line cannot be watched");
}

void server_pool_close(struct server_pool *pool)
{
    struct server_line *line = pool->line;
    timer_stop(&pool->again);
    timer_stop(&pool->quiet);
    list_each(link, &pool->idle)
    {
        drop(list_entry(link, struct idle_conn, link));
    }
    pool->refused_since_ns = 0;
    pool->open -= pool->asked;
    pool->asked = 0;
    pool->line = NULL;
    if (!line)
        return;
    line->pool = NULL;
    uv_close((uv_handle_t *)&line->poll, on_line_closed);
}

void server_pool_lost(struct server_pool *pool, const char *why)
{
    server_pool_close(pool);
    pool->lost_ns = clock_now_ns();
    snprintf(pool->lost_why, sizeof pool->lost_why, "%s", why);
    for (struct list_link *link; (link = list_first(&pool->asking));)
        visit_tell_why(list_entry(link, struct visit, link), pool->lost_why);
}

void server_pool_init(struct server_pool *pool, struct generation *generation)
{
    *pool = (struct server_pool){.generation = generation};
    list_init(&pool->waiting);
    list_init(&pool->asking);
    list_init(&pool->idle);
}

void server_pool_fini(struct server_pool *pool)
{
    assert(list_empty(&pool->waiting) && list_empty(&pool->asking) && !pool->lent);
    server_pool_close(pool);
}
