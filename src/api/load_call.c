/* Loading and unloading; see load_call.h. */
#include "api/load_call.h"

#include "api/gate.h"
#include "push/loads.h"
#include "repository/repository.h"
#include "serving/pipeline.h"

struct load_call {
    struct model_waiter waiter;
    struct api_call *call;
    struct span name;
    struct load_wish wish;
    struct load_put put; /* of the files it brings */
    bool gone;           /* the client has, while they are put */
    bool brings;         /* a config, or files */
    bool was_unwanted;   /* the model, before this load */
    uint64_t override;   /* the number of what it gave, or that it gave nothing */
    void (*done)(struct api_call *call, const struct error *error);
};

static void note(const struct api_call *call, const char *action, struct span name,
                 const struct error *error)
{
    audit_call(&call->api->gate->audit, call, action, name, error);
}

/* ---- wishes ---- */

void load_wish_init(struct load_wish *wish, struct api_call *call)
{
    *wish = (struct load_wish){.message = call->body, .wait = true};
    buf_init_within(&call->body, call->body.limit_bytes, &call->api->messages);
    /* texts without their escapes are no longer than with them; a list that grows leaves others */
    size_t list_bytes = call->api->max_push_files * sizeof *wish->files * 4;
    arena_init(&wish->arena, 1024, 2 * wish->message.size + list_bytes + ((size_t)1 << 20));
}

void load_wish_fini(struct load_wish *wish)
{
    buf_fini(&wish->message);
    arena_fini(&wish->arena);
    *wish = (struct load_wish){.message = wish->message, .arena = wish->arena};
}

bool load_wish_add_file(struct load_wish *wish, struct span name, struct span content, bool base64,
                        struct error *ret_error)
{
    if (!arena_grow(&wish->arena, (void **)&wish->files, wish->file_count, &wish->file_capacity,
                    sizeof *wish->files))
        return error_no_memory(ret_error);
    wish->files[wish->file_count++] =
        (struct load_file){span_after(name, strlen("file:")), content, base64};
    return true;
}

bool load_parameter_unknown(struct span parameter, struct error *ret_error)
{
    enum { SHOWN_BYTES = 200 };
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "unrecognized load parameter '%.*s'.",
                     (int)(parameter.size < SHOWN_BYTES ? parameter.size : SHOWN_BYTES),
                     parameter.data);
}

/* ---- a load ---- */

/* The load has failed: the model is what it was before. */
static void take_back(const struct load_call *load)
{
    struct serving *serving = load->call->api->serving;
    struct model *model = serving_model(serving, load->name, NULL);
    serving->end_override(serving->context, load->override);
    if (model && load->brings && load->was_unwanted)
        model_unwant(model);
}

static void settled(struct model_waiter *waiter, const struct error *error)
{
    struct load_call *load = list_entry(waiter, struct load_call, waiter);
    struct serving *serving = load->call->api->serving;
    load->call->closed = NULL;
    if (error->code == ERROR_OK)
        serving->keep_override(serving->context, load->override);
    else
        take_back(load);
    note(load->call, "load", load->name, error);
    load->done(load->call, error);
}

static void note_gone(struct load_call *load, const char *sentence)
{
    struct error error;
    error_set(&error, ERROR_CANCELLED, "%s", sentence);
    note(load->call, "load", load->name, &error);
}

static void stop_waiting(struct api_call *call)
{
    struct load_call *load = call->waiting;
    list_remove(&load->waiter.link);
    serving_leave_load(call->api->serving, load->name, load->override);
    note_gone(load, "begun; the client did not wait for the result");
}

/* It has ended already, well or not. */
static void end(struct load_call *load, const struct error *error)
{
    load_wish_fini(&load->wish);
    note(load->call, "load", load->name, error);
    load->done(load->call, error);
}

/* What this load gives, or from now on the model as the repository has it. False with the error. */
static bool take_override(struct load_call *load, struct error *ret_error)
{
    const struct load_folder *folder = load->put.folder;
    struct serving *serving = load->call->api->serving;
    const struct repository_override override = {
        .model = load->name,
        .config = folder ? SPAN("") : load->wish.config, /* else it lies beside the files */
        .folder = span_of(folder ? folder->models : ""),
        .may_bring_code = scope_allows(load->call->scopes, SCOPE_CODE),
        .awaited = true,
    };
    load->override = serving->override(serving->context, &override, ret_error);
    return load->override > 0;
}

/* The load proper, once its files are where they are loaded from. */
static void go(struct load_call *load)
{
    struct api_call *call = load->call;
    struct serving *serving = call->api->serving;
    struct error error = {.code = ERROR_OK};
    const struct model *model = serving_model(serving, load->name, NULL);
    load->brings = load->wish.config.size > 0;
    load->was_unwanted = model && !model->wanted;
    /* who is unknown may not exist */
    bool waits = load->wish.wait || !call_model(call, load->name, NULL);
    load->waiter.settled = settled;
    if (!take_override(load, &error) ||
        !serving_load(serving, load->name, waits ? &load->waiter : NULL, &error)) {
        end(load, &error);
        return;
    }
    if (!waits) {
        serving_leave_load(serving, load->name, load->override);
        end(load, &error);
        return;
    }
    load_wish_fini(&load->wish);
    call->waiting = load;
    call->closed = stop_waiting;
}

/* ---- files that it brings ---- */

static void put_left(struct api_call *call)
{
    struct load_call *load = call->waiting;
    load->gone = true;
    note_gone(load, "not begun: the client has gone");
}

static void put_done(struct load_put *put)
{
    struct load_call *load = list_entry(put, struct load_call, put);
    struct http_exchange *exchange = load->call->exchange;
    struct load_folder *folder = put->folder;
    if (!load->gone)
        load->call->closed = NULL;
    if (load->gone)
        load_wish_fini(&load->wish);
    else if (put->error.code != ERROR_OK)
        end(load, &put->error);
    else
        go(load);
    load_folder_unref(folder); /* the override holds it, if the load has begun */
    http_unref(exchange);
}

static void begin_put(struct load_call *load)
{
    struct api_call *call = load->call;
    struct error error;
    load->put = (struct load_put){
        .name = load->name,
        .config = load->wish.config,
        .files = load->wish.files,
        .count = load->wish.file_count,
        .max_count = call->api->max_push_files,
        .may_bring_code = scope_allows(call->scopes, SCOPE_CODE),
        .done = put_done,
    };
    if (!load_put_begin(call->api->loads, &load->put, &error)) {
        end(load, &error);
        return;
    }
    call->waiting = load;
    call->closed = put_left;
    http_ref(call->exchange);
}

/* ---- the beginning ---- */

static bool check(const struct load_call *load, struct error *ret_error)
{
    if (!load->name.size || !call_may_use(load->call, load->name))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "failed to load '%.*s', failed to poll from model repository",
                         SPAN_ARGS(load->name));
    if (load->wish.file_count && !load->wish.config.size)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "Load parameter 'config' must be specified for model file override: "
                         "'{}' where the files say all");
    return load->wish.config.size <= REPOSITORY_OVERRIDE_MAX_BYTES ||
           error_set(ret_error, ERROR_TOO_LARGE, "the config of a load has at most %d bytes",
                     REPOSITORY_OVERRIDE_MAX_BYTES);
}

void load_call_begin(struct api_call *call, struct span name, struct load_wish *wish,
                     void (*done)(struct api_call *call, const struct error *error))
{
    struct error error;
    struct load_call *load = arena_calloc(&call->exchange->arena, 1, sizeof *load);
    if (!load || !arena_copy(&call->exchange->arena, name, &load->name)) {
        error_no_memory(&error);
        note(call, "load", name, &error);
        load_wish_fini(wish);
        done(call, &error);
        return;
    }
    load->call = call;
    load->done = done;
    load->wish = *wish;
    *wish = (struct load_wish){.wait = false};
    if (!check(load, &error))
        end(load, &error);
    else if (load->wish.file_count)
        begin_put(load);
    else
        go(load);
}

/* ---- unloads ---- */

/* As the repository has it, whenever it is loaded next. */
static void unload(struct api_call *call, struct model *model)
{
    struct serving *serving = call->api->serving;
    const struct repository_override none = {.model = model->name};
    serving->override(serving->context, &none, NULL);
    note(call, "unload", model->name, NULL);
    model_unload(model);
}

/* The models that a pipeline's steps use and that the caller may use, each once; a list in the
 * arena, since the pipeline goes. */
static size_t list_dependents(struct api_call *call, const struct model *pipeline,
                              struct model ***ret_list)
{
    struct model **list = NULL;
    size_t count = 0, capacity = 0;
    for (size_t v = 0; v < pipeline->version_count; v++) {
        const struct pipeline_plan *plan = pipeline_plan_of(pipeline->versions[v]);
        for (size_t i = 0; plan && i < plan->graph.step_count; i++) {
            struct model *model = call_model(call, plan->graph.steps[i].model, NULL);
            size_t at = 0;
            while (at < count && list[at] != model)
                at++;
            if (model && at == count && model != pipeline &&
                arena_grow(&call->exchange->arena, (void **)&list, count, &capacity, sizeof *list))
                list[count++] = model;
        }
    }
    *ret_list = list;
    return count;
}

bool unload_call(struct api_call *call, struct span name, bool dependents, struct error *ret_error)
{
    struct model *model = call_model(call, name, ret_error), **list;
    if (!model) {
        note(call, "unload", name, ret_error);
        return false;
    }
    size_t count = dependents ? list_dependents(call, model, &list) : 0;
    unload(call, model);
    for (size_t i = 0; i < count; i++)
        unload(call, list[i]);
    return true;
}
