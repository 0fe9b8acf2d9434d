/* worker_spec as bytes: what is read must be written back the same. */
#include "worker/worker_spec.h"

#include "failing_allocation.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = {(const char *)data, size};
    struct arena arena;
    struct buf buf;
    struct worker_spec spec;
    arena_init(&arena, 4096, 8 << 20);
    buf_init(&buf, 2 * WORKER_SPEC_MAX_BYTES);
    if (size <= WORKER_SPEC_MAX_BYTES && worker_spec_read(bytes, &arena, &spec, NULL)) {
        assert(worker_spec_write(&spec, &buf));
        assert(span_equal(bytes, buf_span(&buf)));
    }
    buf_fini(&buf);
    arena_fini(&arena);
    arena_init(&arena, 64, 8 << 20);
    failing_allocation_begin(data, size);
    worker_spec_read(bytes, &arena, &spec, NULL);
    failing_allocation_end();
    arena_fini(&arena);
    return 0;
}
