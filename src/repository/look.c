/* The process that looks at the repository. It lives for one scan: then its rights, which are those
 * on the folder of that moment, are of no use any more, and nor is what a config may have done to
 * it. */
#include "repository/scan_bytes.h"

#include "base/clock.h"
#include "base/file_bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
}

static void look(const char *path, struct span question, struct buf *answer)
{
    static struct scan_question asked;
    struct repository_scan scan;
    struct error error;
    if (!scan_question_read(question, &asked))
        error_set(&error, ERROR_INTERNAL, "no question about the repository");
    else if (repository_scan_overridden(path, now_ns(), asked.renamed_in, asked.renamed_count,
                                        asked.overrides, asked.override_count, &scan, &error)) {
        scan_answer_write(&scan, answer);
        repository_scan_fini(&scan);
        return;
    }
    scan_answer_write_error(&error, answer);
}

bool repository_look(const char *path, int fd)
{
    struct arena arena;
    struct span question;
    struct buf answer;
    arena_init(&arena, 4096, (size_t)2 * SCAN_QUESTION_MAX_BYTES);
    if (!file_bytes_read(fd, SCAN_QUESTION_MAX_BYTES, &arena, &question))
        return false;
    buf_init(&answer, SCAN_MAX_BYTES);
    look(path, question, &answer);
    bool written = buf_ok(&answer) && file_bytes_write(fd, buf_span(&answer));
    buf_fini(&answer);
    arena_fini(&arena);
    return written;
}
