/* The state machine of generations; see generation_state.h. One table says what follows from which
 * event in which phase; how a worker's end is taken depends on more than that, and has a function.
 */
#include "serving/generation_state.h"

#include <assert.h>

enum { PHASES = GENERATION_FAILED + 1, EVENTS = GENERATION_IDLE + 1 };

struct step {
    bool possible;
    enum generation_phase phase;
    enum generation_deed deed;
};

#define STEP(phase, deed) {true, GENERATION_##phase, GENERATION_##deed}
#define STAY(phase) STEP(phase, NOTHING)

/* What is not here cannot happen. */
static const struct step steps[PHASES][EVENTS] = {
    [GENERATION_COLD] = {[GENERATION_PROBE] = STEP(WAITING, ASK_ROOM),
                         [GENERATION_LOAD] = STEP(WAITING, ASK_ROOM),
                         [GENERATION_REQUEST] = STEP(WAITING, ASK_ROOM),
                         [GENERATION_RETIRE] = STAY(COLD)},
    [GENERATION_WAITING] = {[GENERATION_LOAD] = STEP(WAITING, ASK_ROOM),
                            [GENERATION_REQUEST] = STEP(WAITING, ASK_ROOM),
                            [GENERATION_LEFT] = STAY(WAITING),
                            [GENERATION_RETIRE] = STAY(WAITING),
                            [GENERATION_ROOM] = STEP(LOADING, START_WORKER),
                            [GENERATION_ROOM_TO_PROBE] = STEP(PROBING, START_PROBE),
                            [GENERATION_NO_ROOM] = STEP(COLD, SETTLE),
                            [GENERATION_CROWDED] = STEP(COLD, REFUSE),
                            [GENERATION_TOO_LARGE] = STEP(FAILED, GIVE_UP)},
    [GENERATION_PROBING] = {[GENERATION_LOAD] = STAY(PROBING),
                            [GENERATION_REQUEST] = STAY(PROBING),
                            [GENERATION_LEFT] = STAY(PROBING),
                            [GENERATION_LOADED] = STEP(PROBED, SETTLE),
                            [GENERATION_UNFIT] = STEP(REJECTED, GIVE_UP),
                            [GENERATION_RETIRE] = STAY(PROBING),
                            [GENERATION_UNUSED] = STEP(STOPPING, STOP_WORKER)},
    [GENERATION_PROBED] = {[GENERATION_LOAD] = STAY(PROBED),
                           [GENERATION_REQUEST] = STAY(PROBED),
                           [GENERATION_LEFT] = STAY(PROBED),
                           [GENERATION_RETIRE] = STAY(PROBED),
                           [GENERATION_UNUSED] = STEP(STOPPING, STOP_WORKER)},
    [GENERATION_LOADING] = {[GENERATION_LOAD] = STAY(LOADING),
                            [GENERATION_REQUEST] = STAY(LOADING),
                            [GENERATION_LEFT] = STAY(LOADING),
                            [GENERATION_LOADED] = STEP(READY, SETTLE),
                            [GENERATION_UNFIT] = STEP(REJECTED, GIVE_UP),
                            [GENERATION_RETIRE] = STAY(LOADING),
                            [GENERATION_UNUSED] = STEP(STOPPING, STOP_WORKER),
                            [GENERATION_IDLE] = STEP(RESTING, STOP_WORKER)},
    [GENERATION_READY] = {[GENERATION_LOAD] = STAY(READY),
                          [GENERATION_REQUEST] = STAY(READY),
                          [GENERATION_LEFT] = STAY(READY),
                          [GENERATION_RETIRE] = STAY(READY),
                          [GENERATION_UNUSED] = STEP(STOPPING, STOP_WORKER),
                          [GENERATION_IDLE] = STEP(RESTING, STOP_WORKER)},
    [GENERATION_RETRYING] = {[GENERATION_LOAD] = STAY(RETRYING),
                             [GENERATION_REQUEST] = STAY(RETRYING),
                             [GENERATION_LEFT] = STAY(RETRYING),
                             [GENERATION_TIME] = STEP(WAITING, ASK_ROOM),
                             [GENERATION_RETIRE] = STAY(RETRYING),
                             [GENERATION_IDLE] = STEP(COLD, STOP_TIMER)},
    [GENERATION_STOPPING] = {[GENERATION_LOADED] = STAY(STOPPING),
                             [GENERATION_UNFIT] = STAY(STOPPING),
                             [GENERATION_UNUSED] = STAY(STOPPING)},
    [GENERATION_RESTING] = {[GENERATION_LOAD] = STAY(RESTING),
                            [GENERATION_REQUEST] = STAY(RESTING),
                            [GENERATION_LEFT] = STAY(RESTING),
                            [GENERATION_LOADED] = STAY(RESTING),
                            [GENERATION_UNFIT] = STAY(RESTING),
                            [GENERATION_RETIRE] = STAY(RESTING),
                            [GENERATION_UNUSED] = STAY(RESTING)},
    [GENERATION_REJECTED] =
        {[GENERATION_RETIRE] = STAY(REJECTED), [GENERATION_UNUSED] = STAY(REJECTED)},
    [GENERATION_FAILED] = {[GENERATION_RETIRE] = STAY(FAILED)},
};

static bool is_wanted(const struct generation_state *state)
{
    return !state->retired || state->queued > 0;
}

bool generation_has_worker(const struct generation_state *state)
{
    static const bool has[PHASES] = {
        [GENERATION_PROBING] = true,  [GENERATION_PROBED] = true,   [GENERATION_LOADING] = true,
        [GENERATION_READY] = true,    [GENERATION_STOPPING] = true, [GENERATION_RESTING] = true,
        [GENERATION_REJECTED] = true,
    };
    return has[state->phase];
}

bool generation_has_timer(const struct generation_state *state)
{
    return state->phase == GENERATION_RETRYING;
}

/* A worker ends, and more was asked for meanwhile than it was for. */
static bool comes_back(const struct generation_state *state)
{
    if (!is_wanted(state))
        return false;
    if (state->phase == GENERATION_RESTING)
        return state->queued > 0 || state->wished;
    return state->phase == GENERATION_PROBED && !state->probe_only;
}

bool generation_is_settling(const struct generation_state *state)
{
    return state->phase == GENERATION_WAITING || state->phase == GENERATION_PROBING ||
           state->phase == GENERATION_LOADING || state->phase == GENERATION_RETRYING ||
           comes_back(state);
}

static void check(const struct generation_state *state)
{
    bool serves_waiting =
        state->phase != GENERATION_STOPPING && state->phase != GENERATION_REJECTED;
    bool moves = generation_has_worker(state) || generation_has_timer(state) ||
                 state->phase == GENERATION_WAITING;
    assert(!state->queued || (serves_waiting && moves));
    assert(state->phase != GENERATION_STOPPING || state->retired);
    assert(state->phase != GENERATION_RETRYING || is_wanted(state));
    assert(state->failures <= GENERATION_MAX_FAILURES);
    assert(!state->further || !state->queued);
}

/* Goes on with another worker, when there is room for it. */
static enum generation_deed start(struct generation_state *state)
{
    state->phase = GENERATION_WAITING;
    return GENERATION_ASK_ROOM;
}

/* Room is there: the worker probes, when no more was asked for, or loads. */
static enum generation_deed enter(struct generation_state *state)
{
    state->phase = state->probe_only ? GENERATION_PROBING : GENERATION_LOADING;
    return state->probe_only ? GENERATION_START_PROBE : GENERATION_START_WORKER;
}

/* Nobody asks for a worker any more. */
static bool is_unasked(const struct generation_state *state)
{
    bool wished = state->wished && !state->retired;
    return state->phase == GENERATION_WAITING && !wished && state->queued == 0;
}

/* Nobody waits any more for what a retired generation would retry. */
static enum generation_deed stop_retrying(struct generation_state *state)
{
    state->phase = GENERATION_COLD;
    return GENERATION_STOP_TIMER;
}

struct generation_action generation_step(struct generation_state *state,
                                         enum generation_event event)
{
    const struct step *step = &steps[state->phase][event];
    struct generation_action action = {.deed = step->deed};
    assert(step->possible);
    if (event == GENERATION_PROBE || event == GENERATION_LOAD || event == GENERATION_REQUEST)
        state->probe_only = event == GENERATION_PROBE;
    state->retired |= event == GENERATION_RETIRE;
    state->phase = step->phase;
    state->served |= state->phase == GENERATION_READY;
    state->wished |=
        event == GENERATION_LOAD || event == GENERATION_PROBE || state->phase == GENERATION_READY;
    state->wished &= state->phase != GENERATION_COLD && event != GENERATION_IDLE;
    if (event == GENERATION_ROOM)
        action.deed = enter(state);
    if (event == GENERATION_NO_ROOM && state->further) {
        state->phase = GENERATION_RETRYING;
        action = (struct generation_action){GENERATION_START_TIMER, GENERATION_NO_ROOM_MS};
    }
    if (event == GENERATION_ROOM_TO_PROBE)
        state->probe_only = true;
    if ((event == GENERATION_LEFT || event == GENERATION_RETIRE) && is_unasked(state)) {
        state->phase = GENERATION_COLD;
        action.deed = GENERATION_LEAVE_ROOM;
    }
    if (state->phase == GENERATION_RETRYING && !is_wanted(state))
        action.deed = stop_retrying(state);
    if (action.deed == GENERATION_GIVE_UP || action.deed == GENERATION_REFUSE)
        state->queued = 0;
    state->served &= state->phase != GENERATION_COLD && state->phase != GENERATION_FAILED;
    check(state);
    return action;
}

void generation_state_exchange(struct generation_state *first, struct generation_state *further)
{
    struct generation_state state = *first;
    assert(further->phase == GENERATION_READY && further->retired == first->retired);
    *first = *further;
    first->queued = state.queued;
    first->further = false;
    *further = state;
    further->queued = 0;
    further->further = true;
    check(first);
}

/* ---- the end of a worker ---- */

static uint64_t back_off_ms(unsigned failures)
{
    if (failures < 2)
        return 0;
    uint64_t wait_ms = (uint64_t)GENERATION_BACK_OFF_MS << (failures - 2);
    return wait_ms < GENERATION_BACK_OFF_MAX_MS ? wait_ms : GENERATION_BACK_OFF_MAX_MS;
}

/* Nobody waits for a further one. */
static struct generation_action try_seldom(struct generation_state *state)
{
    state->failures = GENERATION_MAX_FAILURES - 1;
    state->phase = GENERATION_RETRYING;
    return (struct generation_action){GENERATION_START_TIMER, GENERATION_SELDOM_MS};
}

/* The end came unasked for. */
static struct generation_action lost(struct generation_state *state, enum generation_end how,
                                     uint64_t lived_ms)
{
    if (!is_wanted(state)) {
        state->phase = GENERATION_COLD;
        return (struct generation_action){GENERATION_NOTHING, 0};
    }
    if (how == GENERATION_END_TOO_SOON) {
        state->phase = GENERATION_RETRYING;
        return (struct generation_action){GENERATION_START_TIMER, GENERATION_REWRITE_MS};
    }
    if (how == GENERATION_END_REPLACED) {
        state->phase = GENERATION_RETRYING;
        return (struct generation_action){GENERATION_START_TIMER, 0};
    }
    state->failures = lived_ms >= GENERATION_HEALTHY_MS ? 1 : state->failures + 1;
    bool hopeless = how == GENERATION_END_REFUSED || state->failures == GENERATION_MAX_FAILURES;
    if (hopeless && state->further)
        return try_seldom(state);
    if (hopeless) {
        state->phase = GENERATION_FAILED;
        state->queued = 0;
        return (struct generation_action){GENERATION_GIVE_UP, 0};
    }
    state->phase = GENERATION_RETRYING;
    return (struct generation_action){GENERATION_START_TIMER, back_off_ms(state->failures)};
}

struct generation_action generation_ended(struct generation_state *state, enum generation_end how,
                                          uint64_t lived_ms)
{
    struct generation_action action = {GENERATION_NOTHING, 0};
    assert(generation_has_worker(state));
    if (state->phase == GENERATION_STOPPING)
        state->phase = GENERATION_COLD;
    else if (state->phase == GENERATION_REJECTED && state->further && is_wanted(state))
        action = try_seldom(state);
    else if (state->phase == GENERATION_REJECTED)
        state->phase = GENERATION_FAILED;
    else if (state->phase != GENERATION_RESTING && state->phase != GENERATION_PROBED)
        action = lost(state, how, lived_ms);
    else if (comes_back(state))
        action.deed = start(state);
    else
        state->phase = GENERATION_COLD;
    state->wished &= state->phase != GENERATION_COLD;
    state->served &= state->phase != GENERATION_COLD && state->phase != GENERATION_FAILED;
    check(state);
    return action;
}
