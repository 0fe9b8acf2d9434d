/* The life of a worker: map the channel, load the model, describe it, execute until told to stop.
 * See host.h, and host_private.h for how its threads take turns. */
#include "worker/host_private.h"

#include "base/utf8.h"
#include "worker/engine_load.h"

#include <stdlib.h>

enum { MAX_THREADS = 256, MAX_NAME_BYTES = 4096 /* as channel_inbox.c takes them */ };

/* ---- what the engine is asked to load ---- */

/* The source as engines see it; strings and arrays live in the arena. */
struct host_source {
    struct arena arena;
    struct tensord_source source;
};

static const char *terminated(struct arena *arena, struct span string)
{
    return arena_copy(arena, string, &string) ? string.data : NULL;
}

static struct tensord_tensor_info *copy_infos(struct arena *arena, const struct tensor_info *infos,
                                              size_t count)
{
    struct tensord_tensor_info *copies = arena_calloc(arena, count, sizeof *copies);
    for (size_t i = 0; copies && i < count; i++) {
        copies[i].name = terminated(arena, infos[i].name);
        copies[i].datatype = infos[i].datatype;
        copies[i].ndim = infos[i].shape.ndim;
        memcpy(copies[i].shape, infos[i].shape.dims, sizeof copies[i].shape);
        copies[i].optional = infos[i].optional;
        copies[i].any_rank = infos[i].any_rank;
        if (!copies[i].name)
            return NULL;
    }
    return copies;
}

static struct tensord_parameter *copy_parameters(struct arena *arena,
                                                 const struct parameter *parameters, size_t count)
{
    struct tensord_parameter *copies = arena_calloc(arena, count, sizeof *copies);
    for (size_t i = 0; copies && i < count; i++) {
        copies[i].key = terminated(arena, parameters[i].key);
        copies[i].value = terminated(arena, parameters[i].value);
        if (!copies[i].key || !copies[i].value)
            return NULL;
    }
    return copies;
}

static bool source_init(struct host_source *source, const struct worker_spec *spec,
                        struct error *ret_error)
{
    struct arena *arena = &source->arena;
    arena_init(arena, 4096, SIZE_MAX);
    struct tensord_source made = {
        .size = sizeof made,
        .path = terminated(arena, spec->path),
        .name = terminated(arena, spec->name),
        .version = spec->version,
        .config_engine = spec->engine.size ? terminated(arena, spec->engine) : NULL,
        .parameters = copy_parameters(arena, spec->parameters, spec->parameter_count),
        .parameter_count = spec->parameter_count,
        .inputs = copy_infos(arena, spec->inputs, spec->input_count),
        .input_count = spec->input_count,
        .outputs = copy_infos(arena, spec->outputs, spec->output_count),
        .output_count = spec->output_count,
        .max_batch_size = spec->max_batch_size,
        .threads = spec->threads,
        .decoupled = spec->decoupled,
        .concurrency = spec->concurrency,
        .device = terminated(arena, spec->device.size ? spec->device : SPAN("cpu")),
    };
    source->source = made;
    if (made.path && made.name && made.device && made.parameters && made.inputs && made.outputs &&
        !made.config_engine == !spec->engine.size)
        return true;
    return error_no_memory(ret_error);
}

/* ---- loading ---- */

static void send_failed(struct host *host, enum tensord_status status, const char *reason)
{
    struct record_writer writer;
    host_record(host, &writer, RECORD_FAILED);
    record_put(&writer, &(struct record_failed){status, (uint32_t)strlen(reason)},
               sizeof(struct record_failed));
    record_put_string(&writer, span_of(reason));
    host_send(host, &writer, true);
}

static enum tensord_status status_of_code(enum error_code code)
{
    switch (code) {
    case ERROR_INVALID_ARGUMENT:
        return TENSORD_INVALID_ARGUMENT;
    case ERROR_UNIMPLEMENTED:
        return TENSORD_UNSUPPORTED;
    case ERROR_RESOURCE_EXHAUSTED:
        return TENSORD_UNAVAILABLE;
    default:
        return TENSORD_INTERNAL;
    }
}

static bool name_is_good(const char *kind, size_t index, const char *name, struct error *ret_error)
{
    struct span text = span_of(name);
    if (!text.size)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s %zu has no name", kind, index);
    if (text.size > MAX_NAME_BYTES)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the name of %s %zu is longer than %d bytes", kind, index, MAX_NAME_BYTES);
    return utf8_valid(text) ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "the name of %s %zu is not UTF-8, as which clients must send it", kind, index);
}

static bool infos_are_good(const char *kind, const struct tensord_tensor_info *infos, size_t count,
                           struct error *ret_error)
{
    if (count > TENSOR_MAX_PER_REQUEST)
        return error_set(ret_error, ERROR_UNIMPLEMENTED, "the model has more than %d %ss",
                         TENSOR_MAX_PER_REQUEST, kind);
    for (size_t i = 0; i < count; i++) {
        if (!infos[i].name || infos[i].ndim > TENSOR_MAX_DIMS ||
            infos[i].datatype == TENSORD_INVALID || infos[i].datatype >= TENSORD_DATATYPE_COUNT)
            return error_set(ret_error, ERROR_INTERNAL,
                             "the engine's description of the model is not sound");
        if (!name_is_good(kind, i, infos[i].name, ret_error))
            return false;
    }
    return true;
}

/* Is the description one that the front takes, and clients can be told? */
static bool description_is_good(const struct tensord_description *description,
                                struct error *ret_error)
{
    if (description->platform && !utf8_valid(span_of(description->platform)))
        return error_set(ret_error, ERROR_INTERNAL, "the engine's platform is no text");
    return infos_are_good("input", description->inputs, description->input_count, ret_error) &&
           infos_are_good("output", description->outputs, description->output_count, ret_error);
}

static bool find_engine(struct host *host, const char *engine_dir,
                        const struct tensord_source *source)
{
    struct error error = {0};
    if (!host->engine)
        host->engine = engine_find(engine_dir, source, &error);
    if (!host->engine)
        send_failed(host, status_of_code(error.code), error.message);
    return host->engine != NULL;
}

static void unload(const struct host *host)
{
    if (host->engine->unload)
        host->engine->unload(host->model);
}

/* Whatever an engine says of files that changed while it read them is not to be believed. */
static bool load_whole(struct host *host, const struct tensord_source *source)
{
    host->description.size = sizeof host->description;
    enum tensord_status status =
        host->engine->load(&host->tensord, source, &host->description, &host->model);
    if (!host->files || model_files_same(host->files)) {
        if (status != TENSORD_OK)
            send_failed(host, status, host_reason(status));
        return status == TENSORD_OK;
    }
    send_failed(host, TENSORD_UNAVAILABLE, "its files have changed while they were loaded");
    if (status == TENSORD_OK)
        unload(host);
    return false;
}

/* False when the model cannot be served; the front has been told why. */
static bool load(struct host *host, const char *engine_dir, const struct tensord_source *source)
{
    if (host->files && host->files->error.code != ERROR_OK) {
        send_failed(host, TENSORD_UNAVAILABLE, host->files->error.message);
        return false;
    }
    if (!find_engine(host, engine_dir, source) || !load_whole(host, source))
        return false;
    struct error error;
    if (!description_is_good(&host->description, &error)) {
        send_failed(host, status_of_code(error.code), error.message);
        unload(host);
        return false;
    }
    if (!host_shaping_bind(host, &error)) {
        send_failed(host, status_of_code(error.code), error.message);
        unload(host);
        return false;
    }
    if (host->description.concurrency == 0)
        host->description.concurrency = 1;
    if (host->description.concurrency > MAX_THREADS)
        host->description.concurrency = MAX_THREADS;
    host_check_batching(host);
    utf8_clean(host->batch_note);
    if (host->spec->probe || host_warm_up(host, &error))
        return true;
    send_failed(host, status_of_code(error.code), error.message);
    unload(host);
    return false;
}

static void send_infos(struct host *host, bool is_output)
{
    const struct tensord_description *description = &host->description;
    const struct tensord_tensor_info *infos =
        is_output ? description->outputs : description->inputs;
    size_t count = is_output ? description->output_count : description->input_count;
    for (size_t i = 0; i < count; i++) {
        struct record_writer writer;
        struct span name = span_of(infos[i].name);
        host_record(host, &writer, RECORD_SCHEMA);
        const struct record_schema head = {.is_output = is_output,
                                           .datatype = infos[i].datatype,
                                           .ndim = infos[i].ndim,
                                           .optional = infos[i].optional,
                                           .any_rank = infos[i].any_rank,
                                           .runs_alone = !is_output && host_runs_alone(host, i),
                                           .name_size = (uint32_t)name.size};
        record_put(&writer, &head, sizeof head);
        record_put_string(&writer, name);
        record_put(&writer, infos[i].shape, infos[i].ndim * sizeof infos[i].shape[0]);
        host_send(host, &writer, false);
    }
}

static void send_ready(struct host *host)
{
    const struct tensord_description *description = &host->description;
    host_send_stats(host);
    send_infos(host, false);
    send_infos(host, true);
    struct record_writer writer;
    struct span platform = span_of(description->platform ? description->platform : ""),
                engine = span_of(host->engine->name), note = span_of(host->batch_note);
    host_record(host, &writer, RECORD_READY);
    const struct record_ready head = {
        .concurrency = description->concurrency,
        .max_batch_size = host->max_batch_size,
        .streams = description->streams,
        .starts_at_once = (host->engine->flags & TENSORD_ENGINE_ASYNC) != 0,
        .platform_size = (uint32_t)platform.size,
        .engine_size = (uint32_t)engine.size,
        .note_size = (uint32_t)note.size,
        .rows = (host->joins ? ROWS_JOIN : 0) | (host->bounds_rows ? ROWS_BOUNDED : 0),
    };
    record_put(&writer, &head, sizeof head);
    record_put_string(&writer, platform);
    record_put_string(&writer, engine);
    record_put_string(&writer, note);
    host_send(host, &writer, true);
}

/* ---- serving ---- */

/* The front may send more than the engine runs at once, so that the next one is there when a slot
 * gets free. */
static bool has_free_slot(const struct host *host)
{
    return host->running < host->description.concurrency ||
           (host->engine->flags & TENSORD_ENGINE_ASYNC);
}

/* The next execution to run, in the order in which they came; with host->lock held. NULL: the
 * worker stops, and what is left is another thread's. */
static struct host_execution *next_execution(struct host *host)
{
    for (;;) {
        struct list_link *link = list_first(&host->backlog);
        if (link && has_free_slot(host)) {
            list_remove(link);
            host->running++;
            return list_entry(link, struct host_execution, link);
        }
        if (host->stopping)
            return NULL;
        if (host->reading) {
            host->followers++;
            pthread_cond_wait(&host->may_read, &host->lock);
            host->followers--;
            continue;
        }
        host->reading = true;
        pthread_mutex_unlock(&host->lock);
        host_read(host);
        pthread_mutex_lock(&host->lock);
        host_pass_reading_on(host);
    }
}

static void *serve(void *context)
{
    struct host *host = context;
    struct host_execution *execution;
    pthread_mutex_lock(&host->lock);
    while ((execution = next_execution(host))) {
        pthread_mutex_unlock(&host->lock);
        host_execute(host, execution);
        pthread_mutex_lock(&host->lock);
        host->running--;
    }
    pthread_mutex_unlock(&host->lock);
    return NULL;
}

/* One thread more than may execute, to read meanwhile; an inline engine needs this one only, one
 * that schedules for itself another to read. */
static uint32_t extra_threads(const struct host *host)
{
    if (host->engine->flags & TENSORD_ENGINE_INLINE)
        return 0;
    return host->engine->flags & TENSORD_ENGINE_ASYNC ? 1 : host->description.concurrency;
}

static void serve_until_stopped(struct host *host)
{
    pthread_t threads[MAX_THREADS];
    uint32_t count = 0;
    while (count < extra_threads(host) && pthread_create(&threads[count], NULL, serve, host) == 0)
        count++;
    serve(host);
    while (count > 0)
        pthread_join(threads[--count], NULL);
    pthread_mutex_lock(&host->lock);
    while (host->live > 0) /* with an engine that schedules for itself */
        pthread_cond_wait(&host->changed, &host->lock);
    pthread_mutex_unlock(&host->lock);
}

struct host *host_new(const struct worker_spec *spec, struct channel_fds fds,
                      const struct tensord_engine *engine, const struct model_files *files)
{
    struct host *host = calloc(1, sizeof *host);
    if (!host)
        return NULL;
    host->spec = spec;
    host->fds = fds;
    host->engine = engine;
    host->files = files;
    pthread_mutex_init(&host->lock, NULL);
    pthread_mutex_init(&host->out_lock, NULL);
    pthread_cond_init(&host->may_read, NULL);
    pthread_cond_init(&host->changed, NULL);
    list_init(&host->backlog);
    list_init(&host->calls);
    host_fill_calls(&host->tensord);
    return host;
}

void host_free(struct host *host)
{
    host_wire_close(host);
    host_shaping_free(host);
    pthread_mutex_destroy(&host->lock);
    pthread_mutex_destroy(&host->out_lock);
    pthread_cond_destroy(&host->may_read);
    pthread_cond_destroy(&host->changed);
    free(host);
}

static bool run(struct host *host, const char *engine_dir)
{
    struct host_source source = {0};
    struct error error;
    if (!host_wire_open(host, &error))
        return false; /* there is nobody to tell */
    bool loaded = source_init(&source, host->spec, &error);
    if (!loaded)
        send_failed(host, TENSORD_UNAVAILABLE, error.message);
    loaded = loaded && load(host, engine_dir, &source.source);
    if (loaded) {
        send_ready(host);
        if (!host->spec->probe)
            serve_until_stopped(host);
        unload(host);
    }
    arena_fini(&source.arena);
    return loaded;
}

static int run_new(const struct worker_spec *spec, struct channel_fds fds,
                   const struct tensord_engine *engine, const char *engine_dir,
                   const struct model_files *files)
{
    struct host *host = host_new(spec, fds, engine, files);
    if (!host) {
        host_fds_close(fds);
        return 1;
    }
    bool loaded = run(host, engine_dir);
    host_free(host);
    return loaded ? 0 : 1;
}

int host_run(const struct worker_spec *spec, struct channel_fds fds, const char *engine_dir,
             const struct model_files *files)
{
    return run_new(spec, fds, NULL, engine_dir, files);
}

int host_run_engine(const struct worker_spec *spec, struct channel_fds fds,
                    const struct tensord_engine *engine, const struct model_files *files)
{
    return run_new(spec, fds, engine, NULL, files);
}
