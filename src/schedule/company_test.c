/* When a slot waits for company; and what that does for clients that each wait for their answer. */
#include "schedule/company.h"

#include "base/clock.h"
#include "schedule/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { US = 1000, EXECUTION = 1600 * US, GAP = EXECUTION / 16 };

static const struct company_view one_waits = {
    .waiting_rows = 1, .slots = 1, .most_rows = 64, .execution_ns = EXECUTION};

static void it_waits_while_one_comes_after_the_other(void **state)
{
    struct company company = {0};
    struct company_view view = one_waits;
    company_answered(&company, 3, 1000 * US);
    company_came(&company, 1, 1050 * US);
    assert_int_equal(company_until_ns(&company, &view, 1050 * US), 1050 * US + GAP);
    company_came(&company, 1, 1100 * US);
    view.waiting_rows = 2;
    assert_int_equal(company_until_ns(&company, &view, 1100 * US), 1100 * US + GAP);
    company_came(&company, 1, 1110 * US); /* all are back */
    view.waiting_rows = 3;
    assert_int_equal(company_until_ns(&company, &view, 1110 * US), 0);
}

static void it_does_not_wait_for_those_who_do_not_come(void **state)
{
    struct company company = {0};
    company_answered(&company, 3, 1000 * US);
    company_came(&company, 1, 1050 * US);
    assert_int_equal(company_until_ns(&company, &one_waits, 1050 * US), 1050 * US + GAP);
    assert_int_equal(company_until_ns(&company, &one_waits, 1050 * US + GAP), 0);
    company_came(&company, 1, 9000 * US); /* and not again */
    assert_int_equal(company_until_ns(&company, &one_waits, 9000 * US), 0);
}

static void it_does_not_wait_for_long(void **state)
{
    struct company company = {0};
    struct company_view view = one_waits;
    uint64_t now_ns = 1000 * US;
    company_answered(&company, 60, now_ns);
    for (; now_ns < 1000 * US + EXECUTION / 4; now_ns += GAP / 2) {
        company_came(&company, 1, now_ns);
        assert_true(company_until_ns(&company, &view, now_ns) <= 1000 * US + EXECUTION / 4);
        view.waiting_rows++;
    }
    company_came(&company, 1, now_ns);
    assert_int_equal(company_until_ns(&company, &view, now_ns), 0);
}

static void it_takes_its_share(void **state)
{
    struct company company = {0};
    struct company_view view = {.waiting_rows = 3,
                                .running_rows = 4,
                                .slots = 2,
                                .most_rows = 64,
                                .execution_ns = EXECUTION};
    company_answered(&company, 1, 1000 * US); /* eight rows are about: four for each slot */
    assert_int_equal(company_until_ns(&company, &view, 1000 * US), 1000 * US + GAP);
    view.waiting_rows = 5; /* of ten */
    assert_int_equal(company_until_ns(&company, &view, 1000 * US), 0);
    view.waiting_rows = 3;
    view.most_rows = 3; /* more are not made */
    assert_int_equal(company_until_ns(&company, &view, 1000 * US), 0);
}

static void short_executions_do_not_wait(void **state)
{
    struct company company = {0};
    struct company_view view = one_waits;
    company_answered(&company, 10, 1000 * US);
    view.execution_ns = 300 * US;
    assert_int_equal(company_until_ns(&company, &view, 1000 * US), 0);
    view.execution_ns = 0; /* nobody knows */
    assert_int_equal(company_until_ns(&company, &view, 1000 * US), 0);
}

/* ---- clients in a closed loop ---- */

enum { CLIENTS = 32, SLOTS = 2, BACK_US = 60, APART_US = 8, SECONDS = 4 };

struct client {
    struct queue_entry entry;
    uint64_t comes_ns; /* CLOCK_NEVER: waits for an answer */
};

struct execution {
    struct schedule_run run;
    struct client *clients[CLIENTS];
    size_t count;
    uint64_t ends_ns; /* CLOCK_NEVER: none runs */
};

struct loop {
    struct schedule schedule;
    struct client clients[CLIENTS];
    struct execution slots[SLOTS];
    uint64_t now_ns, wake_ns, answered;
};

static bool joins(const struct queue_entry *a, const struct queue_entry *b)
{
    return true;
}

/* How many slots are free, and one of them. */
static size_t free_slots(struct loop *loop, struct execution **ret_slot)
{
    size_t count = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        if (loop->slots[i].ends_ns != CLOCK_NEVER)
            continue;
        *ret_slot = &loop->slots[i];
        count++;
    }
    return count;
}

/* A model that is bound by its weights: a row costs little beside others. */
static void execute(struct loop *loop, struct execution *slot, const struct schedule_batch *batch)
{
    slot->count = batch->count;
    for (size_t i = 0; i < batch->count; i++)
        slot->clients[i] = list_entry(batch->entries[i], struct client, entry);
    slot->ends_ns = loop->now_ns + (900 + 95 * batch->rows) * US;
    schedule_start(&loop->schedule, &slot->run, batch->count, batch->rows, loop->now_ns);
}

static void dispatch(struct loop *loop)
{
    struct schedule_batch batch;
    struct execution *slot;
    size_t room;
    loop->wake_ns = CLOCK_NEVER;
    while ((room = free_slots(loop, &slot)) > 0) {
        schedule_take(&loop->schedule, loop->now_ns, room, &batch);
        loop->wake_ns = batch.wake_ns;
        if (batch.count == 0)
            return;
        execute(loop, slot, &batch);
    }
}

static void end(struct loop *loop, struct execution *slot)
{
    slot->ends_ns = CLOCK_NEVER;
    schedule_end(&loop->schedule, &slot->run, false, loop->now_ns);
    for (size_t i = 0; i < slot->count; i++)
        slot->clients[i]->comes_ns = loop->now_ns + (BACK_US + (i + 1) * APART_US) * US;
    loop->answered += slot->count;
}

static void come(struct loop *loop, struct client *client)
{
    uint64_t retry_ns;
    client->comes_ns = CLOCK_NEVER;
    client->entry = (struct queue_entry){.rows = 1, .level = 1, .deadline_ns = CLOCK_NEVER};
    assert_int_equal(schedule_submit(&loop->schedule, &client->entry, loop->now_ns, &retry_ns),
                     SCHEDULE_ADMITTED);
}

static uint64_t next_ns(const struct loop *loop)
{
    uint64_t next = loop->wake_ns;
    for (size_t i = 0; i < SLOTS; i++)
        next = loop->slots[i].ends_ns < next ? loop->slots[i].ends_ns : next;
    for (size_t i = 0; i < CLIENTS; i++)
        next = loop->clients[i].comes_ns < next ? loop->clients[i].comes_ns : next;
    return next;
}

/* Rows for each execution, with so many clients. */
static double rows_of_an_execution(size_t clients)
{
    static struct loop loop;
    const struct schedule_policy policy = {.queue_limit = 100, .patience_ns = CLOCK_NS_PER_S};
    uint64_t executions = 0;
    memset(&loop, 0, sizeof loop);
    schedule_init(&loop.schedule, &policy, joins);
    schedule_set_model(&loop.schedule, 64, SLOTS);
    for (size_t i = 0; i < SLOTS; i++)
        loop.slots[i].ends_ns = CLOCK_NEVER;
    for (size_t i = 0; i < CLIENTS; i++)
        loop.clients[i].comes_ns = i < clients ? (i + 1) * APART_US * US : CLOCK_NEVER;
    loop.wake_ns = CLOCK_NEVER;
    while ((loop.now_ns = next_ns(&loop)) < SECONDS * CLOCK_NS_PER_S) {
        for (size_t i = 0; i < SLOTS; i++) {
            if (loop.slots[i].ends_ns == loop.now_ns) {
                end(&loop, &loop.slots[i]);
                executions++;
            }
        }
        for (size_t i = 0; i < CLIENTS; i++) {
            if (loop.clients[i].comes_ns == loop.now_ns)
                come(&loop, &loop.clients[i]);
        }
        dispatch(&loop);
    }
    return (double)loop.answered / (double)executions;
}

static void clients_that_come_back_are_executed_together(void **state)
{
    double rows = rows_of_an_execution(CLIENTS);
    assert_true(rows > 14 && rows <= 17); /* half of them, for each of two slots */
    assert_true(rows_of_an_execution(1) <= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_waits_while_one_comes_after_the_other),
        cmocka_unit_test(it_does_not_wait_for_those_who_do_not_come),
        cmocka_unit_test(it_does_not_wait_for_long),
        cmocka_unit_test(it_takes_its_share),
        cmocka_unit_test(short_executions_do_not_wait),
        cmocka_unit_test(clients_that_come_back_are_executed_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
