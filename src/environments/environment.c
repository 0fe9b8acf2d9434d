/* Environments and who waits for them; see environment.h.
 *
 * A use asks, and waits in line for a plan; that has nothing made, or names an environment, which
 * has it among its users from then on, and waits in line for a builder when it is not there. Plans
 * run a few at a time, builds as many as the settings allow. */
#include "environments/environment.h"

#include "codec/json_writer.h"
#include "environments/environment_folder.h"
#include "worker/errand.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PLANS = 4, /* at once */
    PLAN_TIMEOUT_MS = 60000,
    BUILD_GRACE_MS = 60000, /* beyond the builder's own clock */
    QUESTION_BYTES = 1 << 20,
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

static struct span hash_of(const struct environment *environment)
{
    return (struct span){environment->hash, ENVIRONMENT_HASH_BYTES};
}

static void look_soon(struct environments *all)
{
    loop_defer(all->jobs.loop, &all->look);
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
        environment_job_kill(environment->job); /* its end comes back here */
        return;
    }
    list_remove(&environment->link);
    if (environment->ready)
        environment_folder_unused(all);
    map_remove(&all->by_hash, hash_of(environment));
    buf_fini(&environment->plan);
    free(environment);
}

void environment_leave(struct environment_use *use)
{
    struct environment *environment = use->environment;
    if (use->job) {
        use->job->subject = NULL;
        environment_job_kill(use->job);
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
    struct environment_use *use = job->subject;
    struct environment_plan plan;
    struct error error;
    environments_of(job)->planning--;
    if (!use)
        return;
    use->job = NULL;
    if (!environment_job_answered(job, started, reason, &error) ||
        !environment_plan_read(buf_span(&job->answer), &job->arena, &plan, &error))
        refuse(use, &error);
    else if (plan.hash.size)
        join(use, &plan, buf_span(&job->answer));
    else
        give(use, plan.interpreter);
}

static const struct environment_job_events plan_events = {NULL, plan_finished};

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
    use->job = environment_job_start(&all->jobs, all->options.plan_task, path, &buf,
                                     PLAN_TIMEOUT_MS, &plan_events, use, &error);
    buf_fini(&buf);
    if (!use->job) {
        refuse(use, &error);
        return;
    }
    use->events->noted(use, "is looked at for the packages that it needs");
    all->planning++;
}

/* ---- builds ---- */

static void tell_users(struct environment *environment, struct span line)
{
    list_each(link, &environment->users)
    {
        struct environment_use *use = list_entry(link, struct environment_use, link);
        use->events->told(use, line);
    }
}

static void on_told(struct environment_job *job, struct span line)
{
    tell_users(job->subject, span_after(line, 1));
}

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
static void give_users(struct environment *environment, struct arena *arena)
{
    struct environment_plan plan;
    struct error error;
    if (!environment_plan_read(buf_span(&environment->plan), arena, &plan, &error))
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
}

static void build_finished(struct environment_job *job, bool started, const char *reason)
{
    struct environment *environment = job->subject;
    struct error error;
    environments_of(job)->building--;
    if (job->killed && !list_empty(&environment->users)) {
        /* somebody came while it was being ended */
        list_add(&environments_of(job)->buildable, &environment->link);
    } else if (environment_job_answered(job, started, reason, &error) &&
               environment_built_read(buf_span(&job->answer), &job->arena, &error)) {
        environment->ready = true;
        give_users(environment, &job->arena);
    } else {
        refuse_users(environment, &error);
    }
    environment->job = NULL;
    if (list_empty(&environment->users))
        environment_drop(environment);
}

static const struct environment_job_events build_events = {on_told, build_finished};

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
    environment->job =
        environment_job_start(&all->jobs, all->options.build_task, all->options.folder, &buf,
                              limit_ms, &build_events, environment, &error);
    buf_fini(&buf);
    if (!environment->job) {
        refuse_users(environment, &error);
        environment_drop(environment);
        return;
    }
    all->building++;
    tell_users(environment, SPAN("building its environment"));
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

static void on_job_ended(struct environment_jobs *jobs)
{
    struct environments *all = list_entry(jobs, struct environments, jobs);
    look_soon(all);
    if (all->stopping && !environments_busy(all))
        all->stopped(all);
}

void environments_init(struct environments *environments, struct loop *loop,
                       struct spawner_client *spawner, const struct environment_options *options)
{
    *environments = (struct environments){
        .jobs = {loop, spawner, on_job_ended}, .options = *options, .look.run = look};
    map_init(&environments->by_hash);
    list_init(&environments->questions);
    list_init(&environments->buildable);
    environment_folder_init(environments);
}

bool environments_busy(const struct environments *environments)
{
    return environments->planning || environments->building || environments->collector;
}

void environments_stop(struct environments *environments)
{
    environments->stopping = true;
    environment_folder_stop(environments);
}

void environments_fini(struct environments *environments)
{
    timer_stop(&environments->collect);
    loop_undefer(&environments->look);
    map_fini(&environments->by_hash);
}

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

void environments_put_users(const struct environments *environments, struct json_writer *writer)
{
    struct map_slot slot;
    size_t position = 0;
    json_put_object(writer);
    while (map_next(&environments->by_hash, &position, &slot))
        put_users(slot.value, writer);
    json_put_object_end(writer);
}
