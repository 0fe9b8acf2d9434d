/* One element of a tensor of numbers. */
#ifndef TENSORD_CODEC_ELEMENT_H
#define TENSORD_CODEC_ELEMENT_H

#include "base/tensor.h"

#include <string.h>

/* Whose member is meant, its datatype says: BOOL is u8, FP16 and BF16 are u16 (codec/half.h). */
union element {
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
};

/* The element at a place that need not be aligned, and that others may write: it is read once. Not
 * for BYTES. */
static inline union element element_read(enum tensord_datatype datatype, const char *at)
{
    union element element = {.u64 = 0};
    memcpy(&element, at, datatype_size_bytes(datatype));
    return element;
}

#endif
