/* Unit tests of api/routes.h. */
#include "api/routes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct api_call call;
static struct error error;

static const struct route *find(enum http_method method, struct span path)
{
    const struct http_request request = {.method = method, .path = path};
    call = (struct api_call){0};
    return route_find(&request, &call, &error);
}

static void paths_name_models_and_versions(void **state)
{
    const struct route *route = find(HTTP_POST, SPAN("/v2/models/iris/versions/3/infer"));
    assert_non_null(route);
    assert_ptr_equal(route->begin, begin_infer);
    assert_true(span_equal(call.model, SPAN("iris")));
    assert_true(span_equal(call.version, SPAN("3")));
    route = find(HTTP_GET, SPAN("/v2/models/iris"));
    assert_ptr_equal(route->serve, serve_model_metadata);
    assert_null(call.version.data);
    assert_ptr_equal(find(HTTP_HEAD, SPAN("/v2"))->serve, serve_server_metadata);
    assert_ptr_equal(find(HTTP_GET, SPAN("/"))->serve, serve_alive);
    assert_ptr_equal(find(HTTP_POST, SPAN("/v1/models/a:b:predict"))->begin, begin_predict);
    assert_true(span_equal(call.model, SPAN("a:b")));
    assert_ptr_equal(find(HTTP_GET, SPAN("/v1/models/a:b"))->serve, serve_v1_model);
}

static void everything_else_is_refused(void **state)
{
    static const struct span paths[] = {{"", 0},
                                        {"/v2/", 4},
                                        {"/v3", 3},
                                        {"/v2/models/", 11},
                                        {"/v2/models//infer", 17},
                                        {"//", 2},
                                        {"/v2/models/a/infer/", 19}};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_null(find(HTTP_POST, paths[i]));
        assert_int_equal(error.code, ERROR_NOT_FOUND);
    }
    assert_null(find(HTTP_GET, SPAN("/v2/models/a/infer")));
    assert_int_equal(error.code, ERROR_METHOD_NOT_ALLOWED);
    assert_null(find(HTTP_GET, SPAN("/v1/models/a:predict")));
    assert_int_equal(error.code, ERROR_METHOD_NOT_ALLOWED);
    assert_null(find(HTTP_POST, SPAN("/v1/models/:predict")));
    assert_int_equal(error.code, ERROR_METHOD_NOT_ALLOWED);
    assert_null(find(HTTP_DELETE, SPAN("/v2")));
    assert_int_equal(error.code, ERROR_METHOD_NOT_ALLOWED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_name_models_and_versions),
        cmocka_unit_test(everything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
