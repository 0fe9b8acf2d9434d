/* The worker_spec that a process was started with: the bytes of a memfd, as they lie there. */
#ifndef TENSORD_WORKER_SPEC_MAP_H
#define TENSORD_WORKER_SPEC_MAP_H

#include "worker/worker_spec.h"

enum { SPEC_ARENA_BYTES = 8 << 20 };

/* Reads the specification in the file. Its strings point into the bytes, which stay mapped for as
 * long as the process lives; its lists lie in arena. The descriptor stays the caller's. False with
 * why there is none. */
bool spec_map_read(int fd, struct arena *arena, struct worker_spec *ret_spec,
                   struct error *ret_error);

#endif
