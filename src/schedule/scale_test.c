/* How many workers are wanted, as a load that the test makes goes by. */
#include "schedule/scale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SECOND_NS = 1000000000, LOOK_NS = SECOND_NS / 4, SLOTS = 2, IDLE_S = 60 };

/* Workers of two slots each, which take some looks to load. */
struct model {
    struct scale scale;
    uint64_t now_ns, busy_ns;
    double backlog; /* seconds of work that wait */
    uint32_t serving, loading, loaded_after;
    unsigned changes;
    uint32_t most, least; /* wanted */
};

static struct model made(uint32_t min, uint32_t max)
{
    struct model model = {.now_ns = 5, .serving = min, .most = min, .least = max};
    scale_init(&model.scale, min, max, SECOND_NS, (uint64_t)IDLE_S * SECOND_NS);
    return model;
}

static void load_workers(struct model *model)
{
    if (model->serving > model->scale.wanted)
        model->serving = model->scale.wanted;
    if (model->serving < model->scale.wanted && model->loading++ >= model->loaded_after) {
        model->serving = model->scale.wanted;
        model->loading = 0;
    }
}

/* Goes on for so long with work for that many slots arriving. */
static void go_on(struct model *model, double seconds, double offered)
{
    const double look_s = (double)LOOK_NS / (double)SECOND_NS;
    for (int i = 0; i < (int)(seconds / look_s); i++) {
        double capacity = model->serving * (double)SLOTS * look_s;
        model->backlog += offered * look_s;
        double done = model->backlog < capacity ? model->backlog : capacity;
        model->backlog -= done;
        model->busy_ns += (uint64_t)(done * (double)SECOND_NS);
        model->now_ns += LOOK_NS;
        struct scale_load load = {.workers = model->serving,
                                  .slots = SLOTS,
                                  .busy_ns = model->busy_ns,
                                  .waiting = model->backlog > 1e-9};
        uint32_t before = model->scale.wanted;
        bool changed = scale_look(&model->scale, &load, model->now_ns);
        assert_true(changed == (before != model->scale.wanted));
        model->changes += changed;
        assert_in_range(model->scale.wanted, model->scale.min, model->scale.max);
        load_workers(model);
    }
}

static void as_many_as_the_load_needs(void **state)
{
    struct model model = made(1, 8);
    go_on(&model, 10, 1);
    assert_int_equal(model.scale.wanted, 1);
    go_on(&model, 60, 7);
    assert_true(model.backlog < 1e-9);
    go_on(&model, 2 * IDLE_S, 7); /* without those that its backlog has needed */
    assert_in_range(model.scale.wanted, 4, 6);
    go_on(&model, 60, 30);
    assert_int_equal(model.scale.wanted, 8); /* and no more */
}

static void more_come_soon_and_go_late(void **state)
{
    struct model model = made(1, 4);
    go_on(&model, 1, 20);
    assert_int_equal(model.scale.wanted, 1);
    go_on(&model, 1, 20);
    assert_int_equal(model.scale.wanted, 2);
    go_on(&model, 3, 20);
    assert_int_equal(model.scale.wanted, 4);
    model.backlog = 0;
    go_on(&model, IDLE_S - 1, 0.1);
    assert_int_equal(model.scale.wanted, 4);
    go_on(&model, 2, 0.1);
    assert_int_equal(model.scale.wanted, 1); /* all at once */
}

static void a_peak_keeps_what_it_needed(void **state)
{
    struct model model = made(1, 8);
    go_on(&model, 30, 12);
    uint32_t wanted = model.scale.wanted;
    model.backlog = 0;
    for (int i = 0; i < 10; i++) {
        go_on(&model, (double)IDLE_S / 2, 1);
        go_on(&model, 1,
              wanted * (double)SLOTS * 0.5); /* all but one of them, at three fifths or more */
        model.backlog = 0;
    }
    assert_in_range(model.scale.wanted, wanted - 2, wanted);
    assert_true(model.scale.wanted > 1);
}

static void one_that_loads_is_waited_for(void **state)
{
    struct model model = made(1, 8);
    model.loaded_after = 40; /* ten seconds */
    go_on(&model, 9, 30);
    assert_int_equal(model.scale.wanted, 2);
    go_on(&model, 6, 30);
    assert_int_equal(model.scale.wanted, 3);
}

static void steady_loads_change_nothing(void **state)
{
    for (int tenths = 1; tenths < 160; tenths++) {
        struct model model = made(1, 8);
        double offered = tenths / 10.0;
        go_on(&model, 300, offered);
        model.changes = 0;
        go_on(&model, 3600, offered);
        assert_in_range(model.changes, 0, 1); /* what the first backlog had needed goes once */
        assert_true(model.scale.wanted == 8 || model.scale.wanted * SLOTS >= offered);
    }
}

/* Callers that wait for their answer keep a slot busy each: without any that waits, more would be
 * of no use. */
static void all_busy_and_nobody_waiting_is_enough(void **state)
{
    struct model model = made(1, 8);
    go_on(&model, 600, SLOTS);
    assert_int_equal(model.scale.wanted, 1);
}

/* Requests may wait for what is no matter of slots, such as company. */
static void waiting_beside_free_slots_wants_no_more(void **state)
{
    struct model model = made(1, 8);
    for (int i = 0; i < 100; i++) {
        model.now_ns += LOOK_NS;
        model.busy_ns += LOOK_NS / 2;
        struct scale_load load = {1, SLOTS, model.busy_ns, 5};
        assert_false(scale_look(&model.scale, &load, model.now_ns));
    }
}

static void fixed_bounds_are_kept(void **state)
{
    struct model model = made(3, 3);
    go_on(&model, 100, 100);
    go_on(&model, 1000, 0);
    assert_int_equal(model.changes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_as_the_load_needs),
        cmocka_unit_test(more_come_soon_and_go_late),
        cmocka_unit_test(a_peak_keeps_what_it_needed),
        cmocka_unit_test(one_that_loads_is_waited_for),
        cmocka_unit_test(steady_loads_change_nothing),
        cmocka_unit_test(all_busy_and_nobody_waiting_is_enough),
        cmocka_unit_test(waiting_beside_free_slots_wants_no_more),
        cmocka_unit_test(fixed_bounds_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
