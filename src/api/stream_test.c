/* REST streams over a loopback connection, with a worker that the test plays: what is sent when,
 * and when the worker may go on. */
#include "api/access.h"
#include "api/api.h"
#include "api/gate.h"
#include "serving/serving_fixture.h"

#include <stdio.h>
#include <unistd.h>

static struct fixture f;
static struct gate gate;
static struct api api;
static struct http_server server;

/* The client's end. */
static struct conn *client;
static struct buf received;
static bool client_reads;

static struct room client_room(void *owner)
{
    char *data = client_reads ? buf_reserve(&received, 65536) : NULL;
    return (struct room){data, data ? 65536 : 0};
}

static void client_received(void *owner, size_t count)
{
    received.size += count;
}

static void client_told(void *owner)
{
}

static void client_closed(void *owner)
{
    client = NULL;
}

static const struct conn_owner client_calls = {client_room, client_received, client_told,
                                               client_told, client_closed};

static struct played_worker *setup(void)
{
    struct conn *near;
    struct error error;
    fixture_init(&f, LOAD_ALL);
    fixture_put(&f, "m", 1);
    fixture_scan(&f);
    struct played_worker *worker = worker_of(&f, "m");
    worker_ready_to_stream(&f, worker);
    gate = (struct gate){
        .owner = geteuid(), .local_scopes = scope_bit(SCOPE_INFER), .audit = {.fd = -1}};
    api = (struct api){.serving = &f.serving,
                       .gate = &gate,
                       .max_json_bytes = 1 << 20,
                       .max_body_bytes = 1 << 20,
                       .max_stream_requests = 2};
    list_init(&api.streams);
    list_init(&api.watches);
    http_server_init(&server, api_request, &api);
    server.on_closed = access_closed;
    assert_true(conn_pair_new(f.loop, &near, &client, &error));
    ((struct conn_origin *)(uintptr_t)conn_origin(near))->place = CONN_LOOPBACK;
    client_reads = true;
    buf_init(&received, SIZE_MAX / 2);
    http_serve(&server, near);
    conn_own(client, &client_calls, NULL);
    return worker;
}

static void teardown(void)
{
    if (client)
        conn_abort(client);
    fixture_turn(&f);
    assert_int_equal(server.conn_count, 0);
    http_server_fini(&server);
    buf_fini(&received);
    fixture_fini(&f);
}

/* Asks on the connection; the worker has the request then. */
static void ask(struct played_worker *worker, const char *route, const char *body)
{
    static char text[1024];
    int size = snprintf(text, sizeof text,
                        "POST /v2/models/m/%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
                        "%zu\r\n\r\n%s",
                        route, strlen(body), body);
    conn_send(client, &(struct iovec){text, (size_t)size}, 1);
    worker_read(&f, worker);
    assert_int_equal(worker->request_count, 1);
}

static bool has(const char *text)
{
    buf_append_char(&received, '\0');
    received.size--;
    return strstr(received.data, text) != NULL;
}

static void answer(struct played_worker *worker)
{
    worker_answer(&f, worker, TENSORD_OK, false);
    worker_read(&f, worker);
}

#define GENERATE "{\"x\":[7]}"

static void answers_go_out_as_they_come(void **state)
{
    struct played_worker *worker = setup();
    ask(worker, "generate_stream", GENERATE);
    assert_int_equal(received.size, 0);
    answer(worker);
    assert_true(has("200 OK"));
    assert_true(has("data: {\"model_name\":\"m\",\"model_version\":\"1\",\"y\":"));
    size_t after_one = received.size;
    assert_int_equal(worker->requests[0].credits, INFERENCE_ANSWERS_AHEAD); /* it was taken */
    answer(worker);
    assert_true(received.size > after_one);
    assert_false(has("0\r\n\r\n"));
    worker_end_answers(&f, worker);
    assert_true(has("0\r\n\r\n"));
    teardown();
}

static void a_client_that_does_not_read_stops_the_model(void **state)
{
    struct played_worker *worker = setup();
    ask(worker, "generate_stream", GENERATE);
    client_reads = false;
    unsigned answers = 0;
    while (worker->requests[0].credits && ++answers < 100000)
        answer(worker);
    assert_int_equal(worker->requests[0].credits, 0);
    assert_in_range(answers, 100, 10000); /* what fits a connection, and those ahead */
    client_reads = true;
    conn_resume(client);
    for (int i = 0; i < 100; i++)
        worker_read(&f, worker);
    assert_int_equal(worker->requests[0].credits, INFERENCE_ANSWERS_AHEAD);
    worker_end_answers(&f, worker);
    fixture_turn(&f);
    assert_true(has("0\r\n\r\n"));
    teardown();
}

static void a_client_that_leaves_cancels_the_request(void **state)
{
    struct played_worker *worker = setup();
    ask(worker, "generate_stream", GENERATE);
    answer(worker);
    conn_abort(client);
    worker_read(&f, worker);
    assert_true(worker->requests[0].cancelled);
    worker_answer(&f, worker, TENSORD_OK, false); /* it had not heard yet */
    worker_answer(&f, worker, TENSORD_CANCELLED, true);
    teardown();
}

static void an_error_before_the_first_answer_has_a_status(void **state)
{
    struct played_worker *worker = setup();
    ask(worker, "generate_stream", GENERATE);
    worker_answer(&f, worker, TENSORD_INVALID_ARGUMENT, true);
    fixture_turn(&f);
    assert_true(has("400 Bad Request"));
    assert_true(has("{\"error\":\"oops\"}"));
    teardown();
}

static void an_error_behind_an_answer_is_the_last_event(void **state)
{
    struct played_worker *worker = setup();
    ask(worker, "generate_stream", GENERATE);
    answer(worker);
    worker_answer(&f, worker, TENSORD_INTERNAL, true);
    fixture_turn(&f);
    assert_true(has("200 OK"));
    assert_true(has("data: {\"error\":\"oops\"}\n\n"));
    assert_true(has("0\r\n\r\n"));
    teardown();
}

static void a_worker_that_dies_ends_the_stream_with_an_error(void **state)
{
    struct played_worker *worker = setup();
    ask(worker, "generate_stream", GENERATE);
    answer(worker);
    worker_end(&f, worker, "killed by signal 9");
    assert_true(has("may be sent again\"}\n\n"));
    assert_true(has("0\r\n\r\n"));
    teardown();
}

static void the_next_request_goes_over_the_same_connection(void **state)
{
    struct played_worker *worker = setup();
    ask(worker, "generate_stream", GENERATE);
    answer(worker);
    worker_end_answers(&f, worker);
    fixture_turn(&f);
    buf_clear(&received);
    ask(worker, "generate", GENERATE);
    answer(worker);
    assert_int_equal(received.size, 0); /* perhaps more comes */
    worker_end_answers(&f, worker);
    fixture_turn(&f);
    assert_true(has("200 OK"));
    teardown();
}

static void a_call_for_one_answer_refuses_the_second(void **state)
{
    struct played_worker *worker = setup();
    ask(worker, "generate", GENERATE);
    answer(worker);
    answer(worker);
    assert_true(has("501 Not Implemented"));
    assert_true(worker->requests[0].cancelled);
    worker_answer(&f, worker, TENSORD_CANCELLED, true);
    teardown();
}

/* Four bytes of length, the JSON, then the tensor from where it lies. */
static void binary_answers_have_frames(void **state)
{
    struct played_worker *worker = setup();
    ask(worker, "infer_stream",
        "{\"parameters\":{\"binary_data_output\":true},\"inputs\":[{\"name\":\"x\",\"datatype\":"
        "\"INT32\",\"shape\":[1],\"data\":[1684234849]}]}");
    answer(worker);
    assert_true(has("application/vnd.tensord.answers"));
    size_t at = 0;
    while (at + 4 < received.size && memcmp(received.data + at, "{\"mo", 4) != 0)
        at++;
    assert_true(at + 4 < received.size);
    uint32_t length;
    memcpy(&length, received.data + at - sizeof length, sizeof length);
    assert_true(at + length + 4 <= received.size);
    assert_memory_equal(received.data + at + length, "abcd", 4);
    assert_true(received.data[at + length - 1] == '}');
    worker_end_answers(&f, worker);
    teardown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_go_out_as_they_come),
        cmocka_unit_test(a_client_that_does_not_read_stops_the_model),
        cmocka_unit_test(a_client_that_leaves_cancels_the_request),
        cmocka_unit_test(an_error_before_the_first_answer_has_a_status),
        cmocka_unit_test(an_error_behind_an_answer_is_the_last_event),
        cmocka_unit_test(a_worker_that_dies_ends_the_stream_with_an_error),
        cmocka_unit_test(the_next_request_goes_over_the_same_connection),
        cmocka_unit_test(a_call_for_one_answer_refuses_the_second),
        cmocka_unit_test(binary_answers_have_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
