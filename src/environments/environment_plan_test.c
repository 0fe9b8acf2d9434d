/* Questions and answers about environments. */
#include "environments/environment_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define HASH "0123456789abcdef0123456789abcdef"

static bool read_plan(const char *text, struct environment_plan *ret_plan, struct error *ret_error)
{
    static struct arena arena;
    arena_fini(&arena);
    arena_init(&arena, 256, 1 << 16);
    return environment_plan_read(span_of(text), &arena, ret_plan, ret_error);
}

static void answers_are_read(void **state)
{
    struct environment_plan plan;
    struct error error;
    assert_true(read_plan("{\"interpreter\": \"/usr/bin/python3\"}", &plan, &error));
    assert_true(span_equal(plan.interpreter, SPAN("/usr/bin/python3")));
    assert_int_equal(plan.hash.size, 0);
    assert_true(read_plan("{\"interpreter\": \"/e/bin/python\", \"hash\": \"" HASH
                          "\", \"ready\": true, \"recipe\": {\"a\": [1]}}",
                          &plan, &error));
    assert_true(plan.ready && span_equal(plan.hash, SPAN(HASH)));
}

static void faults_of_the_model_are_told(void **state)
{
    struct environment_plan plan;
    struct error error;
    assert_false(read_plan("{\"error\": \"requirements.txt, line 3: no\"}", &plan, &error));
    assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "requirements.txt, line 3: no");
}

static void nonsense_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "[]",
        "{\"interpreter\": 1}",
        "{\"interpreter\": \"python\"}",
        "{\"interpreter\": \"/p\", \"hash\": \"../../x\"}",
        "{\"interpreter\": \"/p\", \"hash\": \"0123456789ABCDEF0123456789abcdef\"}",
        "{\"interpreter\": \"/p\"} x",
        "{\"interpreter\": \"/p\\u0000\"}",
    };
    struct environment_plan plan;
    struct error error;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_false(read_plan(texts[i], &plan, &error));
        assert_int_equal(error.code, ERROR_INTERNAL);
    }
}

static void builders_answers_are_read(void **state)
{
    struct error error;
    struct arena arena;
    arena_init(&arena, 256, 1 << 16);
    assert_true(environment_built_read(SPAN("{}"), &arena, &error));
    assert_false(environment_built_read(SPAN("{\"error\": \"no such\"}"), &arena, &error));
    assert_string_equal(error.message, "its environment could not be built: no such");
    assert_false(environment_built_read(SPAN("{"), &arena, &error));
    assert_int_equal(error.code, ERROR_INTERNAL);
    arena_fini(&arena);
}

static void questions_are_json(void **state)
{
    struct buf buf;
    struct span requirements[] = {SPAN("a==1"), SPAN("b \"c\"")};
    const struct model_python python = {
        .version = SPAN("3.12"), .requirements = requirements, .requirement_count = 2};
    buf_init(&buf, 4096);
    const struct environment_question question = {.path = SPAN("/m/1"),
                                                  .folder = SPAN("/m"),
                                                  .engine = SPAN("sklearn"),
                                                  .file = SPAN("f"),
                                                  .python = &python};
    environment_plan_ask(&buf, &question, SPAN("/e"));
    assert_true(
        span_equal(buf_span(&buf), SPAN("{\"path\":\"/m/1\",\"root\":\"/m\",\"engine\":\"sklearn\","
                                        "\"file\":\"f\","
                                        "\"environments\":\"/e\","
                                        "\"python\":{\"interpreter\":\"\",\"version\":\"3.12\","
                                        "\"requirements\":[\"a==1\",\"b \\\"c\\\"\"]}}")));
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read),    cmocka_unit_test(faults_of_the_model_are_told),
        cmocka_unit_test(nonsense_is_refused), cmocka_unit_test(builders_answers_are_read),
        cmocka_unit_test(questions_are_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
