/* What an answer consists of: its outputs, whoever gave them. */
#ifndef TENSORD_SERVING_INFERENCE_OUTPUTS_H
#define TENSORD_SERVING_INFERENCE_OUTPUTS_H

#include "base/tensor.h"

/* An output as the API sees it. data may change at any time (the worker can write it), so whoever
 * parses it reads each byte once; it is valid until inference_more returns it or inference_fini. */
struct inference_output {
    const struct tensor_info *info; /* name; of the generation's schema */
    enum tensord_datatype datatype;
    struct shape shape;
    struct span data;
};

/* The outputs of an answer, in the order in which they were asked for. */
struct inference_outputs {
    const struct inference_output *items;
    size_t count;
};

#endif
