/* Environments and who waits for them; see environment.h.
 *
 * Plans run a few at a time, builds as many as the settings allow, and no plan while a collector
 * removes environments: a plan says that one is there, and it must not go before its user is
 * counted. */
#include "serving/environment.h"

#include "codec/json_writer.h"
#include "telemetry/log.h"
#include "worker/errand.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PLANS = 4, /* at once */
    PLAN_TIMEOUT_MS = 60000,
    BUILD_GRACE_MS = 60000, /* beyond the builder's own clock */
    COLLECT_FIRST_MS = 60000,
    COLLECT_SOON_MS = 10000, /* after one has lost its last user */
    COLLECT_RETRY_MS = 1000,
    COLLECT_MS = 6 * 3600 * 1000,
    QUESTION_BYTES = 1 << 20,
    ARENA_BYTES = 64 << 20,
    CACHE_SHARE = 2, /* the installer's cache may be so many environments large */
};

struct environment {
    struct environments *all;
    struct list_link link;       /* among the buildable */
    struct list users;           /* struct environment_use */
    struct environment_job *job; /* its builder, while that runs */
    struct buf plan;             /* its plan's answer, for the builder */
    bool ready;
    char hash[ENVIRONMENT_HASH_BYTES];
};

/* A process that runs: a plan for a use, a builder of an environment, or a collector. */
struct environment_job {
    struct environments *all;
    struct errand *errand;
    struct environment_use *use; /* of a plan; NULL when it has left */
    struct environment *environment;
    struct environments_ask *ask; /* of somebody about the folder */
    struct timer limit;
    struct buf answer;
    bool late, killed;
    void (*finish)(struct environment_job *job, bool started, const char *reason);
};

static struct span hash_of(const struct environment *environment)
{
    return (struct span){environment->hash, ENVIRONMENT_HASH_BYTES};
}

static void look_soon(struct environments *all)
{
    loop_defer(all->loop, &all->look);
}

/* ---- jobs ---- */

static void kill_job(struct environment_job *job)
{
    job->killed = true;
    errand_kill(job->errand);
}

static void on_limit(struct timer *timer)
{
    struct environment_job *job = list_entry(timer, struct environment_job, limit);
    job->late = true;
    errand_kill(job->errand);
}

static void tell_users(struct environment *environment, struct span line)
{
    list_each(link, &environment->users)
    {
        struct environment_use *use = list_entry(link, struct environment_use, link);
        use->events->told(use, line);
    }
}

static void on_line(void *owner, struct span line)
{
    struct environment_job *job = owner;
    struct span rest = line.size ? span_after(line, 1) : line;
    if (span_equal(line, SPAN("-")) && job == job->all->collector) {
        job->all->removing = false;
        look_soon(job->all);
    } else if (line.size && line.data[0] == '=') { /* -Wanalyzer-null-dereference: not empty */
        buf_clear(&job->answer);
        buf_append(&job->answer, rest);
    } else if (line.size && job->environment) {
        tell_users(job->environment, rest);
    } else if (line.size && !job->use) {
        log_info("environments", "%.*s", SPAN_ARGS(rest));
    }
}

static void job_free(struct environment_job *job)
{
    timer_stop(&job->limit);
    buf_fini(&job->answer);
    free(job);
}

static void on_ended(void *owner, bool started, const char *reason)
{
    struct environment_job *job = owner;
    struct environments *all = job->all;
    job->errand = NULL;
    job->finish(job, started, reason);
    job_free(job);
    look_soon(all);
    if (all->stopping && !environments_busy(all))
        all->stopped(all);
}

static const struct errand_events errand_events = {on_line, on_ended};

/* NULL, and *ret_error, when it cannot be started. */
static struct environment_job *job_start(struct environments *all, unsigned task,
                                         struct span question, const char *path, uint64_t limit_ms,
                                         struct error *ret_error)
{
    struct environment_job *job = calloc(1, sizeof *job);
    if (!job) {
        error_no_memory(ret_error);
        return NULL;
    }
    job->all = all;
    buf_init(&job->answer, ERRAND_LINE_MAX_BYTES);
    job->errand =
        errand_start(all->loop, all->spawner, task, path, question, &errand_events, job, ret_error);
    if (!job->errand) {
        job_free(job);
        return NULL;
    }
    timer_start(&job->limit, all->loop, limit_ms, on_limit);
    return job;
}

/* What a job has come to: its answer, or why there is none. */
static bool job_answered(const struct environment_job *job, bool started, const char *reason,
                         struct error *ret_error)
{
    if (job->late)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "preparing its environment took too long");
    if (started && buf_ok(&job->answer) && job->answer.size)
        return true;
    return error_set(ret_error, ERROR_INTERNAL, "preparing its environment failed: %s", reason);
}

/* ---- uses ---- */

static void refuse(struct environment_use *use, const struct error *error)
{
    use->all = NULL;
    use->events->ready(use, SPAN(""), error);
}

static void give(struct environment_use *use, struct span interpreter)
{
    struct error error;
    use->interpreter = strndup(interpreter.data, interpreter.size);
    if (use->interpreter) {
        use->events->ready(use, span_of(use->interpreter), NULL);
        return;
    }
    error_no_memory(&error);
    environment_leave(use);
    refuse(use, &error);
}

bool environment_is_ready(const struct environment_use *use)
{
    return use->interpreter != NULL;
}

void environment_ask(struct environments *environments, struct environment_use *use,
                     const struct environment_question *question,
                     const struct environment_events *events)
{
    assert(!use->all);
    *use = (struct environment_use){.all = environments, .question = *question, .events = events};
    list_add(&environments->questions, &use->link);
    use->events->noted(use, environments->removing
                                ? "waits until unused environments are removed"
                                : "waits to be looked at for the packages that it needs");
    look_soon(environments);
}

/* Nobody uses it any more. */
static void environment_drop(struct environment *environment)
{
    struct environments *all = environment->all;
    if (environment->job) {
        kill_job(environment->job); /* its end comes back here */
        return;
    }
    list_remove(&environment->link);
    if (environment->ready && !all->stopping && all->options.unused_h && !all->collector)
        timer_start(&all->collect, all->loop, COLLECT_SOON_MS, all->collect.fire);
    map_remove(&all->by_hash, hash_of(environment));
    buf_fini(&environment->plan);
    free(environment);
}

void environment_leave(struct environment_use *use)
{
    struct environment *environment = use->environment;
    if (use->job) {
        use->job->use = NULL;
        kill_job(use->job);
    }
    list_remove(&use->link);
    free(use->interpreter);
    use->interpreter = NULL;
    use->all = NULL;
    use->job = NULL;
    use->environment = NULL;
    if (environment && list_empty(&environment->users))
        environment_drop(environment);
}

/* ---- plans ---- */

static struct environment *environment_make(struct environments *all, struct span hash)
{
    struct environment *environment = map_get(&all->by_hash, hash);
    if (environment)
        return environment;
    environment = calloc(1, sizeof *environment);
    if (!environment)
        return NULL;
    environment->all = all;
    memcpy(environment->hash, hash.data, sizeof environment->hash);
    list_init(&environment->users);
    buf_init(&environment->plan, ERRAND_LINE_MAX_BYTES);
    if (map_set(&all->by_hash, hash_of(environment), environment))
        return environment;
    free(environment);
    return NULL;
}

/* The plan's answer waits for a builder, unless one is at work or waited for already. */
static bool make_buildable(struct environment *environment, struct span answer)
{
    if (environment->job || list_linked(&environment->link))
        return true;
    buf_clear(&environment->plan);
    buf_append(&environment->plan, answer);
    list_add(&environment->all->buildable, &environment->link);
    return buf_ok(&environment->plan);
}

static void join(struct environment_use *use, const struct environment_plan *plan,
                 struct span answer)
{
    struct error error;
    if (!use->all->options.folder[0]) {
        error_set(&error, ERROR_INVALID_ARGUMENT,
                  "the server keeps no state, so it has no room for an environment");
        refuse(use, &error);
        return;
    }
    struct environment *environment = environment_make(use->all, plan->hash);
    if (environment) {
        use->environment = environment;
        list_add(&environment->users, &use->link);
        environment->ready |= plan->ready;
    }
    if (environment && environment->ready) {
        give(use, plan->interpreter);
    } else if (environment && make_buildable(environment, answer)) {
        use->events->noted(use, "waits for its environment to be built");
    } else {
        error_no_memory(&error);
        environment_leave(use);
        refuse(use, &error);
    }
}

static void plan_finished(struct environment_job *job, bool started, const char *reason)
{
    struct environment_use *use = job->use;
    struct environment_plan plan;
    struct error error;
    struct arena arena;
    job->all->planning--;
    if (!use)
        return;
    use->job = NULL;
    arena_init(&arena, 4096, ARENA_BYTES);
    if (!job_answered(job, started, reason, &error) ||
        !environment_plan_read(buf_span(&job->answer), &arena, &plan, &error))
        refuse(use, &error);
    else if (plan.hash.size)
        join(use, &plan, buf_span(&job->answer));
    else
        give(use, plan.interpreter);
    arena_fini(&arena);
}

static void start_plan(struct environments *all, struct environment_use *use)
{
    const struct environment_question *question = &use->question;
    struct error error;
    struct buf buf;
    char path[ENVIRONMENT_PATH_MAX_BYTES + 1];
    struct span readable = question->folder.size ? question->folder : question->path;
    buf_init(&buf, QUESTION_BYTES);
    environment_plan_ask(&buf, question, span_of(all->options.folder));
    snprintf(path, sizeof path, "%.*s", SPAN_ARGS(readable));
    if (!buf_ok(&buf))
        error_no_memory(&error);
    else
        use->job =
            job_start(all, all->options.plan_task, buf_span(&buf), path, PLAN_TIMEOUT_MS, &error);
    buf_fini(&buf);
    if (!use->job) {
        refuse(use, &error);
        return;
    }
    use->job->use = use;
    use->job->finish = plan_finished;
    use->events->noted(use, "is looked at for the packages that it needs");
    all->planning++;
}

/* ---- builds ---- */

static void refuse_users(struct environment *environment, const struct error *error)
{
    for (struct list_link *link; (link = list_first(&environment->users));) {
        struct environment_use *use = list_entry(link, struct environment_use, link);
        list_remove(link);
        use->environment = NULL;
        refuse(use, error);
    }
}

/* Others may come and leave meanwhile. */
static void give_users(struct environment *environment)
{
    struct arena arena;
    struct environment_plan plan;
    struct error error;
    arena_init(&arena, 4096, ARENA_BYTES);
    if (!environment_plan_read(buf_span(&environment->plan), &arena, &plan, &error))
        refuse_users(environment, &error);
    for (bool again = true; again;) {
        again = false;
        list_each(link, &environment->users)
        {
            struct environment_use *use = list_entry(link, struct environment_use, link);
            if (use->interpreter)
                continue;
            give(use, plan.interpreter);
            again = true;
            break;
        }
    }
    arena_fini(&arena);
}

static void build_finished(struct environment_job *job, bool started, const char *reason)
{
    struct environment *environment = job->environment;
    struct error error;
    struct arena arena;
    job->all->building--;
    arena_init(&arena, 4096, ARENA_BYTES);
    if (job->killed && !list_empty(&environment->users)) {
        /* somebody came while it was being ended */
        list_add(&job->all->buildable, &environment->link);
    } else if (job_answered(job, started, reason, &error) &&
               environment_built_read(buf_span(&job->answer), &arena, &error)) {
        environment->ready = true;
        give_users(environment);
    } else {
        refuse_users(environment, &error);
    }
    arena_fini(&arena);
    environment->job = NULL;
    if (list_empty(&environment->users))
        environment_drop(environment);
}

static void put_build_question(const struct environments *all,
                               const struct environment *environment, struct buf *buf)
{
    const struct environment_options *options = &all->options;
    struct json_writer writer;
    json_writer_init(&writer, buf);
    json_put_object(&writer);
    json_put_member_string(&writer, SPAN("environments"), span_of(options->folder));
    json_put_member_string(&writer, SPAN("uv"), span_of(options->uv));
    json_put_member_u64(&writer, SPAN("timeout_s"), options->build_timeout_s);
    json_put_member_u64(&writer, SPAN("disk_mib"), options->max_mib);
    json_put_object_end(&writer);
    buf_append_char(buf, '\n');
    buf_append(buf, buf_span(&environment->plan));
}

static void start_build(struct environments *all, struct environment *environment)
{
    struct buf buf;
    struct error error;
    uint64_t limit_ms = all->options.build_timeout_s * 1000 + BUILD_GRACE_MS;
    buf_init(&buf, QUESTION_BYTES + ERRAND_LINE_MAX_BYTES);
    put_build_question(all, environment, &buf);
    if (!buf_ok(&buf))
        error_no_memory(&error);
    else
        environment->job = job_start(all, all->options.build_task, buf_span(&buf),
                                     all->options.folder, limit_ms, &error);
    buf_fini(&buf);
    if (!environment->job) {
        refuse_users(environment, &error);
        environment_drop(environment);
        return;
    }
    environment->job->environment = environment;
    environment->job->finish = build_finished;
    all->building++;
    tell_users(environment, SPAN("building its environment"));
}

/* ---- the collector ---- */

static void put_users(const struct environment *environment, struct json_writer *writer)
{
    json_put_key(writer, hash_of(environment));
    json_put_array(writer);
    list_each(link, &environment->users)
    {
        const struct environment_use *use = list_entry(link, struct environment_use, link);
        json_put_string(writer, use->question.model);
    }
    json_put_array_end(writer);
}

/* The folder, and under the key which models use which environment of it. Left open. */
static void put_folder(const struct environments *all, struct span key, struct json_writer *writer)
{
    struct map_slot slot;
    size_t position = 0;
    json_put_object(writer);
    json_put_member_string(writer, SPAN("environments"), span_of(all->options.folder));
    json_put_key(writer, key);
    json_put_object(writer);
    while (map_next(&all->by_hash, &position, &slot))
        put_users(slot.value, writer);
    json_put_object_end(writer);
}

static void put_collect_question(const struct environments *all, uint64_t unused_s, struct buf *buf)
{
    struct json_writer writer;
    json_writer_init(&writer, buf);
    put_folder(all, SPAN("collect"), &writer);
    json_put_member_u64(&writer, SPAN("unused_s"), unused_s);
    json_put_member_u64(&writer, SPAN("cache_mib"), all->options.max_mib * CACHE_SHARE);
    json_put_object_end(&writer);
}

static void collect_finished(struct environment_job *job, bool started, const char *reason)
{
    struct environments *all = job->all;
    struct error error;
    struct arena arena;
    all->collector = NULL;
    all->removing = false;
    if (all->stopping)
        return;
    arena_init(&arena, 4096, ARENA_BYTES);
    if (!job_answered(job, started, reason, &error) ||
        !environment_built_read(buf_span(&job->answer), &arena, &error))
        log_warning("environments", "cannot tidy up: %s", error.message);
    arena_fini(&arena);
    timer_start(&all->collect, all->loop, COLLECT_MS, all->collect.fire);
}

static void on_collect(struct timer *timer)
{
    struct environments *all = list_entry(timer, struct environments, collect);
    struct error error;
    struct buf buf;
    if (all->planning || all->collector) {
        timer_start(timer, all->loop, COLLECT_RETRY_MS, on_collect);
        return;
    }
    buf_init(&buf, QUESTION_BYTES);
    put_collect_question(all, all->options.unused_h * 3600, &buf);
    if (buf_ok(&buf))
        all->collector = job_start(all, all->options.build_task, buf_span(&buf),
                                   all->options.folder, BUILD_GRACE_MS * 10, &error);
    buf_fini(&buf);
    all->removing = all->collector != NULL;
    if (all->collector)
        all->collector->finish = collect_finished;
    else
        timer_start(timer, all->loop, COLLECT_MS, on_collect);
}

/* ---- what others ask about the folder ---- */

static void ask_finished(struct environment_job *job, bool started, const char *reason)
{
    struct environments *all = job->all;
    struct error error;
    struct arena arena;
    all->collector = NULL;
    all->removing = false;
    arena_init(&arena, 4096, ARENA_BYTES);
    bool good = !job->late && started && buf_ok(&job->answer) && job->answer.size;
    if (!good)
        error_set(&error, ERROR_UNAVAILABLE, "the folder of environments was not looked at: %s",
                  job->late ? "it took too long" : reason);
    good = good && environment_answer_check(buf_span(&job->answer), &arena, &error);
    job->ask->done(job->ask, buf_span(&job->answer), good ? NULL : &error);
    arena_fini(&arena);
}

/* Whether the folder can be asked about: there is one, and nobody else is at it. */
static bool can_ask(const struct environments *all, bool removes, struct error *ret_error)
{
    if (!all->options.folder[0])
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the server keeps no state, so it has no environments");
    if (!all->collector && !all->stopping && !(removes && all->planning))
        return true;
    error_set(ret_error, ERROR_UNAVAILABLE, "the folder of environments is at work; try again");
    ret_error->retry_after_s = 1;
    return false;
}

static bool ask_folder(struct environments *all, struct environments_ask *ask,
                       const struct buf *question, bool removes, struct error *ret_error)
{
    struct environment_job *job = buf_ok(question)
                                      ? job_start(all, all->options.build_task, buf_span(question),
                                                  all->options.folder, BUILD_GRACE_MS, ret_error)
                                      : NULL;
    if (!job)
        return buf_ok(question) ? false : error_no_memory(ret_error);
    job->ask = ask;
    job->finish = ask_finished;
    all->collector = job;
    all->removing = removes;
    return true;
}

bool environments_list(struct environments *environments, struct environments_ask *ask,
                       struct error *ret_error)
{
    struct json_writer writer;
    struct buf buf;
    if (!can_ask(environments, false, ret_error))
        return false;
    buf_init(&buf, QUESTION_BYTES);
    json_writer_init(&writer, &buf);
    put_folder(environments, SPAN("list"), &writer);
    json_put_object_end(&writer);
    bool asked = ask_folder(environments, ask, &buf, false, ret_error);
    buf_fini(&buf);
    return asked;
}

bool environments_remove(struct environments *environments, struct environments_ask *ask,
                         struct span hash, struct error *ret_error)
{
    struct json_writer writer;
    struct buf buf;
    if (!can_ask(environments, true, ret_error))
        return false;
    buf_init(&buf, QUESTION_BYTES);
    if (hash.size) {
        json_writer_init(&writer, &buf);
        put_folder(environments, SPAN("collect"), &writer);
        json_put_member_string(&writer, SPAN("only"), hash);
        json_put_object_end(&writer);
    } else {
        put_collect_question(environments, 0, &buf);
    }
    bool asked = ask_folder(environments, ask, &buf, true, ret_error);
    buf_fini(&buf);
    return asked;
}

/* ---- all of them ---- */

static void look(struct loop_task *task)
{
    struct environments *all = list_entry(task, struct environments, look);
    while (!all->stopping && !all->removing && all->planning < PLANS &&
           !list_empty(&all->questions)) {
        struct list_link *link = list_first(&all->questions);
        list_remove(link);
        start_plan(all, list_entry(link, struct environment_use, link));
    }
    while (!all->stopping && all->building < all->options.builds && !list_empty(&all->buildable)) {
        struct list_link *link = list_first(&all->buildable);
        list_remove(link);
        start_build(all, list_entry(link, struct environment, link));
    }
}

void environments_init(struct environments *environments, struct loop *loop,
                       struct spawner_client *spawner, const struct environment_options *options)
{
    *environments = (struct environments){.loop = loop,
                                          .spawner = spawner,
                                          .options = *options,
                                          .look.run = look,
                                          .collect.fire = on_collect};
    map_init(&environments->by_hash);
    list_init(&environments->questions);
    list_init(&environments->buildable);
    if (options->exist && options->unused_h)
        timer_start(&environments->collect, loop, COLLECT_FIRST_MS, on_collect);
}

bool environments_busy(const struct environments *environments)
{
    return environments->planning || environments->building || environments->collector;
}

void environments_stop(struct environments *environments)
{
    environments->stopping = true;
    timer_stop(&environments->collect);
    if (environments->collector)
        kill_job(environments->collector);
}

void environments_fini(struct environments *environments)
{
    timer_stop(&environments->collect);
    loop_undefer(&environments->look);
    map_fini(&environments->by_hash);
}
