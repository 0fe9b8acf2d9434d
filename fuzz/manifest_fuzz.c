/* Manifests of clients: what is taken is in order, stays within its folder, and is no folder as
 * well as a file. */
#include "push/manifest.h"

#include "failing_allocation.h"

#include <assert.h>

enum { MAX_FILES = 16, ARENA_BYTES = 1 << 24 };

static void check(const struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->count; i++) {
        struct span rest = manifest->files[i].path;
        assert(rest.size && !memchr(rest.data, '\0', rest.size));
        while (rest.data) {
            struct span part = span_split(&rest, '/');
            assert(part.size && !span_equal(part, SPAN(".")) && !span_equal(part, SPAN("..")));
        }
    }
    if (manifest_is_of_versions(manifest))
        assert(manifest_last_version(manifest) <= INT64_MAX);
    manifest_size_bytes(manifest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = {(const char *)data, size};
    struct manifest manifest;
    struct error error;
    struct arena arena;
    arena_init(&arena, 4096, ARENA_BYTES);
    if (manifest_read(bytes, MAX_FILES, &arena, &manifest, &error) &&
        manifest_check(&manifest, &error))
        check(&manifest);
    model_name_check(bytes, NULL);
    arena_fini(&arena);
    arena_init(&arena, 256, ARENA_BYTES);
    failing_allocation_begin(data, size);
    manifest_read(bytes, MAX_FILES, &arena, &manifest, &error);
    failing_allocation_end();
    arena_fini(&arena);
    return 0;
}
