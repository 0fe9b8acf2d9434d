/* The audit log; see audit.h. A write to the file is one write(2) on O_APPEND, so lines are whole
 * unless the disk fills, and then the next one begins anew; it goes to the page cache and does not
 * wait for a disk. */
#include "api/audit.h"

#include "api/call.h"
#include "auth/date.h"
#include "auth/scope.h"
#include "codec/json_writer.h"
#include "telemetry/log.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 8192, PEER_BYTES = 64, OBJECT_BYTES = 512 };

static const struct quota_limits refusal_limits = {
    .rate_count = 10, .rate_period_ns = CLOCK_NS_PER_S, .burst = 50};

/* A line in the making. */
struct event {
    const char *action;
    struct span object, name; /* what it was done to; the caller's name, if it has one */
    struct span request_id;   /* empty: it was no request */
    const char *caller, *peer, *result;
};

bool audit_open(struct audit *audit, const char *path, struct error *ret_error)
{
    *audit = (struct audit){.fd = -1};
    if (!path[0])
        return true;
    audit->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    return audit->fd >= 0 || error_set(ret_error, ERROR_INTERNAL,
                                       "cannot write the audit log %s: %s", path, strerror(errno));
}

void audit_close(struct audit *audit)
{
    if (audit && audit->fd >= 0)
        close(audit->fd);
}

static void write_file(struct audit *audit, const struct event *event)
{
    struct json_writer json;
    struct buf line;
    char date[DATE_TEXT_BYTES];
    buf_init(&line, LINE_BYTES);
    if (audit->torn)
        buf_append_char(&line, '\n');
    json_writer_init(&json, &line);
    json_put_object(&json);
    json_put_member_string(&json, SPAN("time"), span_of(date_format(time(NULL), date)));
    json_put_member_string(&json, SPAN("action"), span_of(event->action));
    json_put_member_string(&json, SPAN("object"), event->object);
    json_put_member_string(&json, SPAN("caller"), span_of(event->caller));
    json_put_member_string(&json, SPAN("name"), event->name);
    json_put_member_string(&json, SPAN("peer"), span_of(event->peer));
    json_put_member_string(&json, SPAN("result"), span_of(event->result));
    if (event->request_id.size)
        json_put_member_string(&json, SPAN("request_id"), event->request_id);
    json_put_object_end(&json);
    buf_append_char(&line, '\n');
    ssize_t size = buf_ok(&line) ? write(audit->fd, line.data, line.size) : 0;
    if (size != (ssize_t)line.size)
        log_error("audit", "a line could not be written to the audit log: %s",
                  size < 0 ? strerror(errno) : "there was no room for all of it");
    audit->torn = size > 0 ? size != (ssize_t)line.size : audit->torn;
    buf_fini(&line);
}

static void write_event(struct audit *audit, enum log_level level, const struct event *event)
{
    const struct log_field id = {.name = "request_id", .value = event->request_id};
    log_write_fields(level, "audit", NULL, &id, event->request_id.size ? 1 : 0,
                     "%s %.*s: %s (by %s%s%.*s, from %s)", event->action, SPAN_ARGS(event->object),
                     event->result, event->caller, event->name.size ? " " : "",
                     SPAN_ARGS(event->name), event->peer);
    if (audit->fd >= 0)
        write_file(audit, event);
}

static bool is_due(struct audit *audit)
{
    uint64_t wait_ns;
    if (quota_take(&audit->refusals, &refusal_limits, clock_now_ns(), &wait_ns) != QUOTA_GIVEN) {
        audit->left_out++;
        return false;
    }
    quota_release(&audit->refusals);
    if (audit->left_out)
        log_warning("audit", "%llu refused requests before this one were left out",
                    (unsigned long long)audit->left_out);
    audit->left_out = 0;
    return true;
}

static struct span cut(struct span text)
{
    return (struct span){text.data, text.size < OBJECT_BYTES ? text.size : OBJECT_BYTES};
}

void audit_call(struct audit *audit, const struct api_call *call, const char *action,
                struct span object, const struct error *error)
{
    char caller[CALLER_TEXT_BYTES], peer[PEER_BYTES] = "a client that is gone";
    const struct conn *conn = http_conn(call->exchange);
    bool good = !error || error->code == ERROR_OK;
    if (!good && !is_due(audit))
        return;
    if (conn)
        conn_peer(conn, peer, sizeof peer);
    struct event event = {
        .action = action,
        .object = cut(object),
        .name = call->token ? call->token->record.name : (struct span){NULL, 0},
        .caller = caller_format(call->caller, caller, sizeof caller),
        .peer = peer,
        .request_id = http_request_id(call->exchange),
        .result = good ? "ok" : error->message,
    };
    write_event(audit, LOG_INFO, &event);
}

void audit_token(struct audit *audit, enum token_change change, const struct token_record *record)
{
    static const char *const actions[] = {
        [TOKEN_CREATED] = "token-created",
        [TOKEN_CHANGED] = "token-changed",
        [TOKEN_REVOKED] = "token-revoked",
    };
    char object[TOKEN_ID_TEXT_BYTES + TOKEN_NAME_BYTES + SCOPE_SET_TEXT_BYTES + 8];
    char scopes[SCOPE_SET_TEXT_BYTES];
    snprintf(object, sizeof object, "%08x %.*s (%s)", record->id, SPAN_ARGS(record->name),
             scope_set_format(record->scopes, scopes));
    struct event event = {
        .action = actions[change],
        .object = span_of(object),
        .caller = "the token file",
        .peer = "this machine",
        .result = "ok",
    };
    write_event(audit, LOG_INFO, &event);
}

void audit_server(struct audit *audit, const char *action, const struct error *error)
{
    struct event event = {
        .action = action,
        .object = SPAN("server"),
        .caller = "server",
        .peer = "this machine",
        .result = error ? error->message : "ok",
    };
    /* What an operator wanted is not in force. */
    write_event(audit, error ? LOG_WARNING : LOG_INFO, &event);
}
