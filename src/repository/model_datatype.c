/* Triton's datatypes as ours; see model_datatype.h. */
#include "repository/model_datatype.h"

#include "codec/model_config.pb.h"

enum tensord_datatype model_datatype(int32_t data_type)
{
    static const enum tensord_datatype datatypes[] = {
        [INFERENCE_TYPE_BOOL] = TENSORD_BOOL,     [INFERENCE_TYPE_UINT8] = TENSORD_UINT8,
        [INFERENCE_TYPE_UINT16] = TENSORD_UINT16, [INFERENCE_TYPE_UINT32] = TENSORD_UINT32,
        [INFERENCE_TYPE_UINT64] = TENSORD_UINT64, [INFERENCE_TYPE_INT8] = TENSORD_INT8,
        [INFERENCE_TYPE_INT16] = TENSORD_INT16,   [INFERENCE_TYPE_INT32] = TENSORD_INT32,
        [INFERENCE_TYPE_INT64] = TENSORD_INT64,   [INFERENCE_TYPE_FP16] = TENSORD_FP16,
        [INFERENCE_TYPE_FP32] = TENSORD_FP32,     [INFERENCE_TYPE_FP64] = TENSORD_FP64,
        [INFERENCE_TYPE_STRING] = TENSORD_BYTES,  [INFERENCE_TYPE_BF16] = TENSORD_BF16,
    };
    bool known = data_type > 0 && (size_t)data_type < sizeof datatypes / sizeof *datatypes;
    return known ? datatypes[data_type] : TENSORD_INVALID;
}
