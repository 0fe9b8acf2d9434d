/* Resources that models share: never more than there are, nobody starves, turns by priority. The
 * last test is a simulation over many seeds. */
#include "schedule/limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct limiter limiter;

static struct schedule_policy needs(const char *name, uint32_t count, uint32_t priority)
{
    struct schedule_policy policy = {.need_count = 1, .share_priority = priority};
    snprintf(policy.needs[0].name, sizeof policy.needs[0].name, "%s", name);
    policy.needs[0].count = count;
    return policy;
}

static void join(struct limiter_claim *claim, const struct schedule_policy *policy)
{
    struct error error;
    if (!limiter_join(&limiter, claim, policy, SPAN("cpu"), &error))
        fail_msg("%s", error.message);
}

static void there_is_enough_for_the_neediest(void **state)
{
    struct schedule_policy four = needs("r", 4, 1), three = needs("r", 3, 1);
    struct limiter_claim a = {0}, b = {0};
    limiter_init(&limiter);
    join(&a, &four);
    join(&b, &three);
    assert_int_equal(limiter.resources[0].count, 4);
    assert_true(limiter_may(&limiter, &a));
    limiter_take(&limiter, &a);
    assert_false(limiter_may(&limiter, &b));
    assert_null(limiter_next(&limiter));
    limiter_return(&limiter, &a);
    assert_ptr_equal(limiter_next(&limiter), &b);
    limiter_take(&limiter, &b);
    limiter_return(&limiter, &b);
    limiter_leave(&limiter, &a);
    assert_int_equal(limiter.resources[0].count, 3);
    limiter_leave(&limiter, &b);
}

static void who_needs_nothing_never_waits(void **state)
{
    struct schedule_policy nothing = {0};
    struct limiter_claim a = {0};
    limiter_init(&limiter);
    join(&a, &nothing);
    assert_true(limiter_may(&limiter, &a));
    limiter_take(&limiter, &a);
    limiter_return(&limiter, &a);
    assert_false(limiter_withdraw(&a));
    limiter_leave(&limiter, &a);
}

static void settings_say_how_much_there_is(void **state)
{
    struct schedule_policy four = needs("r", 4, 1);
    struct limiter_claim a = {0}, b = {0};
    struct error error;
    limiter_init(&limiter);
    assert_true(limiter_give_resource(&limiter, SPAN("r:8"), &error));
    assert_true(limiter_give_resource(&limiter, SPAN("r:3:0"), &error));
    join(&a, &four);
    assert_false(limiter_join(&limiter, &b, &four, SPAN("cuda:0"), &error));
    assert_non_null(strstr(error.message, "needs 4 of the resource 'r', of which there are 3"));
    join(&b, &four);
    limiter_may(&limiter, &a);
    limiter_take(&limiter, &a);
    assert_true(limiter_may(&limiter, &b));
    limiter_leave(&limiter, &b);
    limiter_return(&limiter, &a);
    limiter_leave(&limiter, &a);
}

static void bad_resources_are_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "r",
                                      ":1",
                                      "r:",
                                      "r:x",
                                      "r:-1",
                                      "r:1:",
                                      "0123456789012345678901234567890123456789:1",
                                      "r:99999999999",
                                      "r:1:01234567890123456"};
    struct error error;
    limiter_init(&limiter);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(limiter_give_resource(&limiter, span_of(bad[i]), &error));
}

static void global_resources_are_one_for_all_devices(void **state)
{
    struct schedule_policy one = needs("r", 1, 1), global = one;
    struct limiter_claim a = {0}, b = {0}, c = {0}, d = {0};
    struct error error;
    limiter_init(&limiter);
    global.needs[0].global = true;
    assert_true(limiter_join(&limiter, &a, &one, SPAN("cuda:0"), &error));
    assert_true(limiter_join(&limiter, &b, &one, SPAN("cuda:1"), &error));
    assert_true(limiter_join(&limiter, &c, &global, SPAN("cuda:0"), &error));
    assert_true(limiter_join(&limiter, &d, &global, SPAN("cuda:1"), &error));
    struct limiter_claim *claims[] = {&a, &b, &c};
    for (size_t i = 0; i < 3; i++) {
        assert_true(limiter_may(&limiter, claims[i]));
        limiter_take(&limiter, claims[i]);
    }
    assert_false(limiter_may(&limiter, &d));
}

static void turns_go_by_priority(void **state)
{
    struct schedule_policy first = needs("r", 1, 1), second = needs("r", 1, 2);
    struct limiter_claim a = {0}, b = {0};
    unsigned turns = 0;
    limiter_init(&limiter);
    join(&a, &first);
    join(&b, &second);
    for (unsigned i = 0; i < 300; i++) {
        limiter_may(&limiter, &a);
        limiter_may(&limiter, &b);
        struct limiter_claim *next = limiter_next(&limiter);
        turns += next == &a;
        limiter_take(&limiter, next);
        limiter_return(&limiter, next);
    }
    assert_in_range(turns, 198, 202);
}

/* ---- a simulation ---- */

enum { MODELS = 6, STEPS = 400, SEEDS = 2000, MOST_EXECUTIONS = 4 };

struct model {
    struct schedule_policy policy;
    struct limiter_claim claim;
    uint64_t waiting, running; /* executions */
    uint64_t overtaken;        /* turns of others since it began to wait */
};

static struct model models[MODELS];
static uint64_t random_state;

static uint64_t draw(uint64_t limit)
{
    uint64_t x = random_state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (x ^ (x >> 31)) % limit;
}

static void make_models(void)
{
    static const char *const names[] = {"a", "b", "c"};
    limiter_init(&limiter);
    for (size_t i = 0; i < MODELS; i++) {
        models[i] = (struct model){.policy = {.share_priority = (uint32_t)draw(4)}};
        for (size_t n = 0; n < 3; n++) {
            if (draw(2))
                continue;
            struct policy_need *need = &models[i].policy.needs[models[i].policy.need_count++];
            snprintf(need->name, sizeof need->name, "%s", names[n]);
            need->count = 1 + (uint32_t)draw(5);
        }
        join(&models[i].claim, &models[i].policy);
    }
}

static void begin(struct model *model)
{
    limiter_take(&limiter, &model->claim);
    model->waiting--;
    model->running++;
    model->overtaken = 0;
    for (size_t i = 0; i < MODELS; i++)
        models[i].overtaken += models[i].waiting > 0 && &models[i] != model;
}

static void dispatch(struct model *model)
{
    while (model->waiting > 0 && limiter_may(&limiter, &model->claim))
        begin(model);
    if (model->waiting == 0)
        limiter_withdraw(&model->claim);
}

/* Lets all go who may. */
static void settle(void)
{
    struct limiter_claim *next;
    while ((next = limiter_next(&limiter)))
        dispatch(list_entry(next, struct model, claim));
}

static const char *check(void)
{
    for (size_t i = 0; i < limiter.resource_count; i++) {
        if (limiter.resources[i].used > limiter.resources[i].count)
            return "exceeded";
    }
    for (size_t i = 0; i < MODELS; i++) {
        if (models[i].overtaken > (uint64_t)MODELS * 4 * MOST_EXECUTIONS)
            return "starved";
        if (models[i].waiting > 0 && limiter_may(&limiter, &models[i].claim))
            return "idle";
    }
    return NULL;
}

static void step(void)
{
    struct model *model = &models[draw(MODELS)];
    switch (draw(4)) {
    case 0:
    case 1:
        model->waiting += model->waiting < MOST_EXECUTIONS;
        dispatch(model);
        break;
    case 2:
        if (model->running == 0)
            return;
        model->running--;
        limiter_return(&limiter, &model->claim);
        break;
    default:
        if (draw(8))
            return;
        model->waiting = 0; /* its clients go */
        model->overtaken = 0;
        dispatch(model);
        break;
    }
    settle();
}

/* Everything ends, and nothing is left. */
static const char *finish(void)
{
    for (size_t i = 0; i < MODELS; i++) {
        for (; models[i].running > 0; models[i].running--) {
            limiter_return(&limiter, &models[i].claim);
            settle();
        }
    }
    for (size_t i = 0; i < MODELS; i++) {
        if (models[i].waiting > 0)
            return finish();
    }
    return NULL;
}

static const char *simulate(uint64_t seed)
{
    const char *word = NULL;
    random_state = seed;
    make_models();
    for (size_t i = 0; i < STEPS && !word; i++) {
        step();
        word = check();
    }
    return word ? word : finish();
}

static void worlds_keep_the_rules(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const char *word = simulate(seed);
        if (word)
            fail_msg("seed %llu: %s", (unsigned long long)seed, word);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_enough_for_the_neediest),
        cmocka_unit_test(who_needs_nothing_never_waits),
        cmocka_unit_test(settings_say_how_much_there_is),
        cmocka_unit_test(bad_resources_are_refused),
        cmocka_unit_test(global_resources_are_one_for_all_devices),
        cmocka_unit_test(turns_go_by_priority),
        cmocka_unit_test(worlds_keep_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
