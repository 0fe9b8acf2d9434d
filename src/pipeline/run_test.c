/* The executor: what it asks for, in which order, and random graphs against what must hold. */
#include "pipeline/run.h"

#include "pipeline/graph_fixture.h"

static struct pipeline_run run;

static void add(const char *model, const char *takes, const char *gives)
{
    assert_true(step(model, takes, gives));
}

static void also_takes(const char *tensor)
{
    assert_true(pipeline_add_input(&graph, SPAN("in2"), span_of(tensor), &error));
}

static uint32_t tensor(const char *name)
{
    return (uint32_t)pipeline_tensor_named(&graph, span_of(name));
}

/* Starts a run for which this tensor, and perhaps another, is wanted. */
static void begin(const char *wanted, const char *wanted_too)
{
    bool is_wanted[PIPELINE_MAX_TENSORS] = {false};
    assert_true(pipeline_graph_finish(&graph, &error));
    is_wanted[tensor(wanted)] = true;
    if (wanted_too)
        is_wanted[tensor(wanted_too)] = true;
    assert_true(pipeline_run_init(&run, &graph, is_wanted, &arena));
}

static void expect(enum pipeline_deed deed)
{
    assert_int_equal(pipeline_run_next(&run).deed, deed);
}

static void expect_step(enum pipeline_deed deed, uint32_t at)
{
    struct pipeline_task task = pipeline_run_next(&run);
    assert_int_equal(task.deed, deed);
    assert_int_equal(task.step, at);
}

static void expect_forgets(const char *name)
{
    struct pipeline_task task = pipeline_run_next(&run);
    assert_int_equal(task.deed, PIPELINE_FORGET);
    assert_int_equal(task.tensor, tensor(name));
}

/* The step begins and its only call is made. */
static void expect_call(uint32_t at)
{
    expect_step(PIPELINE_BEGIN, at);
    pipeline_run_calls(&run, at, 1);
    expect_step(PIPELINE_CALL, at);
    pipeline_run_made(&run, at);
}

static void call_ends(uint32_t at)
{
    assert_true(pipeline_run_ended(&run, at));
    pipeline_run_output(&run, at, 0, true);
}

static void a_chain_goes_step_by_step(void **state)
{
    add("a", "x", "y");
    add("b", "y", "z");
    begin("z", NULL);
    expect(PIPELINE_WAIT);
    pipeline_run_input(&run, tensor("x"), true);
    expect_call(0);
    expect_forgets("x"); /* it was copied */
    expect(PIPELINE_WAIT);
    call_ends(0);
    expect_call(1);
    expect_forgets("y");
    expect(PIPELINE_WAIT);
    call_ends(1);
    assert_true(pipeline_run_has(&run, tensor("z")));
    expect(PIPELINE_OVER);
}

static void branches_run_at_once_and_meet(void **state)
{
    add("a", "x", "p");
    add("b", "x", "q");
    add("c", "p", "r");
    also_takes("q");
    begin("r", NULL);
    pipeline_run_input(&run, tensor("x"), true);
    expect_call(0);
    expect_call(1);
    expect_forgets("x");
    call_ends(1);
    expect(PIPELINE_WAIT);
    call_ends(0);
    expect_call(2);
}

static void what_is_not_wanted_is_not_run(void **state)
{
    add("a", "x", "p");
    add("b", "x", "q");
    begin("q", NULL);
    pipeline_run_input(&run, tensor("x"), true);
    expect_call(1);
    expect_forgets("x");
    call_ends(1);
    expect(PIPELINE_OVER);
}

static void a_condition_chooses_a_branch(void **state)
{
    add("if", "x", "y");
    assert_true(pipeline_add_condition(&graph, SPAN("c"), false, &error));
    add("else", "x", "y");
    assert_true(pipeline_add_condition(&graph, SPAN("c"), true, &error));
    add("behind", "y", "z");
    begin("z", NULL);
    pipeline_run_input(&run, tensor("x"), true);
    expect(PIPELINE_WAIT);
    pipeline_run_input(&run, tensor("c"), true);
    expect_step(PIPELINE_BEGIN, 0);
    pipeline_run_skip(&run, 0);
    expect_call(1);
    call_ends(1);
    expect_call(2);
    call_ends(2);
    while (pipeline_run_next(&run).deed == PIPELINE_FORGET)
        continue;
    expect(PIPELINE_OVER);
}

static void what_is_absent_goes_on_to_be(void **state)
{
    add("a", "x", "y");
    add("b", "y", "z");
    add("c", "w", "v");
    also_takes("z");
    begin("z", "v");
    graph.steps[2].inputs[1].optional = true;
    pipeline_run_input(&run, tensor("x"), false);
    pipeline_run_input(&run, tensor("w"), true);
    expect_call(2); /* it can do without */
    call_ends(2);
    expect_forgets("w");
    expect(PIPELINE_OVER);
    assert_false(pipeline_run_has(&run, tensor("z")));
    assert_true(pipeline_run_has(&run, tensor("v")));
}

static void parts_run_a_few_at_once(void **state)
{
    add("a", "x", "y");
    assert_true(pipeline_add_each(&graph, SPAN("x"), 1, &error));
    graph.at_once = 2;
    begin("y", NULL);
    pipeline_run_input(&run, tensor("x"), true);
    expect_step(PIPELINE_BEGIN, 0);
    pipeline_run_calls(&run, 0, 3);
    for (uint32_t i = 0; i < 2; i++) {
        struct pipeline_task task = pipeline_run_next(&run);
        assert_int_equal(task.deed, PIPELINE_CALL);
        assert_int_equal(task.call, i);
        pipeline_run_made(&run, 0);
    }
    expect(PIPELINE_WAIT);
    assert_false(pipeline_run_ended(&run, 0));
    expect_step(PIPELINE_CALL, 0);
    assert_true(pipeline_run_put_back(&run, 0)); /* there is no memory for it */
    expect(PIPELINE_WAIT);
    assert_false(pipeline_run_ended(&run, 0));
    expect_step(PIPELINE_CALL, 0);
    assert_false(pipeline_run_put_back(&run, 0)); /* and none will come */
}

static void no_rows_are_no_calls(void **state)
{
    add("a", "x", "y");
    assert_true(pipeline_add_each(&graph, SPAN("x"), 1, &error));
    begin("y", NULL);
    pipeline_run_input(&run, tensor("x"), true);
    expect_step(PIPELINE_BEGIN, 0);
    pipeline_run_calls(&run, 0, 0);
    pipeline_run_output(&run, 0, 0, true);
    expect_forgets("x");
    expect(PIPELINE_OVER);
}

/* ---- random graphs ---- */

static uint64_t random_state;

static uint32_t below(uint32_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % limit;
}

static void make_random(void)
{
    char name[16];
    uint32_t steps = 1 + below(12);
    for (uint32_t i = 0; i < steps; i++) {
        assert_non_null(pipeline_add_step(&graph, SPAN(""), SPAN("m"), -1, &error));
        uint32_t inputs = below(4), outputs = 1 + below(2);
        for (uint32_t j = 0; j < inputs; j++) {
            char input[16];
            snprintf(input, sizeof input, "i%u", j);
            snprintf(name, sizeof name, "%c%u", below(3) ? 't' : 'x', below(2 * i + 1));
            assert_true(pipeline_add_input(&graph, span_of(input), span_of(name), &error));
            graph.steps[i].inputs[j].optional = below(3) == 0;
        }
        for (uint32_t j = 0; j < outputs; j++) {
            char output[16];
            snprintf(output, sizeof output, "o%u", j);
            snprintf(name, sizeof name, "t%u", 2 * i + j);
            assert_true(pipeline_add_output(&graph, span_of(output), span_of(name), &error));
        }
        if (below(4) == 0) {
            snprintf(name, sizeof name, "t%u", below(2 * i + 1) & ~1U);
            if (2 * i > 0 && pipeline_tensor_named(&graph, span_of(name)) >= 0)
                assert_true(pipeline_add_condition(&graph, span_of(name), below(2), &error));
        }
    }
}

struct seen {
    unsigned begun, calls, running, ended;
    bool done;
};

/* Plays a request to its end, in a random order: each needed step is begun once, when its inputs
 * are decided, called as often as it said, and nothing is forgotten that is wanted still. */
static void play(void)
{
    struct seen seen[16] = {0};
    bool forgotten[64] = {false}, wanted[64] = {false};
    for (size_t i = 0; i < graph.tensor_count; i++)
        wanted[i] = below(2);
    assert_true(pipeline_run_init(&run, &graph, wanted, &arena));
    for (uint32_t i = 0; i < graph.tensor_count; i++) {
        if (pipeline_is_input(&graph.tensors[i]))
            pipeline_run_input(&run, i, below(4) > 0);
    }
    for (unsigned turns = 0;; turns++) {
        assert_true(turns < 10000);
        struct pipeline_task task = pipeline_run_next(&run);
        struct seen *at = &seen[task.step];
        if (task.deed == PIPELINE_OVER)
            break;
        if (task.deed == PIPELINE_FORGET) {
            assert_false(forgotten[task.tensor] || wanted[task.tensor]);
            forgotten[task.tensor] = true;
        } else if (task.deed == PIPELINE_BEGIN) {
            assert_int_equal(at->begun++, 0);
            at->calls = below(5);
            at->done = !at->calls;
            if (below(5) == 0) {
                at->done = true;
                pipeline_run_skip(&run, task.step);
                continue;
            }
            pipeline_run_calls(&run, task.step, at->calls);
            for (size_t i = 0; !at->calls && i < graph.steps[task.step].output_count; i++)
                pipeline_run_output(&run, task.step, i, true);
        } else if (task.deed == PIPELINE_CALL) {
            const struct pipeline_step *of = &graph.steps[task.step];
            assert_int_equal(task.call, at->running + at->ended);
            for (size_t i = 0; i < of->input_count; i++)
                assert_false(forgotten[of->inputs[i].tensor]);
            if (at->running && below(8) == 0) {
                assert_true(pipeline_run_put_back(&run, task.step));
                continue;
            }
            at->running++;
            assert_true(at->running <= graph.at_once);
            pipeline_run_made(&run, task.step);
        } else {
            uint32_t step = below((uint32_t)graph.step_count), tries = 0;
            while (!seen[step].running) {
                assert_true(tries++ < graph.step_count); /* something runs */
                step = (step + 1) % (uint32_t)graph.step_count;
            }
            seen[step].running--;
            seen[step].ended++;
            if (!pipeline_run_ended(&run, step))
                continue;
            assert_int_equal(seen[step].ended, seen[step].calls);
            seen[step].done = true;
            for (size_t i = 0; i < graph.steps[step].output_count; i++)
                pipeline_run_output(&run, step, i, below(6) > 0);
        }
    }
    for (size_t i = 0; i < graph.step_count; i++)
        assert_true(!seen[i].begun || seen[i].done);
    for (uint32_t i = 0; i < graph.tensor_count; i++)
        assert_true(!wanted[i] || run.tensors[i] != PIPELINE_UNDECIDED);
}

static void random_graphs_come_to_an_end(void **state)
{
    for (uint64_t seed = 1; seed <= 5000; seed++) {
        random_state = seed * 7919;
        pipeline_graph_init(&graph, &arena);
        make_random();
        graph.at_once = 1 + below(3);
        if (pipeline_graph_finish(&graph, &error))
            play();
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_chain_goes_step_by_step, set_up, tear_down),
        cmocka_unit_test_setup_teardown(branches_run_at_once_and_meet, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_wanted_is_not_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_condition_chooses_a_branch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_absent_goes_on_to_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parts_run_a_few_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_rows_are_no_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_graphs_come_to_an_end, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
