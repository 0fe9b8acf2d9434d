/* A config's parts that exclude each other; see model_exclusions.h. */
#include "repository/model_exclusions.h"

#include "repository/model_config.h"
#include "repository/model_engine.h"

bool model_exclusions_check(const struct inference_model_config *from,
                            const struct tensord_model_sections *sections, struct error *ret_error)
{
    bool engine = model_engine_is_named(from), server = sections->server;
    bool tensors = from->input.count || from->output.count;
    bool ensemble = from->which_scheduling_choice == MODEL_SCHEDULING_ENSEMBLE;
    bool steps = sections->steps.count, pipeline = steps || ensemble;
    bool sequences = from->which_scheduling_choice == MODEL_SCHEDULING_SEQUENCE_BATCHING;
    bool decoupled = from->model_transaction_policy && from->model_transaction_policy->decoupled;
    bool cache = from->response_cache && from->response_cache->enable;
    bool coalesce = sections->scheduling && sections->scheduling->coalesce;
    const struct {
        bool both;
        const char *sentence;
    } exclusions[] = {
        {server && (engine || tensors || sequences),
         "'server' excludes 'backend', 'platform', 'input', 'output' and 'sequence_batching': the "
         "program answers requests in its own way"},
        {server && cache,
         "'server' excludes 'response_cache': the program answers requests in its own way"},
        {server && from->model_warmup.count,
         "'server' excludes 'model_warmup': the program is not asked by us"},
        {server && sections->workers, "'server' excludes 'workers': the program runs once"},
        {steps && ensemble, "'steps' excludes 'ensemble_scheduling', which says the same"},
        {pipeline && (engine || from->default_model_filename.size || server || sections->python ||
                      decoupled || sequences),
         "a pipeline excludes 'backend', 'platform', 'default_model_filename', "
         "'model_transaction_policy', 'sequence_batching', 'python' and 'server': its steps do the "
         "work"},
        {pipeline && from->model_warmup.count,
         "a pipeline excludes 'model_warmup': its steps' models have it"},
        {pipeline && sections->workers,
         "a pipeline excludes 'workers': its steps' models have them"},
        {pipeline && (sections->cpuset || sections->gpus.count),
         "a pipeline excludes 'cpuset' and 'gpus': its steps' models have them"},
        {sequences && (cache || coalesce),
         "'sequence_batching' excludes 'response_cache' and 'scheduling.coalesce': an answer "
         "follows from the requests before it"},
        {sequences && sections->rollout,
         "'sequence_batching' excludes 'rollout': a sequence is with one version"},
        {cache && decoupled,
         "'response_cache' excludes a decoupled 'model_transaction_policy': only single answers "
         "are kept"},
        {coalesce && (decoupled || server),
         "'scheduling.coalesce' excludes 'server' and a decoupled 'model_transaction_policy': only "
         "single answers are shared"},
    };
    for (size_t i = 0; i < sizeof exclusions / sizeof *exclusions; i++) {
        if (exclusions[i].both)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s", exclusions[i].sentence);
    }
    return true;
}
