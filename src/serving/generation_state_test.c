/* The state machine of generations: its ways one by one, then a random walk of all that may happen,
 * against what must always hold. */
#include "serving/generation_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct generation_state state;

static int set_up(void **unused)
{
    state = (struct generation_state){0};
    return 0;
}

/* A worker that is to start asks for room first, which there is. */
static enum generation_deed with_room(enum generation_deed deed, enum generation_deed expected)
{
    if (expected != GENERATION_START_WORKER && expected != GENERATION_START_PROBE)
        return deed;
    assert_int_equal(deed, GENERATION_ASK_ROOM);
    assert_int_equal(state.phase, GENERATION_WAITING);
    assert_true(generation_is_settling(&state));
    return generation_step(&state, GENERATION_ROOM).deed;
}

static void assert_step(enum generation_event event, enum generation_deed deed,
                        enum generation_phase phase)
{
    assert_int_equal(with_room(generation_step(&state, event).deed, deed), deed);
    assert_int_equal(state.phase, phase);
}

static uint64_t assert_end(enum generation_end how, uint64_t lived_ms, enum generation_deed deed,
                           enum generation_phase phase)
{
    struct generation_action action = generation_ended(&state, how, lived_ms);
    assert_int_equal(with_room(action.deed, deed), deed);
    assert_int_equal(state.phase, phase);
    return action.after_ms;
}

static void request_comes(enum generation_deed deed, enum generation_phase phase)
{
    state.queued++;
    assert_step(GENERATION_REQUEST, deed, phase);
}

static void make_ready(void)
{
    assert_step(GENERATION_LOAD, GENERATION_START_WORKER, GENERATION_LOADING);
    assert_true(generation_is_settling(&state));
    assert_step(GENERATION_LOADED, GENERATION_SETTLE, GENERATION_READY);
    assert_false(generation_is_settling(&state));
}

static void a_probe_leaves_it_cold(void **unused)
{
    assert_step(GENERATION_PROBE, GENERATION_START_PROBE, GENERATION_PROBING);
    assert_step(GENERATION_LOADED, GENERATION_SETTLE, GENERATION_PROBED);
    assert_end(GENERATION_END_DIED, 1, GENERATION_NOTHING, GENERATION_COLD);
    assert_false(state.served);
    request_comes(GENERATION_START_WORKER, GENERATION_LOADING);
}

static void a_request_during_the_probe_loads_it_afterwards(void **unused)
{
    assert_step(GENERATION_PROBE, GENERATION_START_PROBE, GENERATION_PROBING);
    request_comes(GENERATION_NOTHING, GENERATION_PROBING);
    assert_step(GENERATION_LOADED, GENERATION_SETTLE, GENERATION_PROBED);
    assert_end(GENERATION_END_DIED, 1, GENERATION_START_WORKER, GENERATION_LOADING);
}

static void a_request_while_the_probe_ends_loads_it_afterwards(void **unused)
{
    assert_step(GENERATION_PROBE, GENERATION_START_PROBE, GENERATION_PROBING);
    assert_step(GENERATION_LOADED, GENERATION_SETTLE, GENERATION_PROBED);
    request_comes(GENERATION_NOTHING, GENERATION_PROBED);
    assert_end(GENERATION_END_DIED, 1, GENERATION_START_WORKER, GENERATION_LOADING);
}

static void a_probe_that_dies_is_a_probe_again(void **unused)
{
    assert_step(GENERATION_PROBE, GENERATION_START_PROBE, GENERATION_PROBING);
    assert_end(GENERATION_END_DIED, 1, GENERATION_START_TIMER, GENERATION_RETRYING);
    assert_step(GENERATION_TIME, GENERATION_START_PROBE, GENERATION_PROBING);
    assert_end(GENERATION_END_DIED, 1, GENERATION_START_TIMER, GENERATION_RETRYING);
    request_comes(GENERATION_NOTHING, GENERATION_RETRYING);
    assert_step(GENERATION_TIME, GENERATION_START_WORKER, GENERATION_LOADING);
}

static void a_worker_that_dies_is_followed_by_another(void **unused)
{
    make_ready();
    uint64_t at_once =
        assert_end(GENERATION_END_DIED, 5, GENERATION_START_TIMER, GENERATION_RETRYING);
    assert_int_equal(at_once, 0);
    assert_true(state.served && generation_has_timer(&state) && generation_is_settling(&state));
    assert_step(GENERATION_TIME, GENERATION_START_WORKER, GENERATION_LOADING);
    uint64_t later =
        assert_end(GENERATION_END_DIED, 5, GENERATION_START_TIMER, GENERATION_RETRYING);
    assert_int_equal(later, GENERATION_BACK_OFF_MS);
}

static void replacing_a_worker_never_ends_it(void **unused)
{
    make_ready();
    for (unsigned i = 0; i < 2 * GENERATION_MAX_FAILURES; i++) {
        uint64_t wait_ms =
            assert_end(GENERATION_END_REPLACED, 5, GENERATION_START_TIMER, GENERATION_RETRYING);
        assert_int_equal(wait_ms, 0);
        assert_step(GENERATION_TIME, GENERATION_START_WORKER, GENERATION_LOADING);
        assert_step(GENERATION_LOADED, GENERATION_SETTLE, GENERATION_READY);
    }
}

static void a_load_while_the_probe_ends_is_not_lost(void **unused)
{
    assert_step(GENERATION_PROBE, GENERATION_START_PROBE, GENERATION_PROBING);
    assert_step(GENERATION_LOADED, GENERATION_SETTLE, GENERATION_PROBED);
    assert_false(generation_is_settling(&state));
    assert_step(GENERATION_LOAD, GENERATION_NOTHING, GENERATION_PROBED);
    assert_true(generation_is_settling(&state));
    assert_end(GENERATION_END_DIED, 1, GENERATION_START_WORKER, GENERATION_LOADING);
}

static void a_load_while_an_idle_one_ends_is_not_lost(void **unused)
{
    make_ready();
    assert_step(GENERATION_IDLE, GENERATION_STOP_WORKER, GENERATION_RESTING);
    assert_false(generation_is_settling(&state));
    assert_step(GENERATION_LOAD, GENERATION_NOTHING, GENERATION_RESTING);
    assert_true(generation_is_settling(&state));
    assert_end(GENERATION_END_DIED, 60000, GENERATION_START_WORKER, GENERATION_LOADING);
}

static void an_idle_one_rests_until_somebody_comes(void **unused)
{
    make_ready();
    assert_step(GENERATION_IDLE, GENERATION_STOP_WORKER, GENERATION_RESTING);
    assert_end(GENERATION_END_DIED, 60000, GENERATION_NOTHING, GENERATION_COLD);
    request_comes(GENERATION_START_WORKER, GENERATION_LOADING);
    assert_step(GENERATION_LOADED, GENERATION_SETTLE, GENERATION_READY);
    state.queued = 0;
    assert_step(GENERATION_IDLE, GENERATION_STOP_WORKER, GENERATION_RESTING);
    request_comes(GENERATION_NOTHING, GENERATION_RESTING);
    assert_end(GENERATION_END_DIED, 60000, GENERATION_START_WORKER, GENERATION_LOADING);
}

static void deaths_in_a_row_end_it(void **unused)
{
    uint64_t last = 0;
    make_ready();
    for (unsigned i = 1; i < GENERATION_MAX_FAILURES; i++) {
        uint64_t wait_ms =
            assert_end(GENERATION_END_DIED, 5, GENERATION_START_TIMER, GENERATION_RETRYING);
        assert_true(wait_ms >= last && wait_ms <= GENERATION_BACK_OFF_MAX_MS);
        last = wait_ms;
        assert_step(GENERATION_TIME, GENERATION_START_WORKER, GENERATION_LOADING);
        assert_step(GENERATION_LOADED, GENERATION_SETTLE, GENERATION_READY);
    }
    request_comes(GENERATION_NOTHING, GENERATION_READY);
    assert_end(GENERATION_END_DIED, 5, GENERATION_GIVE_UP, GENERATION_FAILED);
    assert_int_equal(state.queued, 0);
    assert_false(state.served);
}

static void deaths_far_apart_do_not(void **unused)
{
    make_ready();
    for (unsigned i = 0; i < 3 * GENERATION_MAX_FAILURES; i++) {
        assert_end(GENERATION_END_DIED, GENERATION_HEALTHY_MS, GENERATION_START_TIMER,
                   GENERATION_RETRYING);
        assert_step(GENERATION_TIME, GENERATION_START_WORKER, GENERATION_LOADING);
        assert_step(GENERATION_LOADED, GENERATION_SETTLE, GENERATION_READY);
    }
}

static void files_that_are_being_written_are_tried_without_end(void **unused)
{
    assert_step(GENERATION_LOAD, GENERATION_START_WORKER, GENERATION_LOADING);
    for (unsigned i = 0; i < 3 * GENERATION_MAX_FAILURES; i++) {
        uint64_t wait_ms =
            assert_end(GENERATION_END_TOO_SOON, 5, GENERATION_START_TIMER, GENERATION_RETRYING);
        assert_int_equal(wait_ms, GENERATION_REWRITE_MS);
        assert_step(GENERATION_TIME, GENERATION_START_WORKER, GENERATION_LOADING);
    }
}

static void a_load_that_is_refused_ends_it_at_once(void **unused)
{
    request_comes(GENERATION_START_WORKER, GENERATION_LOADING);
    assert_end(GENERATION_END_REFUSED, 5, GENERATION_GIVE_UP, GENERATION_FAILED);
    assert_int_equal(state.queued, 0);
    assert_step(GENERATION_RETIRE, GENERATION_NOTHING, GENERATION_FAILED);
}

static void an_unfit_model_is_given_up_before_its_worker_has_ended(void **unused)
{
    request_comes(GENERATION_START_WORKER, GENERATION_LOADING);
    assert_step(GENERATION_UNFIT, GENERATION_GIVE_UP, GENERATION_REJECTED);
    assert_int_equal(state.queued, 0);
    assert_step(GENERATION_RETIRE, GENERATION_NOTHING, GENERATION_REJECTED);
    assert_step(GENERATION_UNUSED, GENERATION_NOTHING, GENERATION_REJECTED);
    assert_end(GENERATION_END_DIED, 5, GENERATION_NOTHING, GENERATION_FAILED);
}

static void a_retired_one_ends_when_nobody_uses_it(void **unused)
{
    make_ready();
    assert_step(GENERATION_RETIRE, GENERATION_NOTHING, GENERATION_READY);
    assert_step(GENERATION_UNUSED, GENERATION_STOP_WORKER, GENERATION_STOPPING);
    assert_end(GENERATION_END_DIED, 5, GENERATION_NOTHING, GENERATION_COLD);
}

static void one_that_is_retired_while_loading_may_still_say_that_it_has_loaded(void **unused)
{
    assert_step(GENERATION_LOAD, GENERATION_START_WORKER, GENERATION_LOADING);
    assert_step(GENERATION_RETIRE, GENERATION_NOTHING, GENERATION_LOADING);
    assert_step(GENERATION_UNUSED, GENERATION_STOP_WORKER, GENERATION_STOPPING);
    assert_step(GENERATION_LOADED, GENERATION_NOTHING, GENERATION_STOPPING);
    assert_end(GENERATION_END_REFUSED, 5, GENERATION_NOTHING, GENERATION_COLD);
}

static void a_retired_one_is_restarted_for_what_waits_and_for_nothing_else(void **unused)
{
    make_ready();
    request_comes(GENERATION_NOTHING, GENERATION_READY);
    assert_step(GENERATION_RETIRE, GENERATION_NOTHING, GENERATION_READY);
    assert_end(GENERATION_END_DIED, 5, GENERATION_START_TIMER, GENERATION_RETRYING);
    state.queued--;
    assert_step(GENERATION_LEFT, GENERATION_STOP_TIMER, GENERATION_COLD);
    request_comes(GENERATION_START_WORKER, GENERATION_LOADING); /* it was bound before */
    state.queued--;
    assert_step(GENERATION_LEFT, GENERATION_NOTHING, GENERATION_LOADING);
    assert_end(GENERATION_END_DIED, 5, GENERATION_NOTHING, GENERATION_COLD);
}

/* Others serve meanwhile. */
static void a_further_one_is_tried_for_ever(void **unused)
{
    state.further = true;
    make_ready();
    uint64_t after_ms = 0;
    for (unsigned i = 0; i < 3 * GENERATION_MAX_FAILURES; i++) {
        uint64_t pause_ms =
            assert_end(GENERATION_END_DIED, 1, GENERATION_START_TIMER, GENERATION_RETRYING);
        assert_true(pause_ms >= after_ms);
        after_ms = pause_ms;
        assert_step(GENERATION_TIME, GENERATION_START_WORKER, GENERATION_LOADING);
    }
    assert_int_equal(after_ms, GENERATION_SELDOM_MS);
    assert_step(GENERATION_UNFIT, GENERATION_GIVE_UP, GENERATION_REJECTED);
    assert_end(GENERATION_END_DIED, 1, GENERATION_START_TIMER, GENERATION_RETRYING);
    assert_step(GENERATION_IDLE, GENERATION_STOP_TIMER, GENERATION_COLD);
}

static void a_further_one_that_is_not_needed_ends_whatever_it_does(void **unused)
{
    state.further = true;
    assert_step(GENERATION_LOAD, GENERATION_START_WORKER, GENERATION_LOADING);
    assert_step(GENERATION_IDLE, GENERATION_STOP_WORKER, GENERATION_RESTING);
    assert_step(GENERATION_LOADED, GENERATION_NOTHING, GENERATION_RESTING);
    assert_end(GENERATION_END_DIED, 1, GENERATION_NOTHING, GENERATION_COLD);
}

static void the_first_one_changes_places_without_its_queue(void **unused)
{
    struct generation_state further = {.further = true, .phase = GENERATION_READY, .failures = 2};
    make_ready();
    assert_end(GENERATION_END_DIED, 1, GENERATION_START_TIMER, GENERATION_RETRYING);
    request_comes(GENERATION_NOTHING, GENERATION_RETRYING);
    generation_state_exchange(&state, &further);
    assert_true(state.phase == GENERATION_READY && state.queued == 1 && state.failures == 2);
    assert_true(further.phase == GENERATION_RETRYING && further.queued == 0);
    assert_true(further.failures == 1 && further.further && !state.further);
}

static void retiring_stops_a_retry_that_nobody_waits_for(void **unused)
{
    make_ready();
    assert_end(GENERATION_END_DIED, 5, GENERATION_START_TIMER, GENERATION_RETRYING);
    assert_step(GENERATION_RETIRE, GENERATION_STOP_TIMER, GENERATION_COLD);
}

static void a_wish_that_finds_no_room_stays_asleep(void **unused)
{
    assert_step(GENERATION_LOAD, GENERATION_ASK_ROOM, GENERATION_WAITING);
    assert_step(GENERATION_NO_ROOM, GENERATION_SETTLE, GENERATION_COLD);
    assert_step(GENERATION_LOAD, GENERATION_ASK_ROOM, GENERATION_WAITING);
    assert_int_equal(generation_step(&state, GENERATION_ROOM_TO_PROBE).deed,
                     GENERATION_START_PROBE);
    assert_int_equal(state.phase, GENERATION_PROBING);
    assert_step(GENERATION_LOADED, GENERATION_SETTLE, GENERATION_PROBED);
    assert_end(GENERATION_END_DIED, 1, GENERATION_NOTHING, GENERATION_COLD);
}

static void room_is_not_wanted_when_who_waited_has_left(void **unused)
{
    make_ready();
    assert_step(GENERATION_IDLE, GENERATION_STOP_WORKER, GENERATION_RESTING);
    request_comes(GENERATION_NOTHING, GENERATION_RESTING);
    assert_end(GENERATION_END_DIED, 1, GENERATION_ASK_ROOM, GENERATION_WAITING);
    assert_true(state.served); /* it serves on as soon as it can */
    state.queued--;
    assert_step(GENERATION_LEFT, GENERATION_LEAVE_ROOM, GENERATION_COLD);
    request_comes(GENERATION_ASK_ROOM, GENERATION_WAITING);
    assert_step(GENERATION_LOAD, GENERATION_ASK_ROOM, GENERATION_WAITING);
    state.queued--;
    assert_step(GENERATION_LEFT, GENERATION_NOTHING, GENERATION_WAITING); /* it is wished for */
    assert_step(GENERATION_RETIRE, GENERATION_LEAVE_ROOM, GENERATION_COLD);
}

static void who_waits_is_refused_when_there_is_no_room(void **unused)
{
    request_comes(GENERATION_ASK_ROOM, GENERATION_WAITING);
    assert_step(GENERATION_CROWDED, GENERATION_REFUSE, GENERATION_COLD);
    assert_int_equal(state.queued, 0);
    request_comes(GENERATION_ASK_ROOM, GENERATION_WAITING);
    assert_step(GENERATION_TOO_LARGE, GENERATION_GIVE_UP, GENERATION_FAILED);
    assert_int_equal(state.queued, 0);
}

static void a_busy_one_may_rest_and_goes_on_later(void **unused)
{
    make_ready();
    request_comes(GENERATION_NOTHING, GENERATION_READY);
    assert_step(GENERATION_IDLE, GENERATION_STOP_WORKER, GENERATION_RESTING);
    assert_end(GENERATION_END_DIED, 1, GENERATION_START_WORKER, GENERATION_LOADING);
}

/* ---- a random walk ---- */

enum { WALKS = 2000, STEPS = 200 };

/* What the deeds have brought about, as generation.c would. */
struct world {
    bool worker, timer, asks;
    unsigned settled, refused, stops; /* stops: of the worker that runs */
    uint32_t seed;
};

static uint32_t draw(struct world *world, uint32_t below)
{
    world->seed = world->seed * 1664525 + 1013904223;
    return (world->seed >> 8) % below;
}

static void do_it(struct world *world, struct generation_action action, size_t waiting)
{
    switch (action.deed) {
    case GENERATION_START_PROBE:
    case GENERATION_START_WORKER:
        assert_false(world->worker);
        assert_false(world->asks);
        world->worker = true;
        world->stops = 0;
        break;
    case GENERATION_STOP_WORKER:
        assert_true(world->worker);
        assert_int_equal(world->stops++, 0);
        break;
    case GENERATION_START_TIMER:
        assert_false(world->timer);
        world->timer = true;
        break;
    case GENERATION_STOP_TIMER:
        assert_true(world->timer);
        world->timer = false;
        break;
    case GENERATION_ASK_ROOM:
        world->asks = true;
        break;
    case GENERATION_LEAVE_ROOM:
        assert_true(world->asks);
        world->asks = false;
        break;
    case GENERATION_GIVE_UP:
    case GENERATION_REFUSE:
        world->refused += (unsigned)waiting;
        break;
    case GENERATION_SETTLE:
        world->settled++;
        break;
    case GENERATION_NOTHING:
        break;
    }
}

static void tell(struct world *world, enum generation_event event)
{
    size_t waiting = state.queued;
    do_it(world, generation_step(&state, event), waiting);
}

static void worker_ends(struct world *world)
{
    size_t waiting = state.queued;
    enum generation_end how = (enum generation_end)draw(world, 3);
    if (state.phase == GENERATION_READY)
        how = GENERATION_END_DIED; /* it says why it failed while it loads only */
    world->worker = false;
    do_it(world, generation_ended(&state, how, draw(world, 2) * GENERATION_HEALTHY_MS), waiting);
}

/* There is room, or is not. */
static void find_room(struct world *world)
{
    enum generation_event event = GENERATION_ROOM;
    if (draw(world, 3) == 0)
        event = state.queued ? GENERATION_CROWDED : GENERATION_NO_ROOM;
    else if (!state.queued && draw(world, 2) == 0)
        event = GENERATION_ROOM_TO_PROBE;
    else if (draw(world, 40) == 0)
        event = GENERATION_TOO_LARGE;
    world->asks = false;
    tell(world, event);
}

static bool given_up(void)
{
    return state.phase == GENERATION_FAILED || state.phase == GENERATION_REJECTED;
}

/* Something that may happen in this state. Returns how many requests were added. */
static unsigned happen(struct world *world, bool *loaded)
{
    switch (draw(world, 8)) {
    case 0: /* a request; the caller refuses those for what was given up, or has nobody left */
    case 1:
        if (given_up() || state.phase == GENERATION_STOPPING)
            return 0;
        state.queued++;
        tell(world, GENERATION_REQUEST);
        return 1;
    case 2: /* the worker serves */
        if (state.phase == GENERATION_READY && state.queued)
            state.queued--, world->refused++;
        break;
    case 3: /* or a client goes */
        if (state.queued) {
            state.queued--, world->refused++;
            tell(world, GENERATION_LEFT);
        }
        break;
    case 4:
        if (world->worker && !*loaded && state.phase != GENERATION_REJECTED) {
            *loaded = true;
            tell(world, draw(world, 20) ? GENERATION_LOADED : GENERATION_UNFIT);
        }
        break;
    case 5:
        if (world->timer) {
            world->timer = false;
            tell(world, GENERATION_TIME);
        } else if (world->asks) {
            find_room(world);
        }
        break;
    case 6:
        if (world->worker && draw(world, 3) == 0)
            worker_ends(world);
        break;
    default:
        if (state.phase == GENERATION_READY && !state.retired && draw(world, 4) == 0)
            tell(world, GENERATION_IDLE);
        else if (!state.retired && draw(world, 30) == 0)
            tell(world, GENERATION_RETIRE);
        else if (state.retired && world->worker && !state.queued)
            tell(world, GENERATION_UNUSED);
        break;
    }
    if (!world->worker)
        *loaded = false;
    return 0;
}

static void assert_sound(const struct world *world)
{
    assert_int_equal(world->worker, generation_has_worker(&state));
    assert_int_equal(world->timer, generation_has_timer(&state));
    assert_int_equal(world->asks, state.phase == GENERATION_WAITING);
    assert_true(!state.queued || world->worker || world->timer || world->asks);
    assert_true(!state.queued || !given_up());
}

/* Whatever has happened: when workers load and the timer fires, what waits is served or refused. */
static void assert_ends(struct world *world, bool loaded)
{
    for (unsigned i = 0; state.queued && i < 8; i++) {
        if (state.phase == GENERATION_READY)
            world->refused += (unsigned)state.queued, state.queued = 0;
        else if (world->timer)
            world->timer = false, tell(world, GENERATION_TIME);
        else if (world->asks)
            world->asks = false, tell(world, GENERATION_ROOM);
        else if (state.phase == GENERATION_PROBED || state.phase == GENERATION_RESTING)
            worker_ends(world);
        else if (!loaded)
            tell(world, GENERATION_LOADED);
        loaded = false;
        assert_sound(world);
    }
    assert_int_equal(state.queued, 0);
}

static uint32_t seed; /* of the walk that runs; 0: none */

static int tell_seed(void **unused)
{
    if (seed)
        print_error("that was seed %u\n", seed);
    return 0;
}

static void anything_may_happen_in_any_order(void **unused)
{
    for (seed = 1; seed <= WALKS; seed++) {
        struct world world = {.seed = seed};
        unsigned added = 0;
        bool loaded = false;
        state = (struct generation_state){0};
        tell(&world, draw(&world, 2) ? GENERATION_LOAD : GENERATION_PROBE);
        for (unsigned i = 0; i < STEPS; i++) {
            added += happen(&world, &loaded);
            assert_sound(&world);
            assert_int_equal(world.refused + state.queued, added);
        }
        assert_ends(&world, loaded);
        assert_int_equal(world.refused, added);
    }
    seed = 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(a_probe_leaves_it_cold),
        TEST(a_request_during_the_probe_loads_it_afterwards),
        TEST(a_request_while_the_probe_ends_loads_it_afterwards),
        TEST(a_probe_that_dies_is_a_probe_again),
        TEST(a_worker_that_dies_is_followed_by_another),
        TEST(replacing_a_worker_never_ends_it),
        TEST(a_load_while_the_probe_ends_is_not_lost),
        TEST(a_load_while_an_idle_one_ends_is_not_lost),
        TEST(an_idle_one_rests_until_somebody_comes),
        TEST(deaths_in_a_row_end_it),
        TEST(deaths_far_apart_do_not),
        TEST(files_that_are_being_written_are_tried_without_end),
        TEST(a_load_that_is_refused_ends_it_at_once),
        TEST(an_unfit_model_is_given_up_before_its_worker_has_ended),
        TEST(a_retired_one_ends_when_nobody_uses_it),
        TEST(one_that_is_retired_while_loading_may_still_say_that_it_has_loaded),
        TEST(a_retired_one_is_restarted_for_what_waits_and_for_nothing_else),
        TEST(retiring_stops_a_retry_that_nobody_waits_for),
        TEST(a_further_one_is_tried_for_ever),
        TEST(a_further_one_that_is_not_needed_ends_whatever_it_does),
        TEST(the_first_one_changes_places_without_its_queue),
        TEST(a_wish_that_finds_no_room_stays_asleep),
        TEST(room_is_not_wanted_when_who_waited_has_left),
        TEST(who_waits_is_refused_when_there_is_no_room),
        TEST(a_busy_one_may_rest_and_goes_on_later),
        cmocka_unit_test_setup_teardown(anything_may_happen_in_any_order, set_up, tell_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
