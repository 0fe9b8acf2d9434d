/* Answers of the process that looks at the repository: what is read must be written back the same.
 */
#include "repository/scan_bytes.h"

#include <assert.h>

enum { MAX_BYTES = 1 << 20 };

/* Of one meaning there is one form, but for errors: these are cut, and OK is none. */
static bool has_errors(const struct repository_scan *scan)
{
    for (size_t i = 0; i < scan->version_count; i++) {
        if (scan->versions[i].error)
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = {(const char *)data, size};
    struct repository_scan scan = {.version_count = 0};
    struct buf buf;
    arena_init(&scan.arena, 4096, 64 << 20);
    buf_init(&buf, 2 * MAX_BYTES);
    if (size <= MAX_BYTES && scan_answer_read(bytes, &scan, NULL) && !has_errors(&scan)) {
        scan_answer_write(&scan, &buf);
        assert(buf_ok(&buf));
        assert(span_equal(bytes, buf_span(&buf)));
    }
    buf_fini(&buf);
    repository_scan_fini(&scan);
    return 0;
}
