/* Runs an engine in the test's own process, with a host that keeps what it is told. For tests of
 * engines only. */
#ifndef TENSORD_ENGINES_ENGINE_TRY_H
#define TENSORD_ENGINES_ENGINE_TRY_H

#include "tensord/engine.h"

#include <stdatomic.h>

enum { TRY_MAX_OUTPUTS = 80, TRY_MAX_ROOMS = 80, TRY_REASON_BYTES = 512 };

struct try_output {
    struct tensord_tensor tensor; /* its data is malloc'd */
};

/* An execution and its answer. */
struct try_execution {
    struct tensord_execution tensord; /* first: what the engine is handed */
    struct try_output outputs[TRY_MAX_OUTPUTS];
    size_t output_count;
    void *rooms[TRY_MAX_ROOMS]; /* malloc'd, by room() */
    size_t room_count;
    unsigned answers;           /* final ones; 1 when all is well */
    enum tensord_status status; /* of the final one */
    char reason[TRY_REASON_BYTES];
    atomic_bool cancelled;
};

/* Loads the library; ends the process with a message when it is no engine. */
const struct tensord_engine *engine_try_open(const char *library);

/* The host to hand to load(). */
const struct tensord_host *engine_try_host(void);

/* The last sentence that this thread said by reason(). */
const char *engine_try_reason(void);

/* Lines written by log() since the program started. */
unsigned engine_try_log_count(void);

/* Prepares an execution that wants every output. The inputs are the caller's until its end. */
void try_execution_init(struct try_execution *execution, const struct tensord_tensor *inputs,
                        size_t count);
void try_execution_fini(struct try_execution *execution);

/* The output of that index, or NULL. */
const struct tensord_tensor *try_output(const struct try_execution *execution, uint32_t index);

#endif
