/* Unit tests of api/openapi.h. */
#include "api/openapi.h"

#include "api/routes.h"
#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct tensor_info inputs[] = {
    {.name = SPAN("a\"b"), .datatype = TENSORD_FP32, .shape = {2, {-1, 4}}},
    {.name = SPAN("scalar"), .datatype = TENSORD_BOOL, .shape = {0}},
    {.name = SPAN("any"), .datatype = TENSORD_BYTES, .any_rank = true},
    {.name = SPAN("\xff"), .datatype = TENSORD_INT64, .shape = {1, {3}}, .optional = true},
};
static const struct schema full = {
    .inputs = inputs, .input_count = 4, .outputs = inputs, .output_count = 4};
static const struct schema one = {
    .inputs = inputs, .input_count = 1, .outputs = inputs, .output_count = 1};
static const struct schema empty = {.input_count = 0};

/* The document, which is JSON; the caller frees it. */
static struct buf write_document(const struct openapi_subject *subject)
{
    struct buf out;
    struct json json;
    struct error error;
    buf_init(&out, 1 << 20);
    openapi_write(&out, subject);
    assert_true(buf_ok(&out));
    json_init(&json, buf_span(&out), JSON_MAX_DEPTH, NULL, &error);
    if (!json_skip(&json, NULL) || !json_end(&json))
        fail_msg("%s: %.*s", error.message, SPAN_ARGS(buf_span(&out)));
    return out;
}

static bool mentions(const struct buf *out, const char *text)
{
    return memmem(out->data, out->size, text, strlen(text)) != NULL;
}

static void every_route_has_an_operation(void **state)
{
    size_t count;
    const struct route *routes = route_table(&count);
    struct buf out = write_document(&(struct openapi_subject){.version = 0});
    for (size_t i = 0; i < count; i++) {
        const struct operation *operation = operation_find(&routes[i]);
        if (!operation || !operation->id || !operation->summary)
            fail_msg("openapi_operations.c has no row for %s", routes[i].path);
        char key[128];
        snprintf(key, sizeof key, "\"%s\":{", routes[i].path);
        assert_true(mentions(&out, key));
    }
    buf_fini(&out);
}

static void a_models_document_is_about_it_alone(void **state)
{
    const struct schema *const schemas[] = {&full, &one, &empty};
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        struct openapi_subject subject = {.model = SPAN("a b/c"), .schema = schemas[i]};
        struct buf out = write_document(&subject);
        assert_true(mentions(&out, "\"/v2/models/a%20b%2Fc/infer\":{"));
        assert_true(mentions(&out, "\"/v1/models/a%20b%2Fc:predict\":{"));
        assert_false(mentions(&out, "{model}"));
        assert_false(mentions(&out, "repository"));
        assert_false(mentions(&out, "/versions/"));
        buf_fini(&out);
        subject.version = 7;
        out = write_document(&subject);
        assert_true(mentions(&out, "\"/v2/models/a%20b%2Fc/versions/7/infer\":{"));
        assert_false(mentions(&out, "{version}"));
        assert_false(mentions(&out, "\"/v2/models/a%20b%2Fc/infer\""));
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_has_an_operation),
        cmocka_unit_test(a_models_document_is_about_it_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
