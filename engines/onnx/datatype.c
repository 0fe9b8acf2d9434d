/* The datatypes of the Open Inference Protocol beside those of ONNX: one table. */
#include "onnx/model.h"

static const struct {
    const char *name;
    int ort;
    size_t size;
} datatypes[TENSORD_DATATYPE_COUNT] = {
    [TENSORD_INVALID] = {"INVALID", ORT_UNDEFINED, 0},
    [TENSORD_BOOL] = {"BOOL", ORT_BOOL, 1},
    [TENSORD_UINT8] = {"UINT8", ORT_UINT8, 1},
    [TENSORD_UINT16] = {"UINT16", ORT_UINT16, 2},
    [TENSORD_UINT32] = {"UINT32", ORT_UINT32, 4},
    [TENSORD_UINT64] = {"UINT64", ORT_UINT64, 8},
    [TENSORD_INT8] = {"INT8", ORT_INT8, 1},
    [TENSORD_INT16] = {"INT16", ORT_INT16, 2},
    [TENSORD_INT32] = {"INT32", ORT_INT32, 4},
    [TENSORD_INT64] = {"INT64", ORT_INT64, 8},
    [TENSORD_FP16] = {"FP16", ORT_FLOAT16, 2},
    [TENSORD_FP32] = {"FP32", ORT_FLOAT, 4},
    [TENSORD_FP64] = {"FP64", ORT_DOUBLE, 8},
    [TENSORD_BF16] = {"BF16", ORT_BFLOAT16, 2},
    [TENSORD_BYTES] = {"BYTES", ORT_STRING, 0},
};

enum tensord_datatype onnx_datatype_of(int ort_datatype)
{
    for (int i = TENSORD_BOOL; i < TENSORD_DATATYPE_COUNT; i++) {
        if (datatypes[i].ort == ort_datatype)
            return (enum tensord_datatype)i;
    }
    return TENSORD_INVALID;
}

int onnx_datatype_to(enum tensord_datatype datatype)
{
    return datatypes[datatype].ort;
}

const char *onnx_datatype_name(enum tensord_datatype datatype)
{
    return datatypes[datatype].name;
}

size_t onnx_datatype_size(enum tensord_datatype datatype)
{
    return datatypes[datatype].size;
}
