/* Which shared memory may be registered, by its key, and which part of it. Pure. */
#ifndef TENSORD_REGIONS_REGION_KEY_H
#define TENSORD_REGIONS_REGION_KEY_H

#include "base/error.h"
#include "base/span.h"

enum { REGION_NAME_MAX_BYTES = 255, REGION_KEY_MAX_BYTES = 255 };

/* Takes the key of a POSIX shared memory object, "/name" or "name", apart: *ret_file is the name of
 * its file. False (INVALID_ARGUMENT) when it is no such key, or one that belongs to others:
 * Triton's own segments, and POSIX semaphores, which lie in the same folder. `region` is for the
 * sentence. */
bool region_key_read(struct span region, struct span key, struct span *ret_file,
                     struct error *ret_error);

/* Whether a region may have this name: text of 1 to 255 bytes, without control characters. */
bool region_name_check(struct span region, struct error *ret_error);

/* Whether [offset, offset + size) is a part of `whole` bytes, and not empty. */
bool region_part_fits(uint64_t offset, uint64_t size, uint64_t whole);

#endif
