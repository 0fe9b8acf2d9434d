/* Unit tests of codec/protobuf_files.h. */
#include "codec/inference.pb.h"
#include "codec/protobuf_files.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void files_are_found_by_name(void **state)
{
    const struct pb_file *file = pb_file_of_name(SPAN("inference.proto"));
    assert_ptr_equal(file, &inference_proto);
    assert_int_equal(file->dependency_count, 1);
    assert_ptr_equal(file->dependencies[0], &model_config_proto);
    assert_true(span_starts_with(file->descriptor, SPAN("\x0a\x0finference.proto")));
    assert_null(pb_file_of_name(SPAN("other.proto")));
}

static void files_are_found_by_symbol(void **state)
{
    static const char *const ours[] = {
        "inference.GRPCInferenceService",
        "inference.GRPCInferenceService.ModelInfer",
        "inference.ModelInferRequest",
        "inference.ModelInferRequest.InferInputTensor.shape",
        "inference.InferParameter.parameter_choice",
    };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        assert_ptr_equal(pb_file_of_symbol(span_of(ours[i])), &inference_proto);
    assert_ptr_equal(pb_file_of_symbol(SPAN("inference.TYPE_FP32")), &model_config_proto);
    assert_non_null(pb_file_of_symbol(SPAN("grpc.health.v1.Health")));
    assert_null(pb_file_of_symbol(SPAN("inference.ModelInferRequest.")));
    assert_null(pb_file_of_symbol(SPAN("inference.ModelInferReques")));
    assert_null(pb_file_of_symbol(SPAN("")));
}

static void methods_are_found_by_path(void **state)
{
    const struct pb_method *method =
        pb_method_of_path(SPAN("/inference.GRPCInferenceService/ModelStreamInfer"));
    assert_non_null(method);
    assert_true(method->client_streaming && method->server_streaming);
    assert_ptr_equal(method->input, &inference_model_infer_request_pb);
    assert_ptr_equal(method->output, &inference_model_stream_infer_response_pb);
    assert_false(pb_method_of_path(SPAN("/grpc.health.v1.Health/Watch"))->client_streaming);
    assert_null(pb_method_of_path(SPAN("/inference.GRPCInferenceService/")));
    assert_null(pb_method_of_path(SPAN("")));
}

static void every_method_is_found(void **state)
{
    size_t count = 0;
    for (size_t i = 0; i < pb_file_count; i++) {
        for (size_t j = 0; j < pb_files[i]->service_count; j++) {
            const struct pb_service *service = pb_files[i]->services[j];
            for (size_t k = 0; k < service->method_count; k++, count++)
                assert_ptr_equal(pb_method_of_path(service->methods[k].path), &service->methods[k]);
        }
    }
    assert_int_equal(count, pb_route_count);
    assert_int_equal(count, 20 + 2 + 1 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_found_by_name),
        cmocka_unit_test(files_are_found_by_symbol),
        cmocka_unit_test(methods_are_found_by_path),
        cmocka_unit_test(every_method_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
