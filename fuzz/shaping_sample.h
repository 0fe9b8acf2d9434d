/* Of everything that a model may have otherwise than clients, one: for messages that say it. */
#ifndef TENSORD_FUZZ_SHAPING_SAMPLE_H
#define TENSORD_FUZZ_SHAPING_SAMPLE_H

#include "base/shaping.h"

/* Of a model with inputs "x", "y" and "n", and an output "x". Lives for ever. */
static inline struct shaping shaping_sample(void)
{
    static struct shaped_tensor shaped[] = {
        {SPAN("x"), false, SHAPED_RESHAPED, {2, {-1, 4}}, {3, {-1, 2, 2}}, {NULL, 0}},
        {SPAN("x"), true, SHAPED_SCATTERED, {2, {-1, -1}}, {0}, SPAN("x")}};
    static struct batch_input made[] = {{SPAN("n"), BATCH_ITEM_SHAPE, TENSORD_INT32, SPAN("x")}};
    static struct span padded = SPAN("y");
    static int64_t sizes[] = {4, 8};
    static struct padding paddings[] = {{.inputs = &padded,
                                         .input_count = 1,
                                         .outputs = &padded,
                                         .output_count = 1,
                                         .dim = 1,
                                         .sizes = sizes,
                                         .size_count = 2}};
    return (struct shaping){shaped, 2, made, 1, paddings, 1};
}

#endif
