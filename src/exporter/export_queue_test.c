/* Unit tests of exporter/export_queue.h. */
#include "exporter/export_queue.h"

#include "base/clock.h"
#include "telemetry/span_record.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS CLOCK_NS_PER_MS
#define START (1000 * MS)

static struct export_queue queue;
static struct buf one; /* a record */

static int setup(void **state)
{
    struct span_record record = {.texts[SPAN_TEXT_NAME] = SPAN("name")};
    buf_init(&one, SPAN_RECORD_MAX_BYTES);
    assert_true(span_record_write(&one, &record));
    export_queue_init(&queue, 500, 3);
    return 0;
}

static int teardown(void **state)
{
    export_queue_fini(&queue);
    buf_fini(&one);
    return 0;
}

static void receive(struct span bytes, uint64_t now_ns)
{
    struct room room = export_queue_room(&queue);
    assert_true(room.size >= bytes.size);
    if (bytes.size) /* NOLINT(clang-analyzer-core.NonNullParamChecker): it has data */
        memcpy(room.data, bytes.data, bytes.size);
    assert_true(export_queue_received(&queue, bytes.size, now_ns));
}

static void a_record_waits_for_company_but_not_for_ever(void **state)
{
    assert_int_equal(export_queue_due_ns(&queue), CLOCK_NEVER);
    receive(buf_span(&one), START);
    assert_int_equal(export_queue_due_ns(&queue), START + 500 * MS);
    receive(buf_span(&one), START + 100 * MS);
    assert_int_equal(export_queue_due_ns(&queue), START + 500 * MS);
    receive(buf_span(&one), START + 200 * MS);
    assert_int_equal(export_queue_due_ns(&queue), 0); /* a batch is full */
}

static void a_record_may_come_in_pieces(void **state)
{
    receive((struct span){one.data, 10}, START);
    assert_int_equal(queue.count, 0);
    assert_int_equal(export_queue_due_ns(&queue), CLOCK_NEVER);
    receive(span_after(buf_span(&one), 10), START);
    assert_int_equal(queue.count, 1);
}

static void nonsense_is_seen(void **state)
{
    struct room room = export_queue_room(&queue);
    memset(room.data, 0xff, 200);
    assert_false(export_queue_received(&queue, 200, START));
}

static void what_was_taken_leaves_and_the_next_has_its_time(void **state)
{
    for (int i = 0; i < 4; i++)
        receive(buf_span(&one), START);
    export_queue_begin(&queue, 3 * one.size, 3);
    assert_int_equal(export_queue_due_ns(&queue), CLOCK_NEVER);
    export_queue_end(&queue, EXPORT_TAKEN, 0, START + 50 * MS);
    assert_int_equal(queue.exported, 3);
    assert_int_equal(queue.count, 1);
    assert_int_equal(queue.records.size, one.size);
    assert_int_equal(export_queue_due_ns(&queue), START + 550 * MS);
}

static void a_busy_collector_is_asked_again_with_doubling_pauses(void **state)
{
    uint64_t now_ns = START, pause_ms = EXPORT_BACK_OFF_MS;
    receive(buf_span(&one), now_ns);
    for (unsigned i = 0; i + 1 < EXPORT_ATTEMPTS; i++) {
        export_queue_begin(&queue, one.size, 1);
        export_queue_end(&queue, EXPORT_LATER, 0, now_ns);
        assert_int_equal(export_queue_due_ns(&queue), now_ns + pause_ms * MS);
        now_ns = export_queue_due_ns(&queue);
        pause_ms = pause_ms * 2 < EXPORT_BACK_OFF_MAX_MS ? pause_ms * 2 : EXPORT_BACK_OFF_MAX_MS;
    }
    assert_int_equal(queue.count, 1);
    export_queue_begin(&queue, one.size, 1);
    export_queue_end(&queue, EXPORT_LATER, 0, now_ns);
    assert_int_equal(queue.lost, 1); /* given up */
    assert_int_equal(queue.count, 0);
}

static void the_collector_may_say_when(void **state)
{
    receive(buf_span(&one), START);
    export_queue_begin(&queue, one.size, 1);
    export_queue_end(&queue, EXPORT_LATER, 7000, START);
    assert_int_equal(export_queue_due_ns(&queue), START + 7000 * MS);
    export_queue_begin(&queue, one.size, 1);
    export_queue_end(&queue, EXPORT_LATER, 3600000, START);
    assert_int_equal(export_queue_due_ns(&queue), START + EXPORT_BACK_OFF_MAX_MS * MS);
}

static void what_is_refused_is_lost_at_once(void **state)
{
    receive(buf_span(&one), START);
    export_queue_begin(&queue, one.size, 1);
    export_queue_end(&queue, EXPORT_REFUSED, 0, START);
    assert_int_equal(queue.lost, 1);
    assert_int_equal(export_queue_due_ns(&queue), CLOCK_NEVER);
}

/* At the end of the line there is one try, and no company to wait for. */
static void the_last_ones_hurry(void **state)
{
    receive(buf_span(&one), START);
    queue.hurried = true;
    assert_int_equal(export_queue_due_ns(&queue), 0);
    export_queue_begin(&queue, one.size, 1);
    export_queue_end(&queue, EXPORT_LATER, 0, START);
    assert_int_equal(queue.lost, 1);
}

static void a_full_queue_takes_no_more(void **state)
{
    static char many[EXPORT_READ_BYTES];
    size_t size = 0, received = 0;
    while (size + one.size <= sizeof many) {
        memcpy(many + size, one.data, one.size);
        size += one.size;
    }
    while (export_queue_room(&queue).size) {
        receive((struct span){many, size}, START);
        received += size;
    }
    assert_in_range(received, EXPORT_QUEUE_BYTES - 2 * EXPORT_READ_BYTES, EXPORT_QUEUE_BYTES);
    export_queue_begin(&queue, received, queue.count);
    export_queue_end(&queue, EXPORT_TAKEN, 0, START);
    assert_true(export_queue_room(&queue).size > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_record_waits_for_company_but_not_for_ever, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_record_may_come_in_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_is_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_taken_leaves_and_the_next_has_its_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_busy_collector_is_asked_again_with_doubling_pauses, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_collector_may_say_when, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_refused_is_lost_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_ones_hurry, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_queue_takes_no_more, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
