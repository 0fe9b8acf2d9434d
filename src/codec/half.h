/* FP16 (IEEE binary16) and BF16 (the upper half of a float), as bits. Pure; any thread. */
#ifndef TENSORD_CODEC_HALF_H
#define TENSORD_CODEC_HALF_H

#include <stdbool.h>
#include <stdint.h>

/* The nearest one, ties to even. False when the finite value is beyond the largest one. */
bool fp16_from_double(double value, uint16_t *ret_bits);
bool bf16_from_double(double value, uint16_t *ret_bits);

/* The value, exactly; infinities and NaN too. */
float fp16_to_float(uint16_t bits);
float bf16_to_float(uint16_t bits);

#endif
