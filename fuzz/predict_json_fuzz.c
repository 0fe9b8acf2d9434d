/* The JSON of a predict request: each input has a shape that fits the schema, and its data is one
 * value of JSON, in the text or in the memory of what was put together. */
#include "api/predict_json.h"

#include "infer_schema.h"

static struct predict_json predict;

static bool is_put_together(struct span data)
{
    for (size_t i = 0; i < predict.input_count; i++) {
        if (data.data == predict.inputs[i].data)
            return true;
    }
    return false;
}

static void check(const struct infer_json *request, struct span text)
{
    infer_schema_check(request, predict.by_columns);
    for (size_t i = 0; i < request->input_count; i++) {
        struct span data = request->inputs[i].data;
        infer_request_check_data(data, is_put_together(data) ? data : text);
    }
}

static bool read_request(struct span text, struct arena *arena, struct infer_json *request,
                         struct error *ret_error)
{
    predict_json_fini(&predict);
    return predict_json_read(text, &infer_schema, arena, NULL, request, &predict, ret_error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    infer_request_fuzz(data, size, read_request, check);
    predict_json_fini(&predict);
    return 0;
}
