/* Answers of the process that looks at the repository, and the questions to it: what is read must
 * be written back the same. */
#include "repository/scan_bytes.h"

#include "failing_allocation.h"

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

/* An answer that says why there is no other is read again as the same. */
static void check_error(const struct error *error)
{
    struct repository_scan scan = {.version_count = 0};
    struct error again;
    struct buf buf;
    buf_init(&buf, MAX_BYTES);
    scan_answer_write_error(error, &buf);
    assert(!scan_answer_read(buf_span(&buf), &scan, &again));
    assert(again.code == error->code && strcmp(again.message, error->message) == 0);
    buf_fini(&buf);
}

/* The question that such a process is asked. */
static void check_question(struct span bytes)
{
    static struct span renamed[SCAN_MAX_RENAMED];
    struct buf buf;
    size_t count;
    buf_init(&buf, MAX_BYTES);
    if (bytes.size < MAX_BYTES && scan_question_read(bytes, renamed, &count)) {
        scan_question_write(renamed, count, &buf);
        assert(span_equal(bytes, buf_span(&buf)));
    }
    buf_fini(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = {(const char *)data, size};
    struct repository_scan scan = {.version_count = 0};
    struct buf buf;
    arena_init(&scan.arena, 4096, 64 << 20);
    buf_init(&buf, 2 * MAX_BYTES);
    struct error error = {.code = ERROR_OK};
    bool good = size <= MAX_BYTES && scan_answer_read(bytes, &scan, &error);
    if (size <= MAX_BYTES && !good)
        check_error(&error);
    if (good && !has_errors(&scan)) {
        scan_answer_write(&scan, &buf);
        assert(buf_ok(&buf));
        assert(span_equal(bytes, buf_span(&buf)));
    }
    buf_fini(&buf);
    repository_scan_fini(&scan);
    check_question(bytes);
    scan = (struct repository_scan){.version_count = 0};
    arena_init(&scan.arena, 128, 64 << 20);
    failing_allocation_begin(data, size);
    if (scan_answer_read(bytes, &scan, NULL))
        assert(scan.version_count == 0 || scan.versions);
    failing_allocation_end();
    repository_scan_fini(&scan);
    return 0;
}
