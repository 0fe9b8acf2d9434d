/* A request over HTTP/1.1 to a server; see http1_client.h. */
#include "protocol/http1_client.h"

#include "net/conn.h"
#include "protocol/http1_answer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_INTERIM = 16, ROOM_BYTES = 64 << 10 };

struct http1_client {
    const struct http1_client_events *events;
    void *owner;
    struct conn *conn; /* NULL: none */
    struct http_limits limits;
    struct arena *arena;
    struct http1_answer answer;
    size_t filled;    /* of room */
    size_t piece;     /* of that, content that the owner looks at, at the beginning */
    size_t used;      /* of that, bytes that the piece was made of */
    unsigned interim; /* heads of 1xx so far */
    bool to_head;
    bool may_switch; /* to another protocol */
    bool in_body;
    bool paused;        /* a piece is with the owner */
    bool request_ended; /* all of the request was given to http1_client_send */
    bool answered;      /* a byte of the answer has come */
    bool ended;         /* the server has said that it sends no more */
    bool cut;           /* and has so broken off what was not complete */
    char room[ROOM_BYTES];
};

/* ---- the end ---- */

struct conn *http1_client_abandon(struct http1_client *client)
{
    struct conn *conn = client->conn;
    client->conn = NULL;
    if (conn)
        conn_disown(conn);
    return conn;
}

static void finish(struct http1_client *client, const struct error *error)
{
    struct conn *conn = http1_client_abandon(client);
    bool clean = client->used == client->filled && !client->ended && client->request_ended;
    bool reusable =
        conn && !error && client->answer.keep_alive && clean && conn_unsent_bytes(conn) == 0;
    client->events->done(client->owner, conn, reusable, error);
}

/* ---- receiving ---- */

/* Drops the bytes at the beginning that were used. */
static void drop_used(struct http1_client *client)
{
    size_t left = client->filled - client->used;
    if (left && client->used)
        memmove(client->room, client->room + client->used, left);
    client->filled = left;
    client->used = client->piece = 0;
}

static bool begin_answer(struct http1_client *client, struct error *ret_error)
{
    if (client->answer.status >= 200) {
        client->in_body = true;
        return true;
    }
    if (client->answer.status == 101 && client->may_switch) {
        client->answer.framing = HTTP1_ANSWER_UNTIL_CLOSE;
        client->answer.keep_alive = false;
        client->in_body = true;
        return true;
    }
    if (client->answer.status == 101)
        return error_set(ret_error, ERROR_BAD_GATEWAY,
                         "the server has changed the protocol, which nobody asked for");
    if (++client->interim > MOST_INTERIM)
        return error_set(ret_error, ERROR_BAD_GATEWAY,
                         "the server sent more than %d interim answers", MOST_INTERIM);
    http1_answer_init(&client->answer, &client->limits, client->arena, client->to_head);
    return true;
}

static enum http1_step read_head(struct http1_client *client, struct error *ret_error)
{
    const struct span bytes = {client->room, client->filled};
    enum http1_step step = http1_answer_head(&client->answer, bytes, &client->used, ret_error);
    if (step != HTTP1_DONE)
        return step;
    drop_used(client);
    if (!begin_answer(client, ret_error))
        return HTTP1_ERROR;
    const struct http1_client_head head = {client->answer.status, client->answer.fields,
                                           client->answer.field_count};
    if (client->in_body)
        client->events->head(client->owner, &head);
    return client->in_body && client->answer.framing == HTTP1_ANSWER_EMPTY ? HTTP1_DONE
                                                                           : HTTP1_MORE;
}

static enum http1_step read_body(struct http1_client *client, struct error *ret_error)
{
    if (client->answer.framing == HTTP1_ANSWER_UNTIL_CLOSE) {
        client->used = client->piece = client->filled;
        return HTTP1_MORE;
    }
    return http1_answer_body(&client->answer, (struct room){client->room, client->filled},
                             &client->used, &client->piece, ret_error);
}

/* Gives the owner what there is of the body. */
static void give_piece(struct http1_client *client)
{
    if (!client->piece) {
        drop_used(client);
        return;
    }
    client->paused = true;
    client->events->body(client->owner, (struct span){client->room, client->piece});
}

/* Reads on. False when more has to come first, or all is over. */
static bool read_on(struct http1_client *client)
{
    struct error error;
    bool in_body = client->in_body;
    enum http1_step step = in_body ? read_body(client, &error) : read_head(client, &error);
    if (!client->conn)
        return false; /* the owner has let go */
    if (step == HTTP1_ERROR) {
        finish(client, &error);
        return false;
    }
    if (in_body)
        give_piece(client);
    if (step == HTTP1_DONE && client->conn)
        finish(client, NULL);
    return client->in_body || client->answer.parsed_bytes < client->filled;
}

/* Goes on with what was received, as far as the owner takes it. */
static void proceed(struct http1_client *client)
{
    bool more = true;
    while (more && client->conn && !client->paused && client->filled)
        more = read_on(client);
}

static void fail_ended(struct http1_client *client)
{
    struct error error;
    client->cut = true;
    error_set(&error, ERROR_BAD_GATEWAY, "%s",
              client->in_body ? "the server's answer ended before it was complete"
              : client->answered
                  ? "the server closed the connection in the middle of an answer"
                  : "the server closed the connection before it answered; the request may be sent "
                    "again");
    finish(client, &error);
}

/* No more bytes will come. */
static void look_for_end(struct http1_client *client)
{
    if (!client->conn || client->paused)
        return; /* when the piece was taken */
    if (client->in_body && client->answer.framing == HTTP1_ANSWER_UNTIL_CLOSE)
        finish(client, NULL);
    else
        fail_ended(client);
}

static struct room room(void *owner)
{
    struct http1_client *client = owner;
    if (client->paused)
        return (struct room){NULL, 0};
    return (struct room){client->room + client->filled, ROOM_BYTES - client->filled};
}

static void received(void *owner, size_t count)
{
    struct http1_client *client = owner;
    client->answered = true;
    client->filled += count;
    client->events->alive(client->owner);
    proceed(client);
}

static void received_end(void *owner)
{
    struct http1_client *client = owner;
    client->ended = true;
    look_for_end(client);
}

static void drained(void *owner)
{
    struct http1_client *client = owner;
    client->events->alive(client->owner);
    client->events->sent(client->owner);
}

static void closed(void *owner)
{
    struct http1_client *client = owner;
    client->conn = NULL;
    client->paused = false;
    fail_ended(client);
}

static const struct conn_owner calls = {room, received, received_end, drained, closed};

/* ---- the owner's calls ---- */

struct http1_client *http1_client_new(const struct http_limits *limits, struct arena *arena,
                                      bool to_head, const struct http1_client_events *events,
                                      void *owner)
{
    struct http1_client *client = malloc(sizeof *client); /* its room need not be cleared */
    if (!client)
        return NULL;
    memset(client, 0, offsetof(struct http1_client, room));
    client->limits = *limits;
    if (client->limits.header_bytes >= ROOM_BYTES)
        client->limits.header_bytes = ROOM_BYTES - 1;
    client->arena = arena;
    client->to_head = to_head;
    client->events = events;
    client->owner = owner;
    return client;
}

void http1_client_free(struct http1_client *client)
{
    assert(!client || !client->conn);
    free(client);
}

void http1_client_begin(struct http1_client *client, struct conn *conn)
{
    assert(!client->conn);
    client->conn = conn;
    client->filled = client->piece = client->used = client->interim = 0;
    client->in_body = client->paused = client->request_ended = client->answered = client->ended =
        client->cut = false;
    http1_answer_init(&client->answer, &client->limits, client->arena, client->to_head);
    conn_own(conn, &calls, client);
}

void http1_client_may_switch(struct http1_client *client)
{
    client->may_switch = true;
}

bool http1_client_is_paused(const struct http1_client *client)
{
    return client->paused;
}

bool http1_client_has_answer(const struct http1_client *client)
{
    return client->answered;
}

bool http1_client_was_cut(const struct http1_client *client)
{
    return client->cut;
}

bool http1_client_send(struct http1_client *client, const struct iovec *vectors, size_t count,
                       bool last)
{
    client->request_ended = client->request_ended || last;
    return !client->conn || !count || conn_send(client->conn, vectors, count);
}

void http1_client_resume(struct http1_client *client)
{
    if (!client->paused || !client->conn)
        return;
    client->paused = false;
    drop_used(client);
    proceed(client);
    if (!client->conn || client->paused)
        return;
    if (client->ended)
        look_for_end(client);
    else
        conn_resume(client->conn);
}
