/* Putting, listing and removing models: what a manifest says is done by an installer, and answered
 * when the repository has been looked at since. */
#include "api/gate.h"
#include "api/query.h"
#include "api/routes.h"
#include "codec/json_writer.h"
#include "push/installer.h"
#include "repository/repository.h"

/* A call that waits for an installer. The exchange is held until that has ended, whether or not the
 * client waits. */
struct change_call {
    struct install_job job;
    struct api_call *call;
    const char *action;
    void (*reply)(struct api_call *call, const struct install_answer *answer);
    bool gone; /* the client has */
};

static void change_closed(struct api_call *call)
{
    struct change_call *change = call->waiting;
    change->gone = true;
}

static bool is_change(const struct change_call *change)
{
    return change->job.question.kind != INSTALL_LIST;
}

static void note(const struct change_call *change, const struct error *error)
{
    if (is_change(change))
        audit_call(&change->call->api->gate->audit, change->call, change->action,
                   change->job.question.name, error);
}

static void change_done(struct install_job *job)
{
    struct change_call *change = list_entry(job, struct change_call, job);
    struct api_call *call = change->call;
    struct http_exchange *exchange = call->exchange;
    note(change, &job->answer.error);
    if (!change->gone) {
        call->closed = NULL;
        change->reply(call, &job->answer);
    }
    http_unref(exchange);
}

/* Takes the model's name and the version of the query. */
static bool read_target(const struct api_call *call, struct install_question *question,
                        struct error *ret_error)
{
    uint64_t version;
    if (!model_name_check(call->model, ret_error) ||
        !query_number(&call->exchange->request, SPAN("version"), UINT64_MAX, INT64_MAX, &version,
                      ret_error))
        return false;
    if (!call_may_use(call, call->model))
        return serving_model_unknown(call->api->serving, call->model, ret_error);
    question->name = call->model;
    question->may_bring_code = scope_allows(call->scopes, SCOPE_CODE);
    question->manifest.has_version = version != UINT64_MAX;
    question->manifest.version = question->manifest.has_version ? version : 0;
    return true;
}

static struct change_call *
change_new(struct api_call *call, enum install_kind kind, const char *action,
           void (*reply)(struct api_call *call, const struct install_answer *answer))
{
    struct change_call *change = arena_calloc(&call->exchange->arena, 1, sizeof *change);
    struct error error;
    if (!change) {
        error_no_memory(&error);
        reply_error(call, &error);
        return NULL;
    }
    change->call = call;
    change->action = action;
    change->reply = reply;
    change->job.question.kind = kind;
    change->job.done = change_done;
    if (read_target(call, &change->job.question, &error))
        return change;
    reply_error(call, &error);
    return NULL;
}

static void change_begin(struct change_call *change)
{
    struct api_call *call = change->call;
    struct error error;
    if (!installer_ask(call->api->installer, &change->job, &error)) {
        note(change, &error);
        reply_error(call, &error);
        return;
    }
    call->waiting = change;
    call->closed = change_closed;
    http_ref(call->exchange);
}

/* ---- put ---- */

static void put_missing(struct json_writer *json, const struct manifest *missing)
{
    json_put_key(json, SPAN("missing"));
    json_put_array(json);
    for (size_t i = 0; i < missing->count; i++) {
        json_put_object(json);
        json_put_member_string(json, SPAN("sha256"), span_of(missing->files[i].digest.text));
        json_put_object_end(json);
    }
    json_put_array_end(json);
}

static void reply_missing(struct api_call *call, const struct install_answer *answer)
{
    struct json_writer json;
    http_note_failure(call->exchange, span_of(answer->error.message));
    json_writer_init(&json, &call->reply);
    json_put_object(&json);
    json_put_member_string(&json, SPAN("error"), span_of(answer->error.message));
    put_missing(&json, &answer->listed);
    json_put_object_end(&json);
    reply_json(call, error_http_status(answer->error.code));
}

/* What was put is to be served, whatever was asked for before. */
static void want(const struct api_call *call, bool again)
{
    struct serving *serving = call->api->serving;
    struct model *model = serving_model(serving, call->model, NULL);
    const struct repository_override none = {.model = call->model};
    if (again) /* else that was done when it was put */
        serving->override(serving->context, &none, NULL);
    if (model && (again || !model->wanted))
        model_load(model, NULL);
}

static void put_done(struct api_call *call, const struct install_answer *answer)
{
    struct json_writer json;
    if (answer->error.code == ERROR_PRECONDITION_FAILED) {
        reply_missing(call, answer);
        return;
    }
    if (answer->error.code != ERROR_OK) {
        metrics.pushes[PUSH_REFUSED]++;
        reply_error(call, &answer->error);
        return;
    }
    metrics.pushes[answer->unchanged ? PUSH_UNCHANGED : PUSH_PUT]++;
    want(call, answer->unchanged);
    json_writer_init(&json, &call->reply);
    json_put_object(&json);
    json_put_member_string(&json, SPAN("name"), call->model);
    json_put_member_u64(&json, SPAN("version"), answer->version);
    json_put_member_bool(&json, SPAN("unchanged"), answer->unchanged);
    json_put_object_end(&json);
    reply_json(call, 200);
}

void serve_push(struct api_call *call)
{
    struct error error;
    struct change_call *change = change_new(call, INSTALL_PUT, "push", put_done);
    struct manifest *manifest = change ? &change->job.question.manifest : NULL;
    if (!change)
        return;
    if (!manifest_read(buf_span(&call->body), call->api->max_push_files, &call->exchange->arena,
                       manifest, &error) ||
        !manifest_check(manifest, &error)) {
        metrics.pushes[PUSH_REFUSED]++;
        reply_error(call, &error);
        return;
    }
    change_begin(change);
}

/* ---- list ---- */

static void put_file(struct json_writer *json, const struct manifest_file *file)
{
    json_put_object(json);
    json_put_member_string(json, SPAN("path"), file->path);
    json_put_member_string(json, SPAN("sha256"), span_of(file->digest.text));
    json_put_member_u64(json, SPAN("size"), file->size_bytes);
    json_put_object_end(json);
}

static void list_done(struct api_call *call, const struct install_answer *answer)
{
    struct json_writer json;
    if (answer->error.code != ERROR_OK) {
        reply_error(call, &answer->error);
        return;
    }
    json_writer_init(&json, &call->reply);
    json_put_object(&json);
    json_put_member_string(&json, SPAN("name"), call->model);
    json_put_member_u64(&json, SPAN("version"), answer->version);
    json_put_key(&json, SPAN("files"));
    json_put_array(&json);
    for (size_t i = 0; i < answer->listed.count; i++)
        put_file(&json, &answer->listed.files[i]);
    json_put_array_end(&json);
    json_put_object_end(&json);
    reply_json(call, 200);
}

/* Code is not for everybody to read who may deploy data. */
static bool check_code(const struct api_call *call, struct error *ret_error)
{
    const struct model *model = call_model(call, call->model, NULL);
    bool code = false;
    for (size_t i = 0; model && i < model->version_count; i++)
        code = code || model->versions[i]->code;
    return !code || scope_allows(call->scopes, SCOPE_CODE) ||
           error_set(ret_error, ERROR_PERMISSION_DENIED,
                     "the model is code: its files are shown to tokens with the scope 'code'");
}

void serve_manifest(struct api_call *call)
{
    struct error error;
    struct change_call *change = change_new(call, INSTALL_LIST, "pull", list_done);
    if (!change)
        return;
    if (check_code(call, &error))
        change_begin(change);
    else
        reply_error(call, &error);
}

/* ---- remove ---- */

static void removal_done(struct api_call *call, const struct install_answer *answer)
{
    if (answer->error.code == ERROR_OK) {
        buf_append(&call->reply, SPAN("{}"));
        reply_json(call, 200);
    } else {
        reply_error(call, &answer->error);
    }
}

void serve_removal(struct api_call *call)
{
    struct change_call *change = change_new(call, INSTALL_REMOVE, "remove", removal_done);
    if (change)
        change_begin(change);
}
