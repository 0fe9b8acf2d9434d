/* The schemas of one model's requests and answers (JSON Schema 2020-12); see openapi.h. */
#include "api/openapi.h"

#include "base/tensor.h"

/* Which way values go. A few are read that are never written. */
enum way { WAY_IN, WAY_OUT };

/* ---- values ---- */

/* The bounds of floats are those from which on they would round to infinity. */
static const char *element_schema(enum tensord_datatype datatype, enum way way)
{
    static const char *const schemas[TENSORD_DATATYPE_COUNT] = {
        [TENSORD_INVALID] = "{}",
        [TENSORD_BOOL] = "{'type':'boolean'}",
        [TENSORD_UINT8] = "{'type':'integer','minimum':0,'maximum':255}",
        [TENSORD_UINT16] = "{'type':'integer','minimum':0,'maximum':65535}",
        [TENSORD_UINT32] = "{'type':'integer','minimum':0,'maximum':4294967295}",
        [TENSORD_UINT64] = "{'type':'integer','minimum':0,'maximum':18446744073709551615}",
        [TENSORD_INT8] = "{'type':'integer','minimum':-128,'maximum':127}",
        [TENSORD_INT16] = "{'type':'integer','minimum':-32768,'maximum':32767}",
        [TENSORD_INT32] = "{'type':'integer','minimum':-2147483648,'maximum':2147483647}",
        [TENSORD_INT64] = ("{'type':'integer','minimum':-9223372036854775808,"
                           "'maximum':9223372036854775807}"),
        [TENSORD_FP16] = "{'type':'number','exclusiveMinimum':-65520,'exclusiveMaximum':65520}",
        [TENSORD_FP32] = ("{'type':'number','minimum':-3.4028235677973366e38,"
                          "'maximum':3.4028235677973366e38}"),
        [TENSORD_FP64] = "{'type':'number'}",
        [TENSORD_BF16] = ("{'type':'number','minimum':-3.3961775292304957e38,"
                          "'maximum':3.3961775292304957e38}"),
        [TENSORD_BYTES] = "{'type':'string'}",
    };
    if (datatype == TENSORD_BOOL && way == WAY_IN)
        return "{'type':['boolean','integer'],'minimum':0,'maximum':1}";
    return schemas[datatype];
}

/* Arrays nested as the dimensions from d on say; one element behind the last. */
static void put_nested(struct buf *out, const struct tensor_info *info, uint32_t d, enum way way)
{
    for (uint32_t i = d; i < info->shape.ndim; i++) {
        int64_t dim = info->shape.dims[i];
        openapi_say(out, "{'type':'array',");
        if (dim >= 0)
            buf_printf(out, "\"minItems\":%lld,\"maxItems\":%lld,", (long long)dim, (long long)dim);
        openapi_say(out, "'items':");
    }
    openapi_say(out, element_schema(info->datatype, way));
    for (uint32_t i = d; i < info->shape.ndim; i++)
        openapi_say(out, "}");
}

/* Any array of its elements. */
static void put_flat(struct buf *out, const struct tensor_info *info, enum way way)
{
    openapi_say(out, "{'type':'array','items':");
    openapi_say(out, element_schema(info->datatype, way));
    openapi_say(out, "}");
}

/* Whether one element can be all of it. */
static bool may_be_one(const struct tensor_info *info)
{
    for (uint32_t d = 0; d < info->shape.ndim; d++) {
        if (info->shape.dims[d] >= 0 && info->shape.dims[d] != 1)
            return false;
    }
    return info->shape.ndim > 0;
}

/* A whole tensor: nested as its shape says; flat; and if it may be, one element alone, or nothing
 * said of an optional input. */
static void put_value(struct buf *out, const struct tensor_info *info, enum way way, bool or_alone)
{
    if (info->any_rank) {
        openapi_say(out, "{}");
        return;
    }
    openapi_say(out, "{'anyOf':[");
    put_nested(out, info, 0, way);
    if (info->shape.ndim != 1) {
        openapi_say(out, ",");
        put_flat(out, info, way);
    }
    if (or_alone && may_be_one(info)) {
        openapi_say(out, ",");
        openapi_say(out, element_schema(info->datatype, way));
    }
    if (or_alone && way == WAY_IN && info->optional)
        openapi_say(out, ",{'type':'null'}");
    openapi_say(out, "]}");
}

/* What stands for a tensor in one of its rows. */
static void put_row_value(struct buf *out, const struct tensor_info *info, enum way way)
{
    if (info->any_rank)
        openapi_say(out, "{}");
    else
        put_nested(out, info, info->shape.ndim ? 1 : 0, way);
}

static void put_shape(struct buf *out, const struct tensor_info *info)
{
    uint32_t ndim = info->shape.ndim;
    if (info->any_rank) {
        openapi_say(out, "{'$ref':'#/components/schemas/Shape'}");
        return;
    }
    buf_printf(out, "{\"type\":\"array\",\"minItems\":%u,\"maxItems\":%u", ndim, ndim);
    for (uint32_t d = 0; d < ndim; d++) {
        openapi_say(out, d ? "," : ",'prefixItems':[");
        if (info->shape.dims[d] < 0)
            openapi_say(out, "{'type':'integer','minimum':0}");
        else
            buf_printf(out, "{\"const\":%lld}", (long long)info->shape.dims[d]);
    }
    openapi_say(out, ndim ? "]}" : "}");
}

/* ---- infer ---- */

static void put_tensor(struct buf *out, const struct tensor_info *info, enum way way)
{
    openapi_say(out, "{'type':'object','required':['name','datatype','shape','data'],"
                     "'properties':{'name':{'const':");
    openapi_string(out, info->name);
    openapi_say(out, "},'datatype':{'const':");
    openapi_string(out, span_of(datatype_name(info->datatype)));
    openapi_say(out, "},'shape':");
    put_shape(out, info);
    openapi_say(out, ",'data':");
    if (way == WAY_OUT)
        put_flat(out, info, way);
    else
        put_value(out, info, way, false);
    openapi_say(out, "}}");
}

/* "items", of which each is one of the tensors. */
static void put_tensors(struct buf *out, const struct tensor_info *infos, size_t count,
                        enum way way)
{
    openapi_say(out, "'items':{'anyOf':[");
    for (size_t i = 0; i < count; i++) {
        openapi_say(out, i ? "," : "");
        put_tensor(out, &infos[i], way);
    }
    if (way == WAY_OUT)
        openapi_say(out, count ? ",{'$ref':'#/components/schemas/Classes'}" : "{}");
    else
        openapi_say(out, count ? "" : "false");
    openapi_say(out, "]}");
}

static void put_infer_request(struct buf *out, const struct schema *schema)
{
    size_t required = 0;
    for (size_t i = 0; i < schema->input_count; i++)
        required += !schema->inputs[i].optional;
    openapi_say(out, "'InferRequest':{'type':'object','required':['inputs'],'properties':{"
                     "'id':{'type':['string','integer','null']},"
                     "'parameters':{'$ref':'#/components/schemas/InferParameters'},"
                     "'inputs':{'type':'array',");
    buf_printf(out, "\"minItems\":%zu,\"maxItems\":%zu,", required, schema->input_count);
    put_tensors(out, schema->inputs, schema->input_count, WAY_IN);
    openapi_say(
        out, "},'outputs':{'type':['array','null'],'description':'Those that are wanted; without "
             "it, all.','items':{'type':'object','required':['name'],'properties':{"
             "'name':{'enum':[");
    for (size_t i = 0; i < schema->output_count; i++) {
        openapi_say(out, i ? "," : "");
        openapi_string(out, schema->outputs[i].name);
    }
    openapi_say(out, "]},'parameters':{'$ref':'#/components/schemas/OutputParameters'}}}}}},");
}

static void put_model_name(struct buf *out, struct span name)
{
    openapi_say(out, "'model_name':{'const':");
    openapi_string(out, name);
    openapi_say(out, "},'model_version':{'type':'string'}");
}

static void put_infer_response(struct buf *out, struct span name, const struct schema *schema)
{
    openapi_say(out, "'InferResponse':{'type':'object',"
                     "'required':['model_name','model_version','outputs'],"
                     "'properties':{'id':{'type':'string'},");
    put_model_name(out, name);
    openapi_say(out, ",'outputs':{'type':'array',");
    put_tensors(out, schema->outputs, schema->output_count, WAY_OUT);
    openapi_say(out, "}}},");
}

/* ---- generate and predict ---- */

enum value_kind { VALUE_ALONE, VALUE_ROW };

/* An object of the tensors by their names; optional inputs may be left out. */
static void put_object(struct buf *out, const struct tensor_info *infos, size_t count, enum way way,
                       enum value_kind kind)
{
    bool any = false;
    openapi_say(out, "{'type':'object','required':[");
    for (size_t i = 0; i < count; i++) {
        if (infos[i].optional)
            continue;
        openapi_say(out, any ? "," : "");
        openapi_string(out, infos[i].name);
        any = true;
    }
    openapi_say(out, "],'properties':{");
    for (size_t i = 0; i < count; i++) {
        openapi_say(out, i ? "," : "");
        openapi_string(out, infos[i].name);
        openapi_say(out, ":");
        if (kind == VALUE_ROW)
            put_row_value(out, &infos[i], way);
        else
            put_value(out, &infos[i], way, true);
    }
    openapi_say(out, "}}");
}

static void put_generate(struct buf *out, struct span name, const struct schema *schema)
{
    openapi_say(out, "'GenerateRequest':");
    put_object(out, schema->inputs, schema->input_count, WAY_IN, VALUE_ALONE);
    openapi_say(out, ",'GenerateResponse':{'allOf':[");
    put_object(out, schema->outputs, schema->output_count, WAY_OUT, VALUE_ALONE);
    openapi_say(out, "],'required':['model_name','model_version'],'properties':{");
    put_model_name(out, name);
    openapi_say(out, "}},");
}

/* How many inputs a request must give; *ret_one is the last of them. */
static size_t count_required(const struct schema *schema, const struct tensor_info **ret_one)
{
    size_t count = 0;
    for (size_t i = 0; i < schema->input_count; i++) {
        if (schema->inputs[i].optional)
            continue;
        *ret_one = &schema->inputs[i];
        count++;
    }
    return count;
}

static void put_predict(struct buf *out, const struct schema *schema)
{
    const struct tensor_info *only = NULL;
    openapi_say(out, "'PredictRequest':{'type':'object','anyOf':[{'required':['instances']},"
                     "{'required':['inputs']}],'properties':{"
                     "'parameters':{'$ref':'#/components/schemas/Parameters'},"
                     "'instances':{'type':'array','minItems':1,'items':{'anyOf':[");
    put_object(out, schema->inputs, schema->input_count, WAY_IN, VALUE_ROW);
    if (count_required(schema, &only) == 1) {
        openapi_say(out, ",");
        put_row_value(out, only, WAY_IN);
    }
    openapi_say(out, "]}},'inputs':{'description':'The inputs as wholes, answered by outputs; or "
                     "the same as instances.'}}},"
                     "'PredictResponse':{'type':'object','anyOf':[{'required':['predictions']},"
                     "{'required':['outputs']}],'properties':{'predictions':");
    if (schema->output_count == 1) {
        put_value(out, &schema->outputs[0], WAY_OUT, false);
    } else {
        openapi_say(out, "{'type':'array','items':");
        put_object(out, schema->outputs, schema->output_count, WAY_OUT, VALUE_ROW);
        openapi_say(out, "}");
    }
    openapi_say(out, "}}");
}

void openapi_put_model(struct buf *out, struct span name, const struct schema *schema)
{
    put_infer_request(out, schema);
    put_infer_response(out, name, schema);
    put_generate(out, name, schema);
    put_predict(out, schema);
}
