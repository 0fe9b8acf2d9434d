/* Unit tests of the worker's end, on a channel whose other end nobody holds: what threads do to
 * each other in an order that the test chooses. */
#include "worker/host_private.h"

#include "base/clock.h"

#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { REQUEST = 3, EXECUTION = 7, TENSOR_BYTES = 4096 };

struct fixture {
    struct host *host;
    struct host_execution *execution;
    struct ring to_worker, to_front; /* the front's ends */
    pthread_t answering;
};

static struct fixture fixture;

static int memory_file(off_t size)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0 && ftruncate(fd, size) == 0);
    return fd;
}

static void open_channel(struct host *host)
{
    int to_worker[2] = {-1, -1}, to_front[2] = {-1, -1};
    struct error error;
    assert_true(pipe(to_worker) == 0 && pipe(to_front) == 0);
    close(to_worker[1]);
    close(to_front[0]);
    host->fds = (struct channel_fds){memory_file(CHANNEL_RINGS_SIZE), memory_file(TENSOR_BYTES),
                                     to_worker[0], to_front[1]};
    const uint32_t head[] = {CHANNEL_MAGIC, CHANNEL_VERSION};
    assert_int_equal(pwrite(host->fds.rings, head, sizeof head, 0), sizeof head);
    assert_true(host_wire_open(host, &error));
    char *map = (char *)host->shared;
    ring_init(&fixture.to_worker, &host->shared->to_worker, map + CHANNEL_TO_WORKER_OFFSET);
    ring_init(&fixture.to_front, &host->shared->to_front, map + CHANNEL_TO_FRONT_OFFSET);
}

/* An execution of one request without tensors that the engine has been handed. */
static struct host_execution *begin_execution(struct host *host)
{
    struct arena arena;
    arena_init(&arena, 4096, SIZE_MAX);
    struct host_execution *execution = arena_calloc(&arena, 1, sizeof *execution);
    assert_non_null(execution);
    execution->arena = arena;
    execution->host = host;
    execution->id = EXECUTION;
    execution->requests = arena_calloc(&execution->arena, 1, sizeof *execution->requests);
    assert_non_null(execution->requests);
    execution->requests[0].id = REQUEST;
    execution->requests[0].execution = execution;
    execution->request_count = 1;
    execution->started = true;
    host->requests[REQUEST] = &execution->requests[0];
    host->live = 1;
    return execution;
}

static void *answer(void *unused)
{
    fixture.host->tensord.respond(&fixture.execution->tensord, true);
    return NULL;
}

/* Lets another thread answer, and returns when that has begun but cannot go on. */
static void cancel_while_it_is_answered(void *model, struct tensord_execution *execution)
{
    struct host *host = fixture.host;
    assert_int_equal(pthread_create(&fixture.answering, NULL, answer, NULL), 0);
    for (bool known = true; known; sched_yield()) {
        pthread_mutex_lock(&host->lock);
        known = host->requests[REQUEST] != NULL;
        pthread_mutex_unlock(&host->lock);
    }
}

static const struct tensord_engine engine = {.abi = TENSORD_ENGINE_ABI,
                                             .size = sizeof engine,
                                             .name = "test",
                                             .flags = TENSORD_ENGINE_ASYNC,
                                             .cancel = cancel_while_it_is_answered};

static int setup(void **state)
{
    struct host *host = host_new(NULL, (struct channel_fds){-1, -1, -1, -1}, &engine, NULL);
    assert_non_null(host);
    fixture = (struct fixture){.host = host};
    host->stats_due_ns = UINT64_MAX;
    open_channel(host);
    fixture.execution = begin_execution(host);
    return 0;
}

static int teardown(void **state)
{
    host_free(fixture.host);
    return 0;
}

static void send_cancel(void)
{
    _Alignas(8) unsigned char data[256];
    struct record_writer writer;
    record_begin(&writer, data, RECORD_CANCEL);
    record_put(&writer, &(struct record_request_id){REQUEST}, sizeof(struct record_request_id));
    assert_true(record_end(&writer));
    assert_int_equal(ring_write(&fixture.to_worker, data), RING_RECORD);
}

static void front_gets(enum record_type expected)
{
    static _Alignas(8) unsigned char record[RING_RECORD_MAX];
    uint32_t size;
    enum record_type type;
    assert_int_equal(ring_read(&fixture.to_front, record, &size), RING_RECORD);
    record_read(record, &type);
    assert_int_equal(type, expected);
}

/* The cancellation returns between the moment when nobody finds the request any more and the
 * answer: the execution is still the answering thread's. */
static void what_is_being_answered_stays_while_its_cancellation_ends(void **state)
{
    struct host *host = fixture.host;
    mallopt(M_PERTURB, 0xa5); /* what is freed is no execution any more */
    send_cancel();
    pthread_mutex_lock(&host->out_lock);
    host_read(host);
    assert_int_equal(host->live, 1); /* a host that stops waits for the answer */
    pthread_mutex_unlock(&host->out_lock);
    pthread_join(fixture.answering, NULL);
    front_gets(RECORD_RESPONSE);
    front_gets(RECORD_EXECUTED);
    assert_int_equal(host->live, 0);
    mallopt(M_PERTURB, 0);
}

/* It waits for a slot, which another execution has: it is answered all the same. */
static void what_waits_for_a_slot_is_given_up_at_once(void **state)
{
    struct host *host = fixture.host;
    fixture.execution->started = false;
    list_add(&host->backlog, &fixture.execution->link);
    host->running = 1;
    send_cancel();
    host_read(host);
    front_gets(RECORD_RESPONSE);
    front_gets(RECORD_EXECUTED);
    assert_true(list_empty(&host->backlog));
    assert_int_equal(host->live, 0);
}

/* As long before its deadline as it needs, it is not begun any more. */
static void what_cannot_end_in_time_is_not_begun(void **state)
{
    struct host *host = fixture.host;
    fixture.execution->started = false;
    fixture.execution->requests[0].deadline_ns = clock_now_ns() + 60 * CLOCK_NS_PER_S;
    fixture.execution->needs_ns = 120 * CLOCK_NS_PER_S;
    host_execute(host, fixture.execution); /* the engine has no `execute` */
    front_gets(RECORD_RESPONSE);
    front_gets(RECORD_EXECUTED);
    assert_int_equal(host->live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_being_answered_stays_while_its_cancellation_ends,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_waits_for_a_slot_is_given_up_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_end_in_time_is_not_begun, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
