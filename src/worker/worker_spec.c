/* worker_spec as bytes: a version, then the members in the order of the struct; see worker_spec.h.
 */
#include "worker/worker_spec.h"

#include "base/pack.h"

enum { VERSION = 7 };

bool worker_spec_write(const struct worker_spec *spec, struct buf *buf)
{
    if (spec->input_count > TENSOR_MAX_PER_REQUEST || spec->output_count > TENSOR_MAX_PER_REQUEST ||
        spec->parameter_count > WORKER_SPEC_MAX_PARAMETERS)
        return false;
    pack_number(buf, VERSION);
    pack_string(buf, spec->path);
    pack_string(buf, spec->root);
    pack_string(buf, spec->interpreter);
    pack_string(buf, spec->name);
    pack_number(buf, spec->version);
    pack_string(buf, spec->engine);
    pack_tensors(buf, spec->inputs, spec->input_count);
    pack_tensors(buf, spec->outputs, spec->output_count);
    shaping_write(&spec->shaping, buf);
    pack_parameters(buf, spec->parameters, spec->parameter_count);
    pack_number(buf, (uint64_t)spec->max_batch_size);
    pack_number(buf, spec->may_batch);
    pack_number(buf, spec->decoupled);
    pack_number(buf, spec->threads);
    pack_number(buf, spec->concurrency);
    pack_number(buf, spec->keep_limit_bytes);
    pack_string(buf, spec->device);
    warm_ups_write(&spec->warm_ups, buf);
    pack_number(buf, spec->probe);
    pack_number(buf, spec->renamed_in);
    server_config_write(&spec->server, buf);
    pack_number(buf, spec->limits.gpus);
    return buf_ok(buf);
}

bool worker_spec_read(struct span bytes, struct arena *arena, struct worker_spec *ret_spec,
                      struct error *ret_error)
{
    struct unpack unpack = {.rest = bytes, .arena = arena};
    struct worker_spec spec = {.version = 0};
    if (unpack_number(&unpack, VERSION) != VERSION)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "not a worker's specification");
    spec.path = unpack_string(&unpack);
    spec.root = unpack_string(&unpack);
    spec.interpreter = unpack_string(&unpack);
    spec.name = unpack_string(&unpack);
    spec.version = unpack_number(&unpack, UINT64_MAX);
    spec.engine = unpack_string(&unpack);
    spec.inputs = unpack_tensors(&unpack, &spec.input_count);
    spec.outputs = unpack_tensors(&unpack, &spec.output_count);
    shaping_read(&unpack, &spec.shaping);
    spec.parameters = unpack_parameters(&unpack, WORKER_SPEC_MAX_PARAMETERS, &spec.parameter_count);
    spec.max_batch_size = (int64_t)unpack_number(&unpack, UINT64_MAX);
    spec.may_batch = unpack_bool(&unpack);
    spec.decoupled = unpack_bool(&unpack);
    spec.threads = (uint32_t)unpack_number(&unpack, UINT32_MAX);
    spec.concurrency = (uint32_t)unpack_number(&unpack, UINT32_MAX);
    spec.keep_limit_bytes = unpack_number(&unpack, UINT64_MAX);
    spec.device = unpack_string(&unpack);
    warm_ups_read(&unpack, &spec.warm_ups);
    spec.probe = unpack_bool(&unpack);
    spec.renamed_in = unpack_bool(&unpack);
    server_config_read(&unpack, &spec.server);
    spec.limits.gpus = (uint32_t)unpack_number(&unpack, UINT32_MAX);
    if (!unpack_end(&unpack))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "broken worker's specification");
    *ret_spec = spec;
    return true;
}
