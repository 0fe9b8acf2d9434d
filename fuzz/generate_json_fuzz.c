/* The JSON of a generate request: as of any request, and each input has a shape that the schema
 * allows. */
#include "api/generate_json.h"

#include "infer_schema.h"

static void check(const struct infer_json *request, struct span text)
{
    infer_schema_check(request, true);
    for (size_t i = 0; i < request->input_count; i++)
        infer_request_check_data(request->inputs[i].data, text);
}

static bool read_request(struct span text, struct arena *arena, struct infer_json *request,
                         struct error *ret_error)
{
    return generate_json_read(text, &infer_schema, arena, request, ret_error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    infer_request_fuzz(data, size, read_request, check);
    return 0;
}
