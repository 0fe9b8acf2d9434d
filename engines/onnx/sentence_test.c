/* Unit tests of sentences, on ones that ONNX Runtime says. */
#include "onnx/library.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void assert_becomes(const char *sentence, const char *expected)
{
    char text[440];
    onnx_sentence(sentence, text, sizeof text);
    assert_string_equal(text, expected);
}

static void places_and_functions_are_left_out(void **state)
{
    assert_becomes("Load model from /srv/m.onnx failed:/onnxruntime_src/onnxruntime/core/graph/"
                   "model.cc:256 onnxruntime::Model::Model(onnx::ModelProto&&, const "
                   "onnxruntime::ModelOptions&) Unsupported model IR version: 99, max supported IR "
                   "version: 14",
                   "Load model from m.onnx failed:Unsupported model IR version: 99, max supported "
                   "IR version: 14");
    assert_becomes("Exception during initialization: /onnxruntime_src/initializer.cc:51 "
                   "onnxruntime::Initializer::Initializer(const onnx::TensorProto&, const "
                   "std::function<void(int)>&) [ONNXRuntimeError] : 1 : FAIL : "
                   "tensorprotoutils.cc:2080 ResolveExternalDataInfoForTensorProto TensorProto: c "
                   "external data size mismatch.",
                   "Exception during initialization: TensorProto: c external data size mismatch.");
    assert_becomes("failed:/x/model_load_utils.h:46 void "
                   "onnxruntime::ValidateOpsetForDomain(const std::unordered_map<std::string, "
                   "int>&, int) ONNX Runtime only guarantees (some)",
                   "failed:ONNX Runtime only guarantees (some)");
    assert_becomes("/a/b.cc:1 static onnxruntime::Status onnxruntime::Model::Load(int) no", "no");
}

static void paths_are_cut_to_their_names(void **state)
{
    assert_becomes("path: \"/etc/hostname\" allowed: '/srv/models/m'\n",
                   "path: \"hostname\" allowed: 'm'");
    assert_becomes("a/b and c / d, 1.h:2:3 x", "a/b and c / d, 1.h:2:3 x");
    assert_becomes("/", "/");
    assert_becomes("x.cc:", "x.cc:");
    assert_becomes("x.cc:12", "x.cc:12");
    assert_becomes("x.cc:12 f", "");
    assert_becomes("x.cc:12 f(", "");
    assert_becomes("[ONNXRuntimeError] : 1 : FAIL", "[ONNXRuntimeError] : 1 : FAIL");
    assert_becomes("", "");
    assert_becomes(NULL, "");
}

static void long_ones_are_cut(void **state)
{
    char text[8];
    onnx_sentence("0123456789", text, sizeof text);
    assert_string_equal(text, "0123456");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_and_functions_are_left_out),
        cmocka_unit_test(paths_are_cut_to_their_names),
        cmocka_unit_test(long_ones_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
