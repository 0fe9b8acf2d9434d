/* The serving module with workers that the test plays; see serving_fixture.h. spawner_start,
 * spawner_kill, errand_start and errand_kill below stand in for those of worker/. */
#include "serving/serving_fixture.h"

#include "serving/generation_workers.h"

#include "repository/model_sequences.h"
#include "repository/repository.h"
#include "telemetry/log.h"
#include "worker/record.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- the pretended spawner ---- */

static struct fixture *fixture_of(struct spawner_client *client)
{
    return (struct fixture *)(void *)client;
}

static void open_channel(struct played_worker *worker, struct channel_fds fds)
{
    const int given[] = {fds.rings, fds.tensors, fds.to_worker, fds.to_front};
    for (size_t i = 0; i < 4; i++)
        worker->fds[i] = fcntl(given[i], F_DUPFD_CLOEXEC, 0);
    void *map =
        mmap(NULL, CHANNEL_RINGS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, worker->fds[0], 0);
    assert_true(map != MAP_FAILED);
    worker->shared = map;
    ring_init(&worker->in, &worker->shared->to_worker, (char *)map + CHANNEL_TO_WORKER_OFFSET);
    ring_init(&worker->out, &worker->shared->to_front, (char *)map + CHANNEL_TO_FRONT_OFFSET);
    worker->record = malloc(RING_RECORD_MAX);
    assert_non_null(worker->record);
}

bool spawner_start(struct spawner_client *client, struct worker_process *process,
                   const struct worker_spec *spec, struct channel_fds fds, struct error *ret_error)
{
    struct fixture *f = fixture_of(client);
    if (f->refuse_start)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "descriptors: too many open files");
    struct played_worker *worker = calloc(1, sizeof *worker);
    assert_non_null(worker);
    worker->process = process;
    worker->probe = spec->probe;
    snprintf(worker->name, sizeof worker->name, "%.*s", SPAN_ARGS(spec->name));
    process->id = ++f->started;
    open_channel(worker, fds);
    list_add(&f->workers, &worker->link);
    return true;
}

bool spawner_start_server(struct spawner_client *client, struct worker_process *process,
                          const struct worker_spec *spec, struct channel_fds fds, int line,
                          struct error *ret_error)
{
    struct fixture *f = fixture_of(client);
    if (!spawner_start(client, process, spec, fds, ret_error))
        return false;
    struct played_worker *worker = list_entry(f->workers.head.previous, struct played_worker, link);
    worker->line = fcntl(line, F_DUPFD_CLOEXEC, 0);
    worker->keeps = true;
    return true;
}

struct errand *errand_start(struct loop *loop, struct spawner_client *spawner, unsigned task,
                            const char *path, struct span question,
                            const struct errand_events *events, void *owner,
                            struct error *ret_error)
{
    struct fixture *f = fixture_of(spawner);
    struct errand *errand = calloc(1, sizeof *errand);
    assert_non_null(errand);
    *errand = (struct errand){.events = events, .owner = owner, .task = task};
    assert_true(question.size < sizeof errand->question);
    memcpy(errand->question, question.data, question.size);
    list_add(&f->errands, &errand->link);
    return errand;
}

void errand_kill(struct errand *errand)
{
    errand->killed = true;
}

struct errand *fixture_errand(struct fixture *f)
{
    struct list_link *link = list_first(&f->errands);
    return link ? list_entry(link, struct errand, link) : NULL;
}

void errand_say(struct errand *errand, const char *line)
{
    errand->events->line(errand->owner, span_of(line));
}

void errand_end(struct errand *errand)
{
    list_remove(&errand->link);
    errand->events->ended(errand->owner, true,
                          errand->killed ? "killed by signal 9 (Killed)" : "exited with status 0");
    free(errand);
}

void spawner_kill(struct spawner_client *client, struct worker_process *process)
{
    list_each(link, &fixture_of(client)->workers)
    {
        struct played_worker *worker = list_entry(link, struct played_worker, link);
        worker->killed |= worker->process == process;
    }
}

/* ---- the fixture ---- */

static uint64_t on_rescan(void *context)
{
    return ++((struct fixture *)context)->rescans;
}

static void on_ended(void *context)
{
}

static void on_settled(void *context, struct version *version)
{
    ((struct fixture *)context)->settled++;
}

void fixture_init(struct fixture *f, enum load_policy load)
{
    struct error error;
    const struct serving_options options = {.load = load,
                                            .memory_limit_bytes = MEMORY_LIMIT_BYTES,
                                            .queue_limit = 64,
                                            .memory_wait_ms = 600000,
                                            .python = "/base/bin/python",
                                            .environments = {.folder = "/environments",
                                                             .uv = "",
                                                             .plan_task = FOUND_PLAN_TASK,
                                                             .build_task = FOUND_BUILD_TASK,
                                                             .build_timeout_s = 60,
                                                             .max_mib = 100,
                                                             .unused_h = 1,
                                                             .builds = 1},
                                            .cache_bytes = 64 << 10,
                                            .cache_entry_bytes = 4 << 10,
                                            .stop_grace_ms = 60000};
    log_init(LOG_ERROR, false, false);
    *f = (struct fixture){.loop = loop_new(&error)};
    assert_non_null(f->loop);
    list_init(&f->workers);
    list_init(&f->errands);
    serving_init(&f->serving, f->loop, (struct spawner_client *)(void *)f, &options);
    f->serving.rescan = on_rescan;
    f->serving.drained = f->serving.stopped = on_ended;
    f->serving.settled = on_settled;
    f->serving.context = f;
}

static void assert_nothing_lives(struct serving *serving)
{
    struct map_slot slot;
    size_t position = 0;
    while (map_next(&serving->models, &position, &slot)) {
        const struct model *model = slot.value;
        for (size_t i = 0; i < model->version_count; i++)
            assert_int_equal(model->versions[i]->generations, 0);
    }
}

void fixture_fini(struct fixture *f)
{
    if (!f->serving.stopping)
        serving_stop(&f->serving);
    fixture_turn(f);
    while (!list_empty(&f->workers)) {
        struct list_link *first = list_first(&f->workers);
        worker_end(f, list_entry(first, struct played_worker, link), "exited with status 0");
    }
    while (fixture_errand(f))
        errand_end(fixture_errand(f));
    assert_true(serving_is_stopped(&f->serving));
    assert_int_equal(f->serving.live_workers, 0);
    assert_int_equal(f->serving.inferences, 0);
    assert_nothing_lives(&f->serving);
    serving_fini(&f->serving);
    loop_free(f->loop);
}

void fixture_turn(struct fixture *f)
{
    for (int i = 0; i < 3; i++) {
        loop_stop(f->loop);
        loop_run(f->loop);
    }
}

struct found *fixture_put(struct fixture *f, const char *name, uint64_t version)
{
    struct found *found = NULL;
    for (size_t i = 0; i < f->found_count && !found; i++) {
        if (strcmp(f->found[i].name, name) == 0 && f->found[i].version == version)
            found = &f->found[i];
    }
    if (!found) {
        assert_true(f->found_count < FOUND_MAX);
        found = &f->found[f->found_count++];
        *found = (struct found){.version = version, .complete = true};
        snprintf(found->name, sizeof found->name, "%s", name);
    }
    found->fingerprint++;
    return found;
}

static struct model_state state = {.input = SPAN("s"), .output = SPAN("t")};

static struct model_sequences sequences[] = {
    {.strategy = SEQUENCES_OLDEST,
     .candidates = 2,
     .idle_us = 3600 * UINT64_C(1000000),
     .controls = {{SPAN("start"), CONTROL_START, TENSORD_INT32, {0, 1}},
                  {SPAN("ready"), CONTROL_READY, TENSORD_INT32, {0, 1}}},
     .control_count = 2,
     .states = &state,
     .state_count = 1},
    {.strategy = SEQUENCES_DIRECT,
     .idle_us = 3600 * UINT64_C(1000000),
     .controls = {{SPAN("start"), CONTROL_START, TENSORD_INT32, {0, 1}},
                  {SPAN("ready"), CONTROL_READY, TENSORD_INT32, {0, 1}}},
     .control_count = 2,
     .states = &state,
     .state_count = 1},
};

void fixture_scan(struct fixture *f)
{
    static const struct model_config of_sequences[] = {
        {.max_batch_size = -1, .device = SPAN("cpu"), .sequences = &sequences[0]},
        {.max_batch_size = -1, .device = SPAN("cpu"), .sequences = &sequences[1]}};
    static const struct model_config config = {.max_batch_size = -1, .device = SPAN("cpu")};
    static const struct model_config three = {
        .max_batch_size = -1, .device = SPAN("cpu"), .workers = {3, 3, 60}};
    static const struct model_config reuse[] = {
        {.max_batch_size = -1, .device = SPAN("cpu"), .caches = true},
        {.max_batch_size = -1, .device = SPAN("cpu"), .coalesces = true},
        {.max_batch_size = -1, .device = SPAN("cpu"), .caches = true, .coalesces = true}};
    static struct span command[] = {SPAN("serve"), SPAN("{port}")};
    static const struct model_config server = {
        .max_batch_size = -1,
        .device = SPAN("cpu"),
        .server = {.command = command, .command_count = 2, .connections = 2, .idle_after_s = 60}};
    static const struct error wrong = {.code = ERROR_INVALID_ARGUMENT,
                                       .message = "line 1: unknown key"};
    static const struct error unreadable = {.code = ERROR_UNAVAILABLE,
                                            .message = "too many open files"};
    struct repository_version versions[FOUND_MAX] = {0};
    for (size_t i = 0; i < f->found_count; i++) {
        versions[i] = (struct repository_version){.model = span_of(f->found[i].name),
                                                  .version = f->found[i].version,
                                                  .path = SPAN("/models/x"),
                                                  .root = SPAN("/models"),
                                                  .fingerprint = f->found[i].fingerprint,
                                                  .complete = f->found[i].complete,
                                                  .runtime = f->found[i].python ? RUNTIME_PYTHON
                                                                                : RUNTIME_NATIVE,
                                                  .config = &config};
        if (f->found[i].server) {
            versions[i].runtime = RUNTIME_SERVER;
            versions[i].config = &server;
        }
        if (f->found[i].data)
            versions[i].format = SPAN("onnx");
        if (f->found[i].three)
            versions[i].config = &three;
        if (f->found[i].caches || f->found[i].coalesces)
            versions[i].config = &reuse[f->found[i].caches + 2 * f->found[i].coalesces - 1];
        if (f->found[i].sequences)
            versions[i].config = &of_sequences[f->found[i].rows];
        if (f->found[i].wrong)
            versions[i].error = &wrong;
        if (f->found[i].unreadable) {
            versions[i].unreadable = true;
            versions[i].fingerprint = 0;
            versions[i].error = &unreadable;
        }
    }
    serving_apply(&f->serving, &(struct repository_scan){.versions = versions,
                                                         .version_count = f->found_count,
                                                         .number = f->rescans});
    fixture_turn(f);
}

struct version *fixture_version(struct fixture *f, const char *name)
{
    struct error error;
    struct model *model = serving_model(&f->serving, span_of(name), &error);
    assert_non_null(model);
    assert_true(model->version_count > 0);
    return model->versions[model->version_count - 1];
}

struct generation *fixture_generation(struct fixture *f, const char *name)
{
    struct generation *generation = fixture_version(f, name)->current;
    assert_non_null(generation);
    return generation;
}

static void fire(struct timer *timer)
{
    if (!timer_running(timer))
        return;
    timer_stop(timer);
    timer->fire(timer);
}

void pass_time(struct fixture *f, struct generation *generation)
{
    generation_ref(generation);
    fire(&generation->retry);
    for (size_t i = 0; i < generation->further_count; i++)
        fire(&generation->further[i].retry);
    fixture_turn(f);
    generation_unref(generation);
}

/* ---- what a played worker says ---- */

struct played_worker *worker_of(struct fixture *f, const char *name)
{
    struct played_worker *newest = NULL;
    list_each(link, &f->workers)
    {
        struct played_worker *worker = list_entry(link, struct played_worker, link);
        if (strcmp(worker->name, name) == 0)
            newest = worker;
    }
    return newest;
}

static void begin(struct played_worker *worker, struct record_writer *writer, enum record_type type)
{
    record_begin(writer, worker->record, type);
}

static void send(struct fixture *f, struct played_worker *worker, struct record_writer *writer)
{
    assert_true(record_end(writer));
    assert_int_equal(ring_write(&worker->out, worker->record), RING_RECORD);
    if (ring_must_wake(&worker->out))
        assert_int_equal(write(worker->fds[3], "", 1), 1);
    fixture_turn(f);
}

static void send_schema(struct fixture *f, struct played_worker *worker, bool output,
                        const char *name)
{
    struct record_writer writer;
    const struct record_schema head = {.is_output = output,
                                       .datatype = TENSORD_INT32,
                                       .ndim = 1,
                                       .name_size = (uint32_t)strlen(name)};
    begin(worker, &writer, RECORD_SCHEMA);
    record_put(&writer, &head, sizeof head);
    record_put_string(&writer, span_of(name));
    record_put(&writer, &(int64_t){-1}, sizeof(int64_t));
    send(f, worker, &writer);
}

static void send_ready(struct fixture *f, struct played_worker *worker, uint32_t max_rows,
                       bool streams)
{
    struct record_writer writer;
    const struct record_ready head = {
        .concurrency = 1,
        .max_batch_size = max_rows,
        .streams = streams,
        .rows = max_rows ? ROWS_JOIN : 0,
    };
    worker->ready = true;
    begin(worker, &writer, RECORD_READY);
    record_put(&writer, &head, sizeof head);
    for (int i = 0; i < 3; i++)
        record_put_string(&writer, SPAN(""));
    send(f, worker, &writer);
}

static void say_ready(struct fixture *f, struct played_worker *worker, const char *output,
                      uint32_t max_rows, bool streams)
{
    if (!worker->keeps) {
        send_schema(f, worker, false, "x");
        send_schema(f, worker, true, output);
    }
    send_ready(f, worker, max_rows, streams);
}

void worker_ready_for_sequences(struct fixture *f, struct played_worker *worker, uint32_t max_rows)
{
    static const char *const inputs[] = {"x", "start", "ready", "s"};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        send_schema(f, worker, false, inputs[i]);
    send_schema(f, worker, true, "y");
    send_schema(f, worker, true, "t");
    send_ready(f, worker, max_rows, false);
}

void worker_ready(struct fixture *f, struct played_worker *worker, uint32_t max_rows)
{
    say_ready(f, worker, "y", max_rows, false);
}

void worker_ready_to_stream(struct fixture *f, struct played_worker *worker)
{
    say_ready(f, worker, "y", 0, true);
}

void worker_ready_otherwise(struct fixture *f, struct played_worker *worker)
{
    say_ready(f, worker, "z", 0, false);
}

void worker_fail(struct fixture *f, struct played_worker *worker, enum tensord_status status)
{
    struct record_writer writer;
    const struct record_failed head = {.status = status, .message_size = 7};
    begin(worker, &writer, RECORD_FAILED);
    record_put(&writer, &head, sizeof head);
    record_put_string(&writer, SPAN("no good"));
    send(f, worker, &writer);
}

static void respond(struct fixture *f, struct played_worker *worker, enum tensord_status status,
                    bool final, bool outputs)
{
    struct record_writer writer;
    assert_true(worker->request_count > 0);
    struct played_request request = worker->requests[0];
    bool states = request.input_count > 1 && !worker->forgets;
    const struct record_response head = {.request = request.id,
                                         .final = final,
                                         .status = status,
                                         .message_size = status == TENSORD_OK ? 0 : 4,
                                         .output_count = !outputs ? 0U
                                                         : states ? 2U
                                                                  : 1U};
    begin(worker, &writer, RECORD_RESPONSE);
    record_put(&writer, &head, sizeof head);
    record_put_string(&writer, status == TENSORD_OK ? SPAN("") : SPAN("oops"));
    request.input.index = 0;
    if (outputs)
        record_put_tensor(&writer, &request.input, (struct span){0});
    request.input.index = 1;
    if (outputs && states)
        record_put_tensor(&writer, &request.input, (struct span){0});
    if (final) {
        worker->request_count--;
        memmove(worker->requests, worker->requests + 1,
                worker->request_count * sizeof *worker->requests);
    } else {
        worker->requests[0].credits--;
    }
    send(f, worker, &writer);
    if (!final || (worker->request_count && worker->requests[0].execution == request.execution))
        return;
    begin(worker, &writer, RECORD_EXECUTED);
    record_put(&writer, &(struct record_executed){request.execution, 1000},
               sizeof(struct record_executed));
    send(f, worker, &writer);
}

void worker_answer(struct fixture *f, struct played_worker *worker, enum tensord_status status,
                   bool final)
{
    respond(f, worker, status, final, status == TENSORD_OK);
}

void worker_end_answers(struct fixture *f, struct played_worker *worker)
{
    respond(f, worker, TENSORD_OK, true, false);
}

void worker_need_room(struct fixture *f, struct played_worker *worker, uint64_t size)
{
    struct record_writer writer;
    assert_true(worker->request_count > 0);
    begin(worker, &writer, RECORD_NEED_ROOM);
    record_put(&writer, &(struct record_need_room){worker->requests[0].id, size},
               sizeof(struct record_need_room));
    send(f, worker, &writer);
    worker_read(f, worker);
}

void worker_call(struct fixture *f, struct played_worker *worker, uint64_t call, const char *model)
{
    struct record_writer writer;
    assert_true(worker->request_count > 0);
    const struct record_call head = {.call = call,
                                     .request = worker->requests[0].id,
                                     .version = -1,
                                     .model_size = (uint32_t)strlen(model),
                                     .input_count = 1};
    begin(worker, &writer, RECORD_CALL);
    record_put(&writer, &head, sizeof head);
    record_put_string(&writer, span_of(model));
    record_put_tensor(&writer, &worker->requests[0].input, SPAN("x"));
    send(f, worker, &writer);
    worker_read(f, worker);
}

void worker_lie(struct fixture *f, struct played_worker *worker)
{
    struct record_writer writer;
    begin(worker, &writer, RECORD_EXECUTED);
    record_put(&writer, &(struct record_executed){UINT64_MAX, 0}, sizeof(struct record_executed));
    send(f, worker, &writer);
}

/* ---- what it is told ---- */

static void take_execute(struct played_worker *worker, struct record_reader *reader)
{
    const struct record_execute *head = record_take(reader, sizeof *head);
    assert_non_null(head);
    worker->executed++;
    for (uint32_t i = 0; i < head->request_count; i++) {
        const struct record_request *request = record_take(reader, sizeof *request);
        struct span name;
        assert_true(request && worker->request_count < PLAYED_REQUESTS);
        assert_int_equal(request->parameter_count, 0);
        struct played_request *taken = &worker->requests[worker->request_count++];
        *taken = (struct played_request){.id = request->request,
                                         .execution = head->execution,
                                         .credits = request->credits,
                                         .grant = {request->grant_offset, request->grant_size}};
        assert_in_range(request->input_count, 1, PLAYED_INPUTS);
        taken->input_count = request->input_count;
        for (size_t k = 0; k < taken->input_count; k++)
            assert_true(record_take_tensor(reader, &taken->inputs[k], &name));
        taken->input = taken->inputs[0];
    }
}

static void take_cancel(struct played_worker *worker, struct record_reader *reader)
{
    const struct record_request_id *head = record_take(reader, sizeof *head);
    for (size_t i = 0; i < worker->request_count; i++)
        worker->requests[i].cancelled |= worker->requests[i].id == head->request;
}

static void take_credit(struct played_worker *worker, struct record_reader *reader)
{
    const struct record_credit *head = record_take(reader, sizeof *head);
    for (size_t i = 0; i < worker->request_count; i++) {
        if (worker->requests[i].id == head->request)
            worker->requests[i].credits += head->count;
    }
}

static void take_grant(struct played_worker *worker, struct record_reader *reader)
{
    const struct record_grant *head = record_take(reader, sizeof *head);
    worker->grants += head->size > 0;
    worker->refused_grants += head->size == 0;
    worker->granted = (struct extent){head->offset, head->size};
}

static void take_call_answer(struct played_worker *worker, struct record_reader *reader)
{
    const struct record_call_answer *head = record_take(reader, sizeof *head);
    worker->call_answers++;
    worker->failed_call_answers += head->failed != 0;
}

static void take(struct played_worker *worker)
{
    enum record_type type;
    struct record_reader reader = record_read(worker->record, &type);
    switch (type) {
    case RECORD_EXECUTE:
        take_execute(worker, &reader);
        break;
    case RECORD_CANCEL:
        take_cancel(worker, &reader);
        break;
    case RECORD_CREDIT:
        take_credit(worker, &reader);
        break;
    case RECORD_GRANT:
        take_grant(worker, &reader);
        break;
    case RECORD_CALL_ANSWER:
        take_call_answer(worker, &reader);
        break;
    case RECORD_STOP:
        worker->stopped = true;
        break;
    default:
        break;
    }
}

void worker_read(struct fixture *f, struct played_worker *worker)
{
    uint32_t size;
    fixture_turn(f);
    while (ring_read(&worker->in, worker->record, &size) == RING_RECORD)
        take(worker);
    ring_publish(&worker->in);
    fixture_turn(f);
}

void worker_end(struct fixture *f, struct played_worker *worker, const char *reason)
{
    list_remove(&worker->link);
    worker->process->ended(worker->process, true, reason);
    munmap(worker->shared, CHANNEL_RINGS_SIZE);
    if (worker->keeps)
        close(worker->line);
    for (size_t i = 0; i < 4; i++)
        close(worker->fds[i]);
    free(worker->record);
    free(worker);
    fixture_turn(f);
}

/* ---- clients ---- */

static void client_free(struct client *client)
{
    inference_fini(&client->inference);
    arena_fini(&client->arena);
    free(client);
}

static void answered(struct inference *inference, const struct inference_answer *answer)
{
    struct client *client = (struct client *)(void *)inference;
    client->answers++;
    client->finals += answer->final;
    client->error = answer->error;
    assert_true(client->finals <= 1);
    if (answer->final && client->gone)
        client_free(client);
}

static struct client *bind(struct fixture *f, const char *model, int64_t rows,
                           struct error *ret_error)
{
    struct model *found = serving_model(&f->serving, span_of(model), ret_error);
    struct version *version = found ? model_version(found, -1, ret_error) : NULL;
    struct client *client = calloc(1, sizeof *client);
    assert_non_null(client);
    client->rows = rows;
    arena_init(&client->arena, 1024, 1 << 20);
    if (version && inference_init(&client->inference, version, &client->arena, ret_error)) {
        client->inference.answered = answered;
        return client;
    }
    client_free(client);
    return NULL;
}

static bool make_input(struct client *client, struct error *ret_error)
{
    const struct shape shape = {1, {client->rows}};
    char *data;
    return inference_input(&client->inference, SPAN("x"), TENSORD_INT32, &shape,
                           (uint64_t)client->rows * 4, &data, ret_error);
}

struct client *client_new(struct fixture *f, const char *model, int64_t rows,
                          struct error *ret_error)
{
    struct client *client = bind(f, model, rows, ret_error);
    if (!client || make_input(client, ret_error))
        return client;
    client_free(client);
    return NULL;
}

static void on_reserved(struct inference *inference, const struct error *error)
{
    struct client *client = (struct client *)(void *)inference;
    client->error = *error;
    assert_int_equal(client->answers, 0);
    if (error->code == ERROR_OK && make_input(client, &client->error))
        inference_submit(&client->inference);
    else
        client->answers = client->finals = 1;
}

struct client *client_reserve(struct fixture *f, const char *model, int64_t rows,
                              struct error *ret_error)
{
    struct client *client = bind(f, model, rows, ret_error);
    if (!client)
        return NULL;
    client->inference.reserved = on_reserved;
    switch (inference_reserve(&client->inference, tensor_memory_charge((uint64_t)rows * 4), rows,
                              NULL, &client->error)) {
    case INFERENCE_MEMORY_GIVEN:
        on_reserved(&client->inference, &(struct error){.code = ERROR_OK});
        break;
    case INFERENCE_MEMORY_WAITS:
        break;
    case INFERENCE_MEMORY_REFUSED:
        client->answers = client->finals = 1;
        break;
    }
    return client;
}

bool client_waits(const struct client *client)
{
    return list_linked(&client->inference.share.link);
}

void client_submit(struct client *client)
{
    inference_submit(&client->inference);
    assert_int_equal(client->answers, 0); /* never from within */
}

struct client *client_ask(struct fixture *f, const char *model, int64_t rows,
                          struct error *ret_error)
{
    struct client *client = client_new(f, model, rows, ret_error);
    if (client)
        client_submit(client);
    return client;
}

void client_leave(struct client *client)
{
    client->gone = true;
    if (client->finals || client->inference.state == INFERENCE_FILLING)
        client_free(client);
    else
        inference_cancel(&client->inference);
}

void client_expect(struct client *client, enum error_code code)
{
    assert_int_equal(client->finals, 1);
    assert_int_equal(client->error.code, code);
    client_free(client);
}
