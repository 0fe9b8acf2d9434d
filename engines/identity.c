/* The smallest engine: answers every input as the output of the same place. docs/engines.md goes
 * through it line by line.
 *
 * A model is any file that ends in .identity. It has the inputs and outputs that its config
 * declares, as many of these as of those and of the same datatypes, or else INPUT0 and OUTPUT0,
 * FP32. */
#include "tensord/engine.h"

#include <string.h>

static const struct tensord_tensor_info default_input = {
    .name = "INPUT0", .datatype = TENSORD_FP32, .ndim = 1, .shape = {-1}};
static const struct tensord_tensor_info default_output = {
    .name = "OUTPUT0", .datatype = TENSORD_FP32, .ndim = 1, .shape = {-1}};

static const struct tensord_host *host;

static int match(const struct tensord_source *source)
{
    const char *suffix = strrchr(source->path, '.');
    return suffix && strcmp(suffix, ".identity") == 0 ? 100 : 0;
}

static enum tensord_status load(const struct tensord_host *the_host,
                                const struct tensord_source *source,
                                struct tensord_description *ret_description, void **ret_model)
{
    host = the_host;
    if (source->input_count != source->output_count)
        return host->reason(TENSORD_INVALID_ARGUMENT, "identity needs as many outputs as inputs");
    for (size_t i = 0; i < source->input_count; i++) {
        if (source->inputs[i].datatype != source->outputs[i].datatype)
            return host->reason(TENSORD_INVALID_ARGUMENT, "'%s' and '%s' differ in their datatypes",
                                source->inputs[i].name, source->outputs[i].name);
    }
    size_t count = source->input_count ? source->input_count : 1;
    ret_description->platform = "identity";
    ret_description->inputs = source->input_count ? source->inputs : &default_input;
    ret_description->outputs = source->input_count ? source->outputs : &default_output;
    ret_description->input_count = ret_description->output_count = count;
    ret_description->batching = TENSORD_BATCHING_NO; /* one by one costs no more */
    *ret_model = NULL;
    return TENSORD_OK;
}

static void execute(void *model, struct tensord_execution *execution)
{
    for (size_t i = 0; i < execution->input_count; i++) {
        const struct tensord_tensor *input = &execution->inputs[i];
        if (!host->output_input(execution, input->index, input)) {
            host->fail(execution, TENSORD_INTERNAL);
            return;
        }
    }
    host->respond(execution, true);
}

static const struct tensord_engine engine = {
    .abi = TENSORD_ENGINE_ABI,
    .size = sizeof(engine),
    .name = "identity",
    .flags = TENSORD_ENGINE_INLINE, /* it takes no time and never waits */
    .match = match,
    .load = load,
    .execute = execute,
};

const struct tensord_engine *tensord_engine(void)
{
    return &engine;
}
