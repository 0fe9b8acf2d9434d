/* Questions to and answers of the process that changes the folder of models: what is read must be
 * written back the same, but for the sentence of an error, which may be cut. */
#include "push/install_bytes.h"

#include <assert.h>

enum { MAX_BYTES = 1 << 20 };

static void check_question(struct span bytes, struct arena *arena)
{
    struct install_question question;
    struct buf buf;
    buf_init(&buf, 2 * MAX_BYTES);
    if (install_question_read(bytes, arena, &question)) {
        install_question_write(&question, &buf);
        assert(span_equal(bytes, buf_span(&buf)));
    }
    buf_fini(&buf);
}

static void check_answer(struct span bytes, struct arena *arena)
{
    struct install_answer answer;
    struct buf buf;
    buf_init(&buf, 2 * MAX_BYTES);
    if (install_answer_read(bytes, arena, &answer) && answer.error.code == ERROR_OK) {
        install_answer_write(&answer, &buf);
        assert(buf.size <= bytes.size); /* one without an error has no sentence */
    }
    buf_fini(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = {(const char *)data, size};
    struct arena arena;
    arena_init(&arena, 4096, 64 << 20);
    if (size <= MAX_BYTES) {
        check_question(bytes, &arena);
        check_answer(bytes, &arena);
    }
    arena_fini(&arena);
    return 0;
}
