/* Unit tests of serving/model_log.h. */
#include "serving/model_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void add(struct model_log *log, const char *text)
{
    model_log_add(log, 1, LOG_INFO, span_of(text));
}

static void lines_come_in_order(void **state)
{
    struct model_log log;
    model_log_init(&log);
    assert_null(model_log_after(&log, 0));
    add(&log, "a");
    add(&log, "");
    const struct model_line *line = model_log_after(&log, 0);
    assert_int_equal(line->number, 1);
    assert_memory_equal(line->text, "a", 1);
    line = model_log_after(&log, line->number);
    assert_int_equal(line->number, 2);
    assert_int_equal(line->size, 0);
    assert_null(model_log_after(&log, line->number));
    assert_int_equal(model_log_after(&log, 7)->number, 1);
    assert_int_equal(model_log_tail(&log, 1), 1);
    assert_int_equal(model_log_tail(&log, 100), 0);
    model_log_fini(&log);
}

static void old_lines_make_room(void **state)
{
    struct model_log log;
    model_log_init(&log);
    for (int i = 0; i < MODEL_LOG_LINES + 5; i++)
        add(&log, "line");
    assert_int_equal(log.count, MODEL_LOG_LINES);
    assert_int_equal(model_log_after(&log, 0)->number, 6);
    char *large = malloc(MODEL_LOG_BYTES + 1);
    memset(large, 'x', MODEL_LOG_BYTES + 1);
    model_log_add(&log, 1, LOG_INFO, (struct span){large, MODEL_LOG_BYTES + 1});
    free(large);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.bytes, MODEL_LOG_BYTES);
    model_log_fini(&log);
    assert_int_equal(log.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_in_order),
        cmocka_unit_test(old_lines_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
