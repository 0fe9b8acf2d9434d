/* The gate from settings and token file; see guard.h. */
#include "cmd/guard.h"

#include "auth/token_store.h"
#include "auth/token_text.h"
#include "cmd/state_dir.h"
#include "telemetry/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HOST_NAME_BYTES = 256, SETTLE_MS = 50 };

/* ---- settings ---- */

/* Joins the items, in lower case, with commas. */
static bool join(const struct setting_list *list, const char *flag, char *text, size_t size,
                 struct error *ret_error)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < list->count; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? "," : "", list->items[i]);
        if (used >= size)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s has too many names", flag);
    }
    for (char *c = text; *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + ('a' - 'A')) : *c;
    return true;
}

/* Who listens to other machines is called by this one's name. */
static void add_own_name(char *hosts, size_t size)
{
    char name[HOST_NAME_BYTES] = "";
    size_t used = strlen(hosts);
    struct setting_list own = {.items = (const char *[]){name}, .count = 1};
    if (gethostname(name, sizeof name - 1) == 0 && name[0] && used + 2 < size) {
        hosts[used] = ',';
        if (!join(&own, "", hosts + used + (used > 0), size - used - (used > 0), NULL))
            hosts[used] = '\0';
    }
}

static bool set_anonymous(struct gate *gate, const char *text, struct error *ret_error)
{
    unsigned scopes = 0;
    bool automatic = strcmp(text, "auto") == 0;
    if (!automatic && strcmp(text, "none") != 0 &&
        !scope_set_parse(span_of(text), &scopes, ret_error))
        return false;
    gate->local_scopes = automatic ? scope_bit(SCOPE_INFER) : scopes;
    gate->remote_scopes = scopes;
    return true;
}

/* Puts those settings in force that a reload may change; all of them, or none. */
static bool apply(struct guard *guard, const struct settings *settings, struct error *ret_error)
{
    char hosts[GUARD_LIST_BYTES], origins[GUARD_LIST_BYTES], forwarded[GUARD_LIST_BYTES];
    if (!join(&settings->allowed_host, "--allowed-host", hosts, sizeof hosts, ret_error) ||
        !join(&settings->cors_origin, "--cors-origin", origins, sizeof origins, ret_error) ||
        !join(&settings->forward_header, "--forward-header", forwarded, sizeof forwarded,
              ret_error) ||
        !set_anonymous(&guard->gate, settings->anonymous, ret_error))
        return false;
    if (guard->exposed)
        add_own_name(hosts, sizeof hosts);
    memcpy(guard->hosts, hosts, sizeof hosts);
    memcpy(guard->origins, origins, sizeof origins);
    memcpy(guard->forwarded, forwarded, sizeof forwarded);
    guard->gate.forwarded = span_of(guard->forwarded);
    guard->gate.site = (struct site){
        .hosts = span_of(guard->hosts),
        .origins = span_of(guard->origins),
        .any_address = guard->exposed,
    };
    return true;
}

/* ---- the token file ---- */

static void on_change(void *context, enum token_change change, const struct token_record *record)
{
    struct guard *guard = context;
    audit_token(&guard->gate.audit, change, record);
}

/* Takes in the file's text; changes are told when `tell` is set. */
static bool take_text(struct guard *guard, bool tell, struct error *ret_error)
{
    struct token_record *records;
    size_t count;
    struct error error;
    if (!token_text_parse(buf_span(&guard->text), &records, &count, &error))
        return error_set(ret_error, error.code, "%.300s/%s: %.180s", guard->folder,
                         TOKEN_STORE_FILE, error.message);
    bool good = token_table_replace(&guard->gate.tokens, records, count, tell ? on_change : NULL,
                                    guard, ret_error);
    free(records);
    return good;
}

static bool read_text(struct guard *guard, struct error *ret_error)
{
    buf_clear(&guard->text);
    if (!token_store_read(guard->folder, &guard->text, ret_error))
        return false;
    secret_hash(buf_span(&guard->text), guard->hash);
    return true;
}

/* A server without a state folder still serves this machine, as in a container that nothing may be
 * written in. Beyond that it needs tokens, or to be told that it needs none. */
static bool find_folder(struct guard *guard, const struct settings *settings,
                        struct error *ret_error)
{
    struct error error;
    if (state_dir_open(settings, guard->folder, &error))
        return stat(guard->folder, &guard->opened) == 0 ||
               error_set(ret_error, ERROR_INTERNAL, "cannot look at the folder '%.300s': %s",
                         guard->folder, strerrordesc_np(errno));
    guard->folder[0] = '\0';
    if (guard->exposed && strcmp(settings->anonymous, "auto") == 0)
        return error_set(ret_error, error.code,
                         "%.300s; tokens are kept there, and without them nobody but this machine "
                         "could use the server: name a folder with --state-dir, or say with "
                         "--anonymous what others may do",
                         error.message);
    log_warning("front", "no tokens: %s", error.message);
    return true;
}

static bool read_tokens(struct guard *guard, struct error *ret_error)
{
    return token_store_begin(guard->folder, &guard->made, ret_error) &&
           read_text(guard, ret_error) && take_text(guard, false, ret_error);
}

bool guard_open(struct guard *guard, const struct settings *settings, bool exposed,
                struct error *ret_error)
{
    *guard = (struct guard){.exposed = exposed, .rescan_ms = (uint64_t)settings->rescan_ms};
    guard->gate.owner = geteuid();
    token_table_init(&guard->gate.tokens);
    buf_init(&guard->text, TOKEN_TEXT_BYTES);
    return audit_open(&guard->gate.audit, settings->audit_log, ret_error) &&
           apply(guard, settings, ret_error) && find_folder(guard, settings, ret_error) &&
           (!guard->folder[0] || read_tokens(guard, ret_error));
}

/* ---- watching ---- */

/* The sandbox lets the front see the very folder that was there at the start, and no other. */
static void explain(const struct guard *guard, struct error *error)
{
    struct stat now;
    struct error why = *error;
    bool there = stat(guard->folder, &now) == 0;
    if (!there || now.st_ino != guard->opened.st_ino || now.st_dev != guard->opened.st_dev)
        error_set(error, why.code,
                  "%.300s; the state folder is not the one that the server has opened: put that "
                  "back, or restart the server",
                  why.message);
}

static void read_on_thread(struct loop_work *work)
{
    struct guard *guard = list_entry(work, struct guard, work);
    unsigned char before[SECRET_HASH_BYTES];
    memcpy(before, guard->hash, sizeof before);
    bool read = read_text(guard, &guard->error);
    guard->found = GUARD_UNREADABLE;
    if (!read)
        explain(guard, &guard->error);
    else
        guard->found = secret_hash_equal(before, guard->hash) ? GUARD_SAME : GUARD_CHANGED;
}

static void begin_reading(struct guard *guard);

static void reading_done(struct loop_work *work)
{
    struct guard *guard = list_entry(work, struct guard, work);
    guard->reading = false;
    if (guard->found == GUARD_UNREADABLE ||
        (guard->found == GUARD_CHANGED && !take_text(guard, true, &guard->error)))
        audit_server(&guard->gate.audit, "tokens-kept", &guard->error);
    if (guard->again)
        begin_reading(guard);
}

static void begin_reading(struct guard *guard)
{
    guard->again = guard->reading;
    if (guard->reading)
        return;
    struct error error;
    guard->reading =
        loop_work_start(guard->loop, &guard->work, read_on_thread, reading_done, &error);
    if (!guard->reading)
        audit_server(&guard->gate.audit, "tokens-kept", &error);
}

static void on_settled(struct timer *timer)
{
    begin_reading(list_entry(timer, struct guard, settle));
}

static void on_rescan(struct timer *timer)
{
    struct guard *guard = list_entry(timer, struct guard, rescan);
    timer_start(&guard->rescan, guard->loop, guard->rescan_ms, on_rescan);
    begin_reading(guard);
}

/* An editor may write a file in steps: it is read a moment after the last one. */
static void on_event(uv_fs_event_t *watch, const char *name, int events, int status)
{
    struct guard *guard = watch->data;
    if (!name || strcmp(name, TOKEN_STORE_FILE) == 0)
        timer_start(&guard->settle, guard->loop, SETTLE_MS, on_settled);
}

bool guard_watch(struct guard *guard, struct loop *loop, const struct settings *settings,
                 struct error *ret_error)
{
    guard->loop = loop;
    if (!guard->folder[0])
        return true;
    guard->watch.data = guard;
    int status = uv_fs_event_init(loop_uv(loop), &guard->watch);
    if (status == 0)
        status = uv_fs_event_start(&guard->watch, on_event, guard->folder, 0);
    if (status == 0 && !loop_register(loop, loop_uv(loop)->inotify_fd)) {
        uv_fs_event_stop(&guard->watch);
        status = UV_ENOSPC;
    }
    if (status != 0)
        log_warning("front", "changes of tokens are seen late: cannot watch '%s': %s",
                    guard->folder, uv_strerror(status));
    timer_start(&guard->rescan, loop, guard->rescan_ms, on_rescan);
    return true;
}

void guard_reload(struct guard *guard, const struct settings *settings)
{
    struct error error;
    if (!apply(guard, settings, &error))
        log_error("settings", "who may use the server stays as it is: %s", error.message);
    if (guard->folder[0])
        begin_reading(guard);
}

/* ---- the first token for others ---- */

/* True when somebody has a token besides the one that the state folder keeps for its owner. */
static bool somebody_has_token(const struct guard *guard)
{
    char admin[SECRET_BYTES + 1];
    size_t own = token_store_admin(guard->folder, admin, NULL) &&
                 token_table_find(&guard->gate.tokens, span_of(admin));
    return guard->gate.tokens.count > own;
}

bool guard_introduce(struct guard *guard, const struct settings *settings, const char *url,
                     struct error *ret_error)
{
    char secret[SECRET_BYTES + 1], host[HOST_NAME_BYTES] = "HOST";
    struct token_record record;
    if (!guard->folder[0] || !guard->exposed || strcmp(settings->anonymous, "auto") != 0 ||
        somebody_has_token(guard))
        return true;
    token_record_init(&record);
    record.name = SPAN("first");
    record.scopes = scope_bit(SCOPE_INFER) | scope_bit(SCOPE_DEPLOY);
    if (!token_store_create(guard->folder, &record, secret, ret_error) ||
        !read_text(guard, ret_error) || !take_text(guard, false, ret_error))
        return false;
    gethostname(host, sizeof host - 1);
    /* In front of the address there may be curl's options. */
    const char *port = strrchr(url, ':'), *scheme_end = strstr(url, "://"), *scheme = scheme_end;
    while (scheme > url && scheme[-1] != ' ')
        scheme--;
    printf("others need a token. Here is one, which is shown only now; on the other machine:\n"
           "  export TENSORD_URL=%.*s://%s%s TENSORD_TOKEN=%s\n"
           "  curl -H \"Authorization: Bearer $TENSORD_TOKEN\" $TENSORD_URL/v2\n"
           "it may infer and deploy; tensord token makes others, and revokes them\n",
           (int)(scheme_end - scheme), scheme, host, port ? port : "", secret);
    fflush(stdout);
    return true;
}
