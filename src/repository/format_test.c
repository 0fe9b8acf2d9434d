/* Tests of format.h. */
#include "repository/format.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *name_of(const char *file)
{
    struct span stem;
    const struct format *format = format_of_file(file, &stem);
    return format ? format->name : "";
}

static void test_endings(void **state)
{
    struct span stem;
    assert_string_equal(name_of("iris.onnx"), "onnx");
    assert_string_equal(name_of("model.py"), "python");
    assert_string_equal(name_of(".onnx"), "");
    assert_string_equal(name_of("notes.md"), "");
    assert_non_null(format_of_file("a.b.onnx", &stem));
    assert_true(span_equal(stem, SPAN("a.b")));
}

static void test_first_bytes(void **state)
{
    struct span stem;
    assert_string_equal(format_of_file("trees.txt", &stem)->head, "tree\n");
    assert_string_equal(format_of_file("trees.json", &stem)->head, "{\"learner\"");
    assert_null(format_of_file("trees.ubj", &stem)->head);
}

static void test_whole_names(void **state)
{
    struct span stem;
    assert_null(format_of_file("MLmodel", &stem));
    assert_string_equal(format_of_entry("MLmodel", &stem)->name, "mlflow");
    assert_string_equal(format_of_entry("saved_model.pb", &stem)->name, "tensorflow");
    assert_string_equal(format_of_entry("model.pt", &stem)->name, "pytorch");
    assert_null(format_of_entry("notes.md", &stem));
}

static void test_names_of_formats(void **state)
{
    assert_int_equal(format_named(SPAN("sklearn"))->runtime, RUNTIME_PYTHON);
    assert_true(format_named(SPAN("sklearn"))->code);
    assert_null(format_named(SPAN("identity")));
}

static void test_runtimes(void **state)
{
    struct span stem;
    assert_int_equal(format_of_file("m.py", &stem)->runtime, RUNTIME_PYTHON);
    assert_true(format_of_file("m.py", &stem)->code);
    assert_int_equal(format_of_file("m.onnx", &stem)->runtime, RUNTIME_NATIVE);
    assert_false(format_of_file("m.onnx", &stem)->code);
}

static void test_what_accompanies_code(void **state)
{
    assert_string_equal(name_of("setup.py"), "");
    assert_string_equal(name_of("conftest.py"), "");
    assert_string_equal(name_of("test_model.py"), "");
    assert_string_equal(name_of("__init__.py"), "");
    assert_string_equal(name_of("_helpers.py"), "");
    assert_string_equal(name_of("tester.py"), "python");
}

/* Does the first of two files win? */
static bool wins(const char *first, const char *second)
{
    struct span stem = {0}, other_stem = {0};
    const struct format *format = format_of_entry(first, &stem);
    const struct format *other = format_of_entry(second, &other_stem);
    return format_wins(format, stem, other, other_stem);
}

static void test_which_of_two_files_says_more(void **state)
{
    assert_true(wins("model.py", "model.onnx"));
    assert_false(wins("model.onnx", "model.py"));
    assert_true(wins("model.onnx", "export.py"));
    assert_true(wins("embed.py", "weights.onnx"));
    assert_true(wins("a.onnx", "notes.md"));
    assert_false(wins("notes.md", "a.onnx"));
    assert_true(wins("MLmodel", "model.py"));
    assert_false(wins("model.onnx", "model-settings.json"));
    assert_true(wins("model.py", "config.cfg"));
    assert_true(wins("config.cfg", "embed.py"));
    assert_true(wins("modules.json", "model.safetensors"));
    assert_true(wins("saved_model.pb", "other.pkl"));
    assert_false(wins("notes.md", "more.md"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endings),
        cmocka_unit_test(test_first_bytes),
        cmocka_unit_test(test_whole_names),
        cmocka_unit_test(test_names_of_formats),
        cmocka_unit_test(test_runtimes),
        cmocka_unit_test(test_what_accompanies_code),
        cmocka_unit_test(test_which_of_two_files_says_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
