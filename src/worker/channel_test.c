/* Both ends of a channel in one process: the front on this thread's loop, the worker's host on
 * another, with an engine that is linked in. */
#include "base/clock.h"
#include "worker/channel.h"
#include "worker/host.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Each engine is linked under a name of its own. */
const struct tensord_engine *identity_engine(void);
const struct tensord_engine *chaos_engine(void);

enum { MAX_REQUESTS = 256, MEMORY_BYTES = 64 << 20, ANSWER_BYTES = 4096 };

/* A request and what has been answered. */
struct call {
    struct channel_request request; /* must be first */
    struct channel_tensor input;
    struct extent extras[16];
    size_t extra_count;
    unsigned answers;
    bool done;
    struct error error;
    struct channel_tensor output; /* of the last answer that had one */
    char content[ANSWER_BYTES];
};

struct fixture {
    struct loop *loop;
    struct tensor_memory *memory;
    struct channel *channel;
    struct worker_spec spec;
    const struct tensord_engine *engine;
    struct channel_fds fds;
    pthread_t thread;
    bool running;
    struct schema *schema;
    struct error failure;
    double progress;
    unsigned executed, responses, log_lines;
    bool keep_credits; /* do not give any back */
    bool refuse_room;
    char broken[128];
    char called_model[64];
    struct call calls[MAX_REQUESTS];
};

static void *run_host(void *context)
{
    struct fixture *f = context;
    return (void *)(intptr_t)host_run_engine(&f->spec, f->fds, f->engine, NULL);
}

/* ---- events: each stops the loop, so that wait_for looks again ---- */

static void on_loading(void *owner, double done)
{
    struct fixture *f = owner;
    f->progress = done;
    loop_stop(f->loop);
}

static void on_ready(void *owner, const struct schema *schema)
{
    struct fixture *f = owner;
    f->schema = schema_copy(schema);
    loop_stop(f->loop);
}

static void on_failed(void *owner, const struct error *error)
{
    struct fixture *f = owner;
    f->failure = *error;
    loop_stop(f->loop);
}

static void on_response(void *owner, struct channel_request *request,
                        const struct channel_response *response)
{
    struct fixture *f = owner;
    struct call *call = (struct call *)request;
    f->responses++;
    call->answers++;
    call->error = response->error;
    if (response->output_count) {
        call->output = response->outputs[0];
        uint64_t size = call->output.extent.size;
        memcpy(call->content, tensor_memory_at(f->memory, call->output.extent),
               size < ANSWER_BYTES ? size : ANSWER_BYTES);
    }
    call->done = response->final;
    if (!response->final && !f->keep_credits)
        channel_credit(f->channel, request, 1);
    loop_stop(f->loop);
}

static void on_executed(void *owner, uint64_t execution, uint64_t compute_ns)
{
    struct fixture *f = owner;
    f->executed++;
    loop_stop(f->loop);
}

static bool on_need_room(void *owner, struct channel_request *request, uint64_t size,
                         struct extent *ret_extent, struct error *ret_error)
{
    struct fixture *f = owner;
    struct call *call = (struct call *)request;
    if (f->refuse_room)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "no room for you");
    assert_true(call->extra_count < 16);
    if (!tensor_memory_alloc(f->memory, size, ret_extent, ret_error))
        return false;
    call->extras[call->extra_count++] = *ret_extent;
    return true;
}

/* Answers with the input, negated. */
static void on_call(void *owner, const struct channel_call *made)
{
    struct fixture *f = owner;
    struct call *parent = (struct call *)made->parent;
    struct error error = {.code = ERROR_OK};
    snprintf(f->called_model, sizeof f->called_model, "%.*s", SPAN_ARGS(made->model));
    assert_int_equal(made->input_count, 1);
    if (span_equal(made->model, SPAN("missing")))
        error_set(&error, ERROR_NOT_FOUND, "no such model");
    struct channel_tensor output = made->inputs[0];
    assert_true(tensor_memory_alloc(f->memory, output.extent.size, &output.extent, &error));
    parent->extras[parent->extra_count++] = output.extent;
    const int32_t *from = tensor_memory_at(f->memory, made->inputs[0].extent);
    int32_t *to = tensor_memory_at(f->memory, output.extent);
    for (uint64_t i = 0; i < output.extent.size / 4; i++)
        to[i] = -from[i];
    struct span name = SPAN("OUTPUT0");
    channel_call_answer(f->channel, made->id, &error, &name, &output, 1);
}

static void on_log(void *owner, enum tensord_log_level level, struct span line)
{
    struct fixture *f = owner;
    f->log_lines++;
}

static void on_stats(void *owner, const struct channel_stats *stats)
{
}

static bool on_released(void *owner, uint64_t id)
{
    return false; /* these engines keep nothing */
}

static void on_broken(void *owner, const char *reason)
{
    struct fixture *f = owner;
    snprintf(f->broken, sizeof f->broken, "%s", reason);
    loop_stop(f->loop);
}

static const struct channel_events events = {on_loading,  on_ready,     on_failed, on_response,
                                             on_executed, on_need_room, on_call,   on_log,
                                             on_released, on_stats,     on_broken};

#define wait_for(f, condition)                                                                     \
    while (!(condition))                                                                           \
    loop_run((f)->loop)

/* ---- set-up ---- */

static int set_up(void **state)
{
    struct error error;
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    *state = f;
    f->loop = loop_new(&error);
    f->memory = tensor_memory_new(MEMORY_BYTES, &error);
    f->channel = channel_open(f->loop, f->memory, &events, f, &error);
    f->spec = (struct worker_spec){.path = SPAN("x.identity"),
                                   .name = SPAN("x"),
                                   .version = 1,
                                   .max_batch_size = -1,
                                   .may_batch = true,
                                   .device = SPAN("cpu")};
    return f->loop && f->memory && f->channel ? 0 : -1;
}

static void start(struct fixture *f, const struct tensord_engine *engine)
{
    struct channel_fds fds = channel_fds(f->channel);
    f->engine = engine;
    f->fds = (struct channel_fds){dup(fds.rings), dup(fds.tensors), dup(fds.to_worker),
                                  dup(fds.to_front)};
    assert_int_equal(pthread_create(&f->thread, NULL, run_host, f), 0);
    f->running = true;
}

/* Ends the worker and checks that it says what it should. */
static void stop(struct fixture *f, int status)
{
    void *result;
    channel_stop(f->channel);
    loop_stop(f->loop);
    loop_run(f->loop); /* a turn, in which the doorbell rings */
    assert_int_equal(pthread_join(f->thread, &result), 0);
    assert_int_equal((intptr_t)result, status);
    f->running = false;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->running)
        stop(f, 0);
    channel_close(f->channel);
    for (size_t i = 0; i < MAX_REQUESTS; i++) {
        struct call *call = &f->calls[i];
        tensor_memory_release(f->memory, call->input.extent);
        tensor_memory_release(f->memory, call->request.grant);
        for (size_t j = 0; j < call->extra_count; j++)
            tensor_memory_release(f->memory, call->extras[j]);
    }
    assert_int_equal(tensor_memory_used_bytes(f->memory), 0);
    loop_free(f->loop);
    tensor_memory_free(f->memory);
    schema_free(f->schema);
    free(f);
    return 0;
}

static void start_ready(struct fixture *f, const struct tensord_engine *engine)
{
    start(f, engine);
    wait_for(f, f->schema || f->failure.code);
    assert_int_equal(f->failure.code, ERROR_OK);
}

/* A request of (rows, 4) INT32, or (rows × 4) FP32 for identity, whose elements count up from
 * `first`. */
static struct call *prepare(struct fixture *f, size_t index, int64_t rows, int32_t first,
                            uint64_t grant)
{
    struct error error;
    struct call *call = &f->calls[index];
    bool is_chaos = f->engine == chaos_engine();
    call->input = (struct channel_tensor){.datatype = is_chaos ? TENSORD_INT32 : TENSORD_FP32,
                                          .shape = {2, {rows, 4}}};
    assert_true(tensor_memory_alloc(f->memory, (uint64_t)rows * 16, &call->input.extent, &error));
    int32_t *data = tensor_memory_at(f->memory, call->input.extent);
    for (int32_t i = 0; i < rows * 4; i++)
        data[i] = first + i;
    call->request = (struct channel_request){.inputs = &call->input,
                                             .input_count = 1,
                                             .wanted_outputs = UINT64_MAX,
                                             .deadline_ns = CLOCK_NEVER,
                                             .credits = 1};
    if (grant)
        assert_true(tensor_memory_alloc(f->memory, grant, &call->request.grant, &error));
    return call;
}

static void send(struct fixture *f, struct call *call)
{
    struct channel_request *request = &call->request;
    assert_true(channel_execute(f->channel, 1, 0, &request, 1));
}

static void send_with(struct fixture *f, struct call *call, const struct parameter *parameters,
                      size_t count)
{
    call->request.parameters = parameters;
    call->request.parameter_count = count;
    send(f, call);
}

static void assert_counts_up(const struct call *call, int64_t rows, int32_t first)
{
    assert_int_equal(call->error.code, ERROR_OK);
    assert_int_equal(call->output.shape.ndim, 2);
    assert_int_equal(call->output.shape.dims[0], rows);
    for (int32_t i = 0; i < rows * 4; i++)
        assert_int_equal(((const int32_t *)(const void *)call->content)[i], first + i);
}

/* ---- the tests ---- */

static void identity_answers_ten_thousand(void **state)
{
    enum { IN_FLIGHT = 32, TOTAL = 10000 };
    struct fixture *f = *state;
    start_ready(f, identity_engine());
    assert_false(f->schema->starts_at_once);
    assert_int_equal(f->schema->max_batch_size, 0);
    unsigned sent = 0;
    for (size_t i = 0; i < IN_FLIGHT; i++, sent++)
        send(f, prepare(f, i, 4, (int32_t)i * 100, 0));
    while (f->executed < TOTAL) {
        loop_run(f->loop);
        for (size_t i = 0; i < IN_FLIGHT; i++) {
            struct call *call = &f->calls[i];
            if (!call->done || sent >= TOTAL)
                continue;
            assert_counts_up(call, 4, (int32_t)i * 100);
            call->done = false;
            send(f, call);
            sent++;
        }
    }
    assert_int_equal(f->responses, TOTAL);
    assert_int_equal(channel_request_count(f->channel), 0);
    stop(f, 0);
}

static void identity_copies_nothing(void **state)
{
    struct fixture *f = *state;
    start_ready(f, identity_engine());
    struct call *call = prepare(f, 0, 3, 7, 0);
    send(f, call);
    wait_for(f, f->executed == 1);
    assert_int_equal(call->output.extent.offset, call->input.extent.offset);
}

static void requests_are_joined_and_split(void **state)
{
    struct fixture *f = *state;
    struct channel_request *requests[5];
    int32_t first = 0;
    start_ready(f, chaos_engine());
    assert_int_equal(f->schema->max_batch_size, 64);
    for (size_t i = 0; i < 5; i++) {
        struct call *call = prepare(f, i, (int64_t)i + 1, first, 256);
        requests[i] = &call->request;
        first += 100;
    }
    assert_true(channel_execute(f->channel, 9, 0, requests, 5));
    wait_for(f, f->executed == 1);
    for (size_t i = 0; i < 5; i++)
        assert_counts_up(&f->calls[i], (int64_t)i + 1, (int32_t)i * 100);
}

static void a_model_that_mixes_rows_is_not_joined(void **state)
{
    static const struct parameter mix = {.key = SPAN("mix"), .value = SPAN("1")};
    struct fixture *f = *state;
    f->spec.parameters = &mix;
    f->spec.parameter_count = 1;
    start_ready(f, chaos_engine());
    assert_int_equal(f->schema->max_batch_size, 0);
    assert_non_null(strstr(f->schema->batch_note.data, "together"));
}

static void the_config_decides_about_joining(void **state)
{
    struct fixture *f = *state;
    f->spec.max_batch_size = 0;
    start_ready(f, chaos_engine());
    assert_int_equal(f->schema->max_batch_size, 0);
}

static void room_is_asked_for_when_the_grant_is_small(void **state)
{
    struct fixture *f = *state;
    start_ready(f, chaos_engine());
    struct call *call = prepare(f, 0, 8, 5, 64);
    send(f, call);
    wait_for(f, call->done);
    assert_counts_up(call, 8, 5);
    assert_int_equal(call->extra_count, 1);
}

static void refused_room_fails_the_request_with_the_reason(void **state)
{
    struct fixture *f = *state;
    f->refuse_room = true;
    start_ready(f, chaos_engine());
    struct call *call = prepare(f, 0, 8, 5, 0);
    send(f, call);
    wait_for(f, call->done);
    assert_int_equal(call->error.code, ERROR_UNAVAILABLE);
    assert_string_equal(call->error.message, "no room for you");
}

static void a_stream_uses_its_room_again(void **state)
{
    static const struct parameter stream = {.key = SPAN("stream"), .value = SPAN("500")};
    struct fixture *f = *state;
    start_ready(f, chaos_engine());
    struct call *call = prepare(f, 0, 4, 1, 128);
    send_with(f, call, &stream, 1);
    wait_for(f, call->done);
    assert_counts_up(call, 4, 1);
    assert_int_equal(call->answers, 501);
    assert_int_equal(call->extra_count, 0);
}

static void a_stream_waits_for_credits_and_can_be_cancelled(void **state)
{
    static const struct parameter stream = {.key = SPAN("stream"), .value = SPAN("500")};
    struct fixture *f = *state;
    f->keep_credits = true;
    start_ready(f, chaos_engine());
    struct call *call = prepare(f, 0, 4, 1, 1024);
    call->request.credits = 3;
    send_with(f, call, &stream, 1);
    wait_for(f, call->answers == 3);
    channel_credit(f->channel, &call->request, 2);
    wait_for(f, call->answers == 5);
    channel_cancel(f->channel, &call->request);
    wait_for(f, call->done);
    assert_int_equal(call->answers, 6);
}

static void a_cancellation_reaches_a_busy_engine(void **state)
{
    static const struct parameter wait = {.key = SPAN("wait_ms"), .value = SPAN("1000000")};
    struct fixture *f = *state;
    start_ready(f, chaos_engine());
    struct call *call = prepare(f, 0, 1, 1, 64), *behind = prepare(f, 1, 1, 1, 64);
    send_with(f, call, &wait, 1);
    send(f, behind);
    channel_cancel(f->channel, &behind->request);
    channel_cancel(f->channel, &call->request);
    wait_for(f, f->executed == 2);
    assert_true(call->done && behind->done);
    assert_int_equal(behind->error.code, ERROR_CANCELLED);
}

static void a_failure_brings_its_sentence(void **state)
{
    static const struct parameter fail[] = {
        {.key = SPAN("fail"), .value = SPAN("the moon is full")},
        {.key = SPAN("status"), .value = SPAN("1")}};
    struct fixture *f = *state;
    start_ready(f, chaos_engine());
    struct call *call = prepare(f, 0, 1, 1, 64);
    send_with(f, call, fail, 2);
    wait_for(f, call->done);
    assert_int_equal(call->error.code, ERROR_INVALID_ARGUMENT);
    assert_string_equal(call->error.message, "the moon is full");
}

static void a_model_calls_another(void **state)
{
    static const struct parameter other = {.key = SPAN("call"), .value = SPAN("negative")},
                                  missing = {.key = SPAN("call"), .value = SPAN("missing")};
    struct fixture *f = *state;
    start_ready(f, chaos_engine());
    struct call *call = prepare(f, 0, 1, 5, 64), *failing = prepare(f, 1, 1, 5, 64);
    send_with(f, call, &other, 1);
    wait_for(f, call->done);
    assert_string_equal(f->called_model, "negative");
    assert_int_equal(call->error.code, ERROR_OK);
    assert_int_equal(((int32_t *)(void *)call->content)[3], -8);
    send_with(f, failing, &missing, 1);
    wait_for(f, failing->done);
    assert_string_equal(failing->error.message, "no such model");
}

static void logs_and_progress_arrive(void **state)
{
    static const struct parameter slow = {.key = SPAN("load"), .value = SPAN("slow")},
                                  log = {.key = SPAN("log"), .value = SPAN("100")};
    struct fixture *f = *state;
    f->spec.parameters = &slow;
    f->spec.parameter_count = 1;
    start_ready(f, chaos_engine());
    assert_true(f->progress >= 0.99);
    struct call *call = prepare(f, 0, 1, 5, 64);
    send_with(f, call, &log, 1);
    wait_for(f, call->done);
    assert_int_equal(f->log_lines, 100);
}

static void a_failed_load_says_why(void **state)
{
    static const struct parameter fail = {.key = SPAN("load"), .value = SPAN("fail")};
    struct fixture *f = *state;
    f->spec.parameters = &fail;
    f->spec.parameter_count = 1;
    start(f, chaos_engine());
    wait_for(f, f->failure.code);
    assert_int_equal(f->failure.code, ERROR_INVALID_ARGUMENT);
    assert_string_equal(f->failure.message, "it was asked to fail");
    stop(f, 1);
}

static void a_probe_describes_and_ends(void **state)
{
    struct fixture *f = *state;
    f->spec.probe = true;
    start_ready(f, identity_engine());
    assert_int_equal(f->schema->input_count, 1);
    assert_true(span_equal(f->schema->inputs[0].name, SPAN("INPUT0")));
    assert_true(span_equal(f->schema->engine, SPAN("identity")));
}

/* Leaves a child nothing but what a worker is given. */
static struct channel_fds keep_only(struct channel_fds fds)
{
    enum { FIRST = 500 };
    dup2(fds.rings, FIRST);
    dup2(fds.tensors, FIRST + 1);
    dup2(fds.to_worker, FIRST + 2);
    dup2(fds.to_front, FIRST + 3);
    close_range(3, FIRST - 1, 0);
    return (struct channel_fds){FIRST, FIRST + 1, FIRST + 2, FIRST + 3};
}

/* The host in a process of its own, as in life: what it does to itself is its own affair. */
static pid_t start_process(struct fixture *f, const struct tensord_engine *engine)
{
    f->engine = engine;
    pid_t child = fork();
    if (child == 0)
        _exit(host_run_engine(&f->spec, keep_only(channel_fds(f->channel)), engine, NULL));
    assert_true(child > 0);
    wait_for(f, f->schema || f->failure.code);
    return child;
}

static int end_process(pid_t child)
{
    int status;
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void a_forgery_is_found_out(const char *how)
{
    void *state = NULL;
    if (set_up(&state) != 0)
        abort();
    struct fixture *f = state;
    const struct parameter forge = {.key = SPAN("forge"), .value = span_of(how)};
    pid_t child = start_process(f, chaos_engine());
    struct call *call = prepare(f, 0, 1, 5, 64);
    struct channel_request *request = &call->request;
    send_with(f, call, &forge, 1);
    wait_for(f, f->broken[0]);
    end_process(child);
    assert_false(call->done);
    assert_false(channel_execute(f->channel, 2, 0, &request, 1)); /* it is deaf now */
    size_t position = 0;
    assert_ptr_equal(channel_next_request(f->channel, &position), request);
    assert_null(channel_next_request(f->channel, &position));
    tear_down(&state);
}

static void forged_records_are_found_out(void **state)
{
    static const char *const forgeries[] = {"slot",     "giant",     "type",  "offset",
                                            "executed", "backwards", "beyond"};
    for (size_t i = 0; i < sizeof forgeries / sizeof forgeries[0]; i++)
        a_forgery_is_found_out(forgeries[i]);
}

/* A worker that fills its doorbell cannot make the front wait. */
static void jammed_doorbells_do_not_block(void **state)
{
    static const struct parameter jam[] = {{.key = SPAN("die"), .value = SPAN("jam")},
                                           {.key = SPAN("wait_ms"), .value = SPAN("1")}};
    struct fixture *f = *state;
    pid_t child = start_process(f, chaos_engine());
    struct call *call = prepare(f, 0, 1, 5, 64);
    send_with(f, call, jam, 2);
    wait_for(f, call->done);
    for (size_t i = 1; i < 50; i++) {
        call = prepare(f, i, 1, 5, 64);
        send(f, call);
        wait_for(f, call->done);
    }
    end_process(child);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(identity_answers_ten_thousand),
        TEST(identity_copies_nothing),
        TEST(requests_are_joined_and_split),
        TEST(a_model_that_mixes_rows_is_not_joined),
        TEST(the_config_decides_about_joining),
        TEST(room_is_asked_for_when_the_grant_is_small),
        TEST(refused_room_fails_the_request_with_the_reason),
        TEST(a_stream_uses_its_room_again),
        TEST(a_stream_waits_for_credits_and_can_be_cancelled),
        TEST(a_cancellation_reaches_a_busy_engine),
        TEST(a_failure_brings_its_sentence),
        TEST(a_model_calls_another),
        TEST(logs_and_progress_arrive),
        TEST(a_failed_load_says_why),
        TEST(a_probe_describes_and_ends),
        cmocka_unit_test(forged_records_are_found_out),
        TEST(jammed_doorbells_do_not_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
