/* worker_spec as bytes: written by the front into a sealed memfd, read by the worker. Pure. */
#ifndef TENSORD_WORKER_WORKER_SPEC_H
#define TENSORD_WORKER_WORKER_SPEC_H

#include "base/arena.h"
#include "base/buf.h"
#include "worker/spawner.h"

enum {
    WORKER_SPEC_MAX_BYTES = 4 << 20,
    WORKER_SPEC_MAX_PARAMETERS = 1024,
};

/* Appends the bytes of the spec. False when it has more of anything than the limits allow, or when
 * the buffer fails. */
bool worker_spec_write(const struct worker_spec *spec, struct buf *buf);

/* Reads what worker_spec_write wrote. Strings are views of `bytes`, arrays come from the arena; the
 * spec lives as long as both. Fails with INVALID_ARGUMENT when the bytes are not exactly a spec,
 * and when the arena has no room. */
bool worker_spec_read(struct span bytes, struct arena *arena, struct worker_spec *ret_spec,
                      struct error *ret_error);

#endif
