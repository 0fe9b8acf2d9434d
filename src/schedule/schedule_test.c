/* Unit tests of schedule/schedule.h: who is let in, what runs together, whose turn it is. What must
 * hold whatever happens is the simulator's. */
#include "schedule/schedule.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MS = 1000000, REQUESTS = 300 };

static const struct schedule_policy plain = {
    .levels = 3,
    .queue_limit = 200,
    .patience_ns = 1000 * (uint64_t)MS,
    .aging_ns = 10000 * (uint64_t)MS,
    .grace_ns = 50 * (uint64_t)MS,
};

struct request {
    struct queue_entry entry;
    int shape;
};

static struct schedule schedule;
static struct request requests[REQUESTS];
static size_t count;
static uint64_t now_ns, retry_ns;
static struct schedule_batch batch;

static bool same_shape(const struct queue_entry *a, const struct queue_entry *b)
{
    return list_entry(a, struct request, entry)->shape ==
           list_entry(b, struct request, entry)->shape;
}

static void begin(const struct schedule_policy *policy, uint64_t max_rows, uint64_t slots)
{
    schedule_init(&schedule, policy, same_shape);
    schedule_set_model(&schedule, max_rows, slots);
    count = 0;
    now_ns = 1000 * (uint64_t)MS;
}

/* The model is known: a row takes 1 ms, whatever the batch, so that larger ones are cheaper. */
static void know(uint64_t max_rows)
{
    struct learner_point points[LEARNER_SIZES];
    size_t known = 0;
    for (uint32_t rows = 1; rows <= max_rows; rows *= 2)
        points[known++] = (struct learner_point){rows, 1, (float)MS / (float)rows};
    learner_restore(&schedule.learner, points, known);
}

static int set_up(void **state)
{
    begin(&plain, 8, 1);
    know(8);
    return 0;
}

/* The next request, of one row, of caller 0, without deadline. */
static struct request *make(void)
{
    requests[count] = (struct request){.entry = {.rows = 1, .level = 2}};
    requests[count].entry.deadline_ns = CLOCK_NEVER;
    return &requests[count++];
}

static enum schedule_verdict submit(struct request *request)
{
    return schedule_submit(&schedule, &request->entry, now_ns, &retry_ns);
}

static struct request *add(void)
{
    struct request *request = make();
    assert_int_equal(submit(request), SCHEDULE_ADMITTED);
    return request;
}

static void add_many(size_t number)
{
    for (size_t i = 0; i < number; i++)
        add();
}

static size_t take(uint64_t room)
{
    schedule_take(&schedule, now_ns, room, &batch);
    return batch.count;
}

static void assert_first(const struct request *request)
{
    assert_true(batch.count > 0);
    assert_ptr_equal(batch.entries[0], &request->entry);
}

/* ---- batches ---- */

static void an_empty_queue_gives_nothing(void **state)
{
    assert_int_equal(take(1), 0);
    assert_int_equal(batch.wake_ns, CLOCK_NEVER);
}

static void what_waits_goes_up_to_the_largest_batch(void **state)
{
    add_many(10);
    assert_int_equal(take(0), 0);
    assert_int_equal(take(1), 8);
    assert_first(&requests[0]);
    assert_int_equal(take(1), 2);
}

static void free_slots_take_their_parts(void **state)
{
    begin(&plain, 8, 2);
    know(8);
    add_many(6);
    assert_int_equal(take(2), 3);
    assert_int_equal(take(1), 3);
}

static void a_model_that_is_not_known_is_given_what_waits(void **state)
{
    begin(&plain, 8, 1);
    add_many(6);
    assert_int_equal(take(1), 6);
}

static void a_model_that_likes_single_rows_gets_them(void **state)
{
    struct learner_point points[] = {{1, 1, MS}, {4, 1, 2 * MS}};
    begin(&plain, 8, 1);
    learner_restore(&schedule.learner, points, 2);
    add_many(6);
    assert_int_equal(take(1), 1);
}

static void without_batching_requests_go_alone(void **state)
{
    begin(&plain, 0, 1);
    add_many(2);
    assert_int_equal(take(1), 1);
}

static void rows_count_and_not_requests(void **state)
{
    for (int i = 0; i < 3; i++) {
        struct request *request = make();
        request->entry.rows = 3;
        submit(request);
    }
    assert_int_equal(take(1), 2); /* a third would make it nine */
    assert_int_equal(batch.rows, 6);
    make()->entry.rows = 100;
    submit(&requests[3]);
    assert_int_equal(take(1), 1);
    assert_int_equal(take(1), 1); /* more than a batch, alone */
}

static void others_are_passed_over_and_keep_their_turn(void **state)
{
    for (int i = 0; i < 5; i++) {
        struct request *request = make();
        request->shape = i % 2;
        submit(request);
    }
    assert_int_equal(take(1), 3);
    assert_int_equal(take(1), 2);
    assert_first(&requests[1]);
}

static void what_runs_alone_joins_nobody(void **state)
{
    add();
    make()->entry.alone = true;
    submit(&requests[1]);
    add();
    assert_int_equal(take(1), 2);
    assert_int_equal(take(1), 1);
    assert_first(&requests[1]);
}

static void what_is_put_back_is_next(void **state)
{
    add_many(12);
    assert_int_equal(take(1), 8);
    for (size_t i = 8; i-- > 3;)
        schedule_put_back(&schedule, batch.entries[i]);
    assert_int_equal(take(1), 8);
    assert_first(&requests[3]);
    assert_ptr_equal(batch.entries[7], &requests[10].entry);
}

static void a_delay_is_waited_for_company(void **state)
{
    struct schedule_policy policy = plain;
    policy.delay_ns = 5 * MS;
    begin(&policy, 4, 1);
    add_many(3);
    assert_int_equal(take(1), 0);
    assert_int_equal(batch.wake_ns, now_ns + 5 * MS);
    add();
    assert_int_equal(take(1), 4); /* it is full */
    add();
    now_ns += 5 * MS;
    assert_int_equal(take(1), 1); /* it has waited */
}

static void a_delay_does_not_cost_a_deadline(void **state)
{
    struct schedule_policy policy = plain;
    policy.delay_ns = 500 * (uint64_t)MS;
    begin(&policy, 4, 1);
    know(4);
    make()->entry.deadline_ns = now_ns + 20 * MS;
    submit(&requests[0]);
    assert_int_equal(take(1), 0);
    assert_true(batch.wake_ns > now_ns && batch.wake_ns < now_ns + 20 * MS);
    now_ns = batch.wake_ns;
    assert_int_equal(take(1), 1);
}

static void preferred_sizes_are_made(void **state)
{
    struct schedule_policy policy = plain;
    policy.preferred_rows[0] = 2;
    policy.preferred_rows[1] = 4;
    policy.preferred_count = 2;
    policy.delay_ns = 5 * MS;
    begin(&policy, 8, 1);
    add_many(7);
    assert_int_equal(take(1), 4);
    assert_int_equal(take(1), 2);
    assert_int_equal(take(1), 0); /* one is no preferred size */
    now_ns = batch.wake_ns;
    assert_int_equal(take(1), 1);
}

static void a_preserved_order_runs_one_batch_at_a_time(void **state)
{
    struct schedule_policy policy = plain;
    struct schedule_run run;
    policy.preserve_order = true;
    begin(&policy, 2, 4);
    for (int i = 0; i < 3; i++) {
        struct request *request = make();
        request->entry.caller.id = (uint32_t)i;
        request->shape = i == 1;
        submit(request);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(take(4), 1); /* and does not pass over the second */
        assert_first(&requests[i]);
        schedule_start(&schedule, &run, 1, 1, now_ns);
        assert_int_equal(take(3), 0);
        schedule_end(&schedule, &run, false, now_ns + 1);
    }
}

/* ---- turns ---- */

static void callers_take_turns_by_weight(void **state)
{
    size_t taken[2] = {0};
    begin(&plain, 0, 1);
    for (int i = 0; i < 100; i++) {
        struct request *request = make();
        request->entry.caller.id = i >= 60; /* the first caller has more, and came first */
        request->entry.weight = i >= 60 ? 3 : 1;
        submit(request);
    }
    for (int i = 0; i < 40; i++) {
        take(1);
        taken[batch.entries[0]->caller.id]++;
    }
    assert_in_range(taken[0], 9, 12);
    assert_in_range(taken[1], 28, 31);
}

static void who_comes_late_does_not_catch_up(void **state)
{
    size_t taken[2] = {0};
    begin(&plain, 0, 1);
    add_many(100);
    for (int i = 0; i < 50; i++)
        take(1);
    for (int i = 0; i < 40; i++) {
        make()->entry.caller.id = 1;
        submit(&requests[count - 1]);
    }
    for (int i = 0; i < 20; i++) {
        take(1);
        taken[batch.entries[0]->caller.id]++;
    }
    assert_in_range(taken[0], 9, 11);
}

static void more_callers_than_are_told_apart_are_all_served(void **state)
{
    bool served[100] = {false};
    begin(&plain, 0, 1);
    for (uint32_t i = 0; i < 100; i++) {
        make()->entry.caller.id = i;
        submit(&requests[i]);
    }
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(take(1), 1);
        served[batch.entries[0]->caller.id] = true;
    }
    for (size_t i = 0; i < 100; i++)
        assert_true(served[i]);
}

static void a_higher_priority_goes_first_for_a_while(void **state)
{
    begin(&plain, 0, 1);
    struct request *low = make();
    low->entry.level = 3;
    submit(low);
    now_ns += 9000 * (uint64_t)MS;
    struct request *high = make();
    high->entry.level = 2;
    submit(high);
    take(1);
    assert_first(high);
    now_ns += 2000 * (uint64_t)MS; /* a level is worth ten seconds */
    high = make();
    high->entry.level = 2;
    submit(high);
    take(1);
    assert_first(low);
}

static void deadlines_decide_among_equals(void **state)
{
    begin(&plain, 0, 1);
    add();
    make()->entry.deadline_ns = now_ns + 500 * (uint64_t)MS;
    submit(&requests[1]);
    make()->entry.deadline_ns = now_ns + 100 * (uint64_t)MS;
    submit(&requests[2]);
    take(1);
    assert_first(&requests[2]);
    take(1);
    assert_first(&requests[1]);
    take(1);
    assert_first(&requests[0]);
}

/* ---- who is let in ---- */

static void a_full_queue_refuses_and_says_when_to_come_back(void **state)
{
    begin(&plain, 0, 1);
    know(1);
    add_many(200);
    assert_int_equal(submit(make()), SCHEDULE_FULL);
    assert_int_equal(retry_ns, 200 * MS);
    take(1);
    assert_int_equal(submit(make()), SCHEDULE_ADMITTED);
}

static void a_level_may_have_a_bound_of_its_own(void **state)
{
    struct schedule_policy policy = plain;
    policy.rules[0] = (struct policy_rule){.level = 3, .queue_size = 1};
    policy.rule_count = 1;
    begin(&policy, 0, 1);
    add_many(3);
    make()->entry.level = 3;
    assert_int_equal(submit(&requests[3]), SCHEDULE_ADMITTED);
    make()->entry.level = 3;
    assert_int_equal(submit(&requests[4]), SCHEDULE_FULL);
}

/* It came before anybody knew that the model counts no rows. */
static void what_is_counted_anew_is_not_too_late_any_more(void **state)
{
    begin(&plain, 0, 1); /* nothing is known */
    struct request *large = make();
    large->entry.rows = 1000;
    large->entry.deadline_ns = now_ns + 100 * (uint64_t)MS;
    assert_int_equal(submit(large), SCHEDULE_ADMITTED);
    know(1);
    add();
    schedule_recount(&schedule, &large->entry, 1, false);
    assert_int_equal(schedule_backlog_ns(&schedule), 2 * MS);
    assert_int_equal(take(1), 1);
    assert_first(large);
    assert_int_equal(batch.late_count, 0);
}

/* One execution each, and as far as is known none takes longer than a batch does. */
static void requests_of_many_rows_are_not_foreseen_to_take_long(void **state)
{
    begin(&plain, 8, 1);
    schedule.policy.wait_limit_ns = 100 * (uint64_t)MS;
    know(1);
    for (int i = 0; i < 20; i++) {
        struct request *large = make();
        large->entry.rows = 1000000;
        assert_int_equal(submit(large), SCHEDULE_ADMITTED);
    }
    assert_true(schedule_backlog_ns(&schedule) <= 20 * (uint64_t)MS);
    assert_int_equal(submit(make()), SCHEDULE_ADMITTED);
    for (int i = 0; i < 21; i++)
        assert_int_equal(take(1), 1);
}

/* Then it is known what they take. */
static void requests_of_many_rows_that_take_long_are(void **state)
{
    struct schedule_run run;
    begin(&plain, 8, 1);
    know(1);
    for (int i = 0; i < 3; i++) {
        schedule_start(&schedule, &run, 1, 1000, now_ns);
        now_ns += 80 * MS;
        schedule_end(&schedule, &run, false, now_ns);
    }
    struct request *large = make();
    large->entry.rows = 1000;
    assert_int_equal(submit(large), SCHEDULE_ADMITTED);
    assert_in_range(schedule_backlog_ns(&schedule), 70 * MS, 90 * MS);
}

static void what_would_be_too_late_is_refused_at_once(void **state)
{
    begin(&plain, 0, 1);
    know(1);
    make()->entry.deadline_ns = now_ns + 1;
    assert_int_equal(submit(&requests[0]),
                     SCHEDULE_ADMITTED); /* nothing is before it: it may try */
    schedule_leave(&schedule, &requests[0].entry);
    add_many(50);
    make()->entry.deadline_ns = now_ns + 900 * MS;
    assert_int_equal(submit(&requests[count - 1]), SCHEDULE_ADMITTED); /* it goes before them */
    make()->entry.deadline_ns = now_ns + 100 * MS;
    requests[count - 1].entry.level = 3;
    assert_int_equal(submit(&requests[count - 1]), SCHEDULE_ADMITTED);
    make()->entry.deadline_ns = now_ns + 30 * MS;
    requests[count - 1].entry.level = 3;
    assert_int_equal(submit(&requests[count - 1]), SCHEDULE_LATE); /* 51 before it */
    assert_int_equal(retry_ns, (51 + 1 - 30) * MS + 52 * MS / 4);  /* and a quarter to spare */
}

/* Where waits are often longer than foreseen, much is allowed for that; not of who is next. */
static void who_is_next_need_not_allow_for_more(void **state)
{
    struct schedule_run run;
    begin(&plain, 0, 1);
    know(1);
    for (int i = 0; i < 100; i++)
        allowance_learn(&schedule.allowance, 1, 1000);
    schedule_start(&schedule, &run, 1, 0, now_ns);
    make()->entry.deadline_ns = now_ns + 2 * MS; /* 0.5 until the slot is free, 1 to run */
    assert_int_equal(submit(&requests[0]), SCHEDULE_ADMITTED);
    make()->entry.deadline_ns = now_ns + 3 * MS;
    assert_int_equal(submit(&requests[1]), SCHEDULE_LATE);
}

static void what_is_ahead_of_its_turn_is_waited_for(void **state)
{
    struct schedule_run running, ahead;
    begin(&plain, 0, 1);
    know(1);
    schedule_start(&schedule, &running, 1, 1, now_ns);
    schedule_start(&schedule, &ahead, 1, 1, now_ns);
    assert_int_equal(schedule_waiting(&schedule), 1);
    make()->entry.deadline_ns = now_ns + 2 * MS; /* 0.5 for the slot, 1 for that, 1 to run */
    assert_int_equal(submit(&requests[0]), SCHEDULE_LATE);
    add()->entry.deadline_ns = now_ns + 2 * MS;
    assert_int_equal(schedule_waiting(&schedule), 2);
    assert_int_equal(schedule_lateness_ns(&schedule, &requests[1].entry, now_ns), MS / 2);
    schedule_end(&schedule, &running, true, now_ns);
    assert_int_equal(schedule_lateness_ns(&schedule, &requests[1].entry, now_ns), 0);
}

/* How long it waited is known when its slot is free, and not when it is handed over. */
static void what_went_ahead_teaches_when_it_begins(void **state)
{
    struct schedule_run running, next;
    begin(&plain, 0, 1);
    know(1);
    schedule_start(&schedule, &running, 1, 1, now_ns);
    make()->entry.deadline_ns = now_ns + 2 * MS;
    assert_int_equal(submit(&requests[0]), SCHEDULE_ADMITTED); /* to wait for half an execution */
    double before = schedule.allowance.more;
    assert_int_equal(take(1), 1);
    schedule_start(&schedule, &next, 1, 1, now_ns);
    assert_true(schedule.allowance.more == before);
    now_ns += MS;
    schedule_end(&schedule, &running, true, now_ns);
    schedule_begin(&schedule, &next, now_ns);
    assert_true(schedule.allowance.more > before);
    before = schedule.allowance.more;
    schedule_end(&schedule, &next, true, now_ns);
    assert_true(schedule.allowance.more == before);
}

/* Where requests may be joined, they are handed over when a slot is free, and not before. */
static void what_runs_one_by_one_goes_ahead(void **state)
{
    struct learner_point single[] = {{1, 1, MS}, {4, 1, 2 * MS}};
    struct schedule_policy policy = plain;
    begin(&policy, 0, 1);
    assert_true(schedule_goes_ahead(&schedule));
    begin(&policy, 8, 1);
    assert_false(schedule_goes_ahead(&schedule)); /* nothing is known of it */
    learner_restore(&schedule.learner, single, 2);
    assert_true(schedule_goes_ahead(&schedule));
    policy.delay_ns = MS;
    begin(&policy, 8, 1);
    learner_restore(&schedule.learner, single, 2);
    assert_false(schedule_goes_ahead(&schedule));
    policy = plain;
    policy.need_count = 1;
    begin(&policy, 0, 1);
    assert_false(schedule_goes_ahead(&schedule)); /* others may need it meanwhile */
}

static void waits_may_be_bounded(void **state)
{
    struct schedule_policy policy = plain;
    policy.wait_limit_ns = 10 * MS;
    begin(&policy, 0, 1);
    know(1);
    add_many(11);
    assert_int_equal(submit(make()), SCHEDULE_LONG);
    assert_int_equal(retry_ns, 1 * MS);
}

/* ---- time ---- */

static void deadlines_end_waiting(void **state)
{
    struct request *request = make();
    request->entry.deadline_ns = now_ns + 5 * MS;
    submit(request);
    assert_int_equal(schedule_expires_ns(&request->entry), now_ns + 5 * MS);
    assert_int_equal(schedule_expire(&schedule, &request->entry, now_ns), SCHEDULE_WAITS);
    now_ns += 5 * MS;
    assert_int_equal(schedule_expire(&schedule, &request->entry, now_ns), SCHEDULE_TOO_LATE);
    assert_int_equal(take(1), 0);
}

static void timeouts_end_waiting_or_make_it_longer(void **state)
{
    struct schedule_policy policy = plain;
    policy.rules[0] = (struct policy_rule){.timeout_ns = 9 * MS, .override = true};
    policy.rules[1] = (struct policy_rule){.level = 3, .timeout_ns = 9 * MS};
    policy.rules[1].action = POLICY_DELAY;
    policy.rule_count = 2;
    begin(&policy, 0, 1);
    struct request *shorter = make(), *rejected = add(), *delayed = make();
    shorter->entry.timeout_ns = 3 * MS;
    delayed->entry.timeout_ns = 3 * MS; /* no override there */
    delayed->entry.level = 3;
    submit(shorter);
    submit(delayed);
    assert_int_equal(schedule_expires_ns(&shorter->entry), now_ns + 3 * MS);
    assert_int_equal(schedule_expires_ns(&delayed->entry), now_ns + 9 * MS);
    now_ns += 9 * MS;
    assert_int_equal(schedule_expire(&schedule, &rejected->entry, now_ns), SCHEDULE_TIMED_OUT);
    assert_int_equal(schedule_expire(&schedule, &delayed->entry, now_ns), SCHEDULE_WAITS);
    assert_int_equal(schedule_expires_ns(&delayed->entry), CLOCK_NEVER);
    take(1);
    assert_int_equal(batch.late_count, 1); /* nobody called schedule_expire for it */
    assert_ptr_equal(batch.late[0], &shorter->entry);
    assert_first(delayed);
}

static void what_cannot_end_in_time_is_refused_when_its_turn_comes(void **state)
{
    begin(&plain, 0, 1);
    know(1);
    make()->entry.deadline_ns = now_ns + 2 * MS;
    submit(&requests[0]);
    add();
    now_ns += MS + MS / 2;
    assert_int_equal(take(1), 1);
    assert_first(&requests[1]);
    assert_int_equal(batch.late_count, 1);
    make()->entry.deadline_ns = now_ns + 1;
    submit(&requests[2]);
    assert_int_equal(take(1), 1); /* there is nothing else to do */
    assert_first(&requests[2]);
}

static void a_running_request_is_cancelled_then_its_worker_replaced(void **state)
{
    uint64_t next, deadline = now_ns + 5 * MS;
    assert_int_equal(schedule_watch(&schedule, deadline, 0, now_ns, &next), SCHEDULE_GO_ON);
    assert_int_equal(next, deadline);
    assert_int_equal(schedule_watch(&schedule, deadline, 0, deadline, &next), SCHEDULE_CANCEL);
    assert_int_equal(schedule_watch(&schedule, deadline, now_ns, now_ns, &next), SCHEDULE_GO_ON);
    assert_int_equal(next, now_ns + 50 * MS);
    assert_int_equal(schedule_watch(&schedule, deadline, now_ns, next, &next), SCHEDULE_REPLACE);
}

static void executions_teach(void **state)
{
    struct schedule_run a, b, c;
    begin(&plain, 8, 2);
    for (int i = 0; i < 3; i++) {
        schedule_start(&schedule, &a, 1, 4, now_ns);
        schedule_start(&schedule, &b, 1, 4, now_ns);
        schedule_start(&schedule, &c, 1, 4, now_ns);
        schedule_end(&schedule, &c, true, now_ns); /* its worker died: nothing is learned */
        now_ns += 8 * MS;
        schedule_end(&schedule, &a, false, now_ns);
        schedule_end(&schedule, &b, false, now_ns);
    }
    assert_int_equal(schedule.running, 0);
    assert_int_equal(schedule.learner.executions, 6);
    assert_int_equal(learner_execution_ns(&schedule.learner, 4), 8 * MS);
}

/* What waits for a slot with its worker makes nobody else's execution shorter, nor its own longer.
 */
static void time_ahead_of_the_turn_does_not_count(void **state)
{
    struct schedule_run running, ahead;
    begin(&plain, 0, 1);
    schedule_start(&schedule, &running, 1, 1, now_ns);
    for (int i = 0; i < 5; i++) {
        schedule_start(&schedule, &ahead, 1, 1, now_ns);
        now_ns += 8 * MS;
        schedule_end(&schedule, &running, false, now_ns);
        schedule_begin(&schedule, &ahead, now_ns);
        running = ahead;
        assert_int_equal(schedule_busy_ns(&schedule, now_ns), (i + 1) * 8 * MS);
    }
    assert_int_equal(learner_execution_ns(&schedule.learner, 1), 8 * MS);
}

/* Executions of 8 ms each, and so much time between them, in which requests wait. */
static uint64_t cost_with_gaps_ns(uint64_t gap_ns)
{
    begin(&plain, 8, 1);
    add();
    for (int i = 0; i < 4; i++) {
        struct schedule_run run;
        schedule_start(&schedule, &run, 1, 1, now_ns);
        now_ns += 8 * MS;
        schedule_end(&schedule, &run, false, now_ns);
        now_ns += gap_ns;
    }
    return learner_execution_ns(&schedule.learner, 1);
}

static void the_way_to_the_next_execution_is_counted(void **state)
{
    assert_int_equal(cost_with_gaps_ns(0), 8 * MS);
    assert_int_equal(cost_with_gaps_ns(2 * MS), 10 * MS);
    assert_int_equal(cost_with_gaps_ns(3 * MS), 8 * MS); /* that was something else */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_queue_gives_nothing, set_up),
        cmocka_unit_test_setup(what_waits_goes_up_to_the_largest_batch, set_up),
        cmocka_unit_test_setup(free_slots_take_their_parts, set_up),
        cmocka_unit_test_setup(a_model_that_is_not_known_is_given_what_waits, set_up),
        cmocka_unit_test_setup(a_model_that_likes_single_rows_gets_them, set_up),
        cmocka_unit_test_setup(without_batching_requests_go_alone, set_up),
        cmocka_unit_test_setup(rows_count_and_not_requests, set_up),
        cmocka_unit_test_setup(others_are_passed_over_and_keep_their_turn, set_up),
        cmocka_unit_test_setup(what_runs_alone_joins_nobody, set_up),
        cmocka_unit_test_setup(what_is_put_back_is_next, set_up),
        cmocka_unit_test_setup(a_delay_is_waited_for_company, set_up),
        cmocka_unit_test_setup(a_delay_does_not_cost_a_deadline, set_up),
        cmocka_unit_test_setup(preferred_sizes_are_made, set_up),
        cmocka_unit_test_setup(a_preserved_order_runs_one_batch_at_a_time, set_up),
        cmocka_unit_test_setup(callers_take_turns_by_weight, set_up),
        cmocka_unit_test_setup(who_comes_late_does_not_catch_up, set_up),
        cmocka_unit_test_setup(more_callers_than_are_told_apart_are_all_served, set_up),
        cmocka_unit_test_setup(a_higher_priority_goes_first_for_a_while, set_up),
        cmocka_unit_test_setup(deadlines_decide_among_equals, set_up),
        cmocka_unit_test_setup(a_full_queue_refuses_and_says_when_to_come_back, set_up),
        cmocka_unit_test_setup(a_level_may_have_a_bound_of_its_own, set_up),
        cmocka_unit_test_setup(what_is_counted_anew_is_not_too_late_any_more, set_up),
        cmocka_unit_test_setup(the_way_to_the_next_execution_is_counted, set_up),
        cmocka_unit_test_setup(requests_of_many_rows_are_not_foreseen_to_take_long, set_up),
        cmocka_unit_test_setup(requests_of_many_rows_that_take_long_are, set_up),
        cmocka_unit_test_setup(what_would_be_too_late_is_refused_at_once, set_up),
        cmocka_unit_test_setup(who_is_next_need_not_allow_for_more, set_up),
        cmocka_unit_test_setup(what_is_ahead_of_its_turn_is_waited_for, set_up),
        cmocka_unit_test_setup(what_went_ahead_teaches_when_it_begins, set_up),
        cmocka_unit_test_setup(what_runs_one_by_one_goes_ahead, set_up),
        cmocka_unit_test_setup(waits_may_be_bounded, set_up),
        cmocka_unit_test_setup(deadlines_end_waiting, set_up),
        cmocka_unit_test_setup(timeouts_end_waiting_or_make_it_longer, set_up),
        cmocka_unit_test_setup(what_cannot_end_in_time_is_refused_when_its_turn_comes, set_up),
        cmocka_unit_test_setup(a_running_request_is_cancelled_then_its_worker_replaced, set_up),
        cmocka_unit_test_setup(executions_teach, set_up),
        cmocka_unit_test_setup(time_ahead_of_the_turn_does_not_count, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
