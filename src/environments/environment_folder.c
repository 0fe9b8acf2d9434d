/* What becomes of the folder of environments; see environment_folder.h. */
#include "environments/environment_folder.h"

#include "codec/json_writer.h"
#include "telemetry/log.h"

enum {
    COLLECT_FIRST_MS = 60000,
    COLLECT_SOON_MS = 10000, /* after one has lost its last user */
    COLLECT_RETRY_MS = 1000,
    COLLECT_MS = 6 * 3600 * 1000,
    COLLECTOR_MS = 600000, /* it may take */
    ASK_MS = 60000,
    QUESTION_BYTES = 1 << 20,
    CACHE_SHARE = 2, /* the installer's cache may be so many environments large */
};

static void on_told(struct environment_job *job, struct span line)
{
    struct environments *all = environments_of(job);
    if (span_equal(line, SPAN("-"))) { /* it removes no more */
        all->removing = false;
        loop_defer(all->jobs.loop, &all->look);
    } else {
        log_info("environments", "%.*s", SPAN_ARGS(span_after(line, 1)));
    }
}

/* ---- questions ---- */

/* The folder, and under the key which models use which environment of it. Left open. */
static void put_folder(const struct environments *all, struct span key, struct json_writer *writer)
{
    json_put_object(writer);
    json_put_member_string(writer, SPAN("environments"), span_of(all->options.folder));
    json_put_key(writer, key);
    environments_put_users(all, writer);
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

/* ---- what is unused ---- */

static void collect_finished(struct environment_job *job, bool started, const char *reason)
{
    struct environments *all = environments_of(job);
    struct error error;
    all->collector = NULL;
    all->removing = false;
    if (all->stopping)
        return;
    if (!environment_job_answered(job, started, reason, &error) ||
        !environment_built_read(buf_span(&job->answer), &job->arena, &error))
        log_warning("environments", "cannot tidy up: %s", error.message);
    timer_start(&all->collect, all->jobs.loop, COLLECT_MS, all->collect.fire);
}

static const struct environment_job_events collect_events = {on_told, collect_finished};

static void on_collect(struct timer *timer)
{
    struct environments *all = list_entry(timer, struct environments, collect);
    struct error error;
    struct buf buf;
    if (all->planning || all->collector) {
        timer_start(timer, all->jobs.loop, COLLECT_RETRY_MS, on_collect);
        return;
    }
    buf_init(&buf, QUESTION_BYTES);
    put_collect_question(all, all->options.unused_h * 3600, &buf);
    all->collector = environment_job_start(&all->jobs, all->options.build_task, all->options.folder,
                                           &buf, COLLECTOR_MS, &collect_events, NULL, &error);
    buf_fini(&buf);
    all->removing = all->collector != NULL;
    if (!all->collector)
        timer_start(timer, all->jobs.loop, COLLECT_MS, on_collect);
}

void environment_folder_init(struct environments *environments)
{
    environments->collect.fire = on_collect;
    if (environments->options.exist && environments->options.unused_h)
        timer_start(&environments->collect, environments->jobs.loop, COLLECT_FIRST_MS, on_collect);
}

void environment_folder_unused(struct environments *environments)
{
    if (!environments->stopping && environments->options.unused_h && !environments->collector)
        timer_start(&environments->collect, environments->jobs.loop, COLLECT_SOON_MS, on_collect);
}

void environment_folder_stop(struct environments *environments)
{
    timer_stop(&environments->collect);
    if (environments->collector)
        environment_job_kill(environments->collector);
}

/* ---- what others ask ---- */

static void ask_finished(struct environment_job *job, bool started, const char *reason)
{
    struct environments *all = environments_of(job);
    struct environments_ask *ask = job->subject;
    struct error error;
    all->collector = NULL;
    all->removing = false;
    bool good = !job->late && started && buf_ok(&job->answer) && job->answer.size;
    if (!good)
        error_set(&error, ERROR_UNAVAILABLE, "the folder of environments was not looked at: %s",
                  job->late ? "it took too long" : reason);
    good = good && environment_answer_check(buf_span(&job->answer), &job->arena, &error);
    ask->done(ask, buf_span(&job->answer), good ? NULL : &error);
}

static const struct environment_job_events ask_events = {on_told, ask_finished};

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
    all->collector = environment_job_start(&all->jobs, all->options.build_task, all->options.folder,
                                           question, ASK_MS, &ask_events, ask, ret_error);
    all->removing = all->collector && removes;
    return all->collector;
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
