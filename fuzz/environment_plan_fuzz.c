/* Answers about environments, from processes that have read files which are anybody's text. */
#include "environments/environment_plan.h"
#include "failing_allocation.h"

#include <assert.h>

enum { ARENA_BYTES = 1 << 20 };

/* What is accepted is what an interpreter and a folder may be called. */
static void check(const struct environment_plan *plan)
{
    assert(plan->interpreter.size > 0 && plan->interpreter.data[0] == '/');
    assert(plan->interpreter.size <= ENVIRONMENT_PATH_MAX_BYTES);
    assert(!memchr(plan->interpreter.data, '\0', plan->interpreter.size));
    assert(plan->hash.size == 0 || plan->hash.size == ENVIRONMENT_HASH_BYTES);
    for (size_t i = 0; i < plan->hash.size; i++)
        assert(plan->hash.data[i] != '/' && plan->hash.data[i] != '.');
}

/* A question whose every member is anybody's text, and still one object. */
static void ask(struct span text)
{
    const struct model_python python = {
        .interpreter = text, .version = text, .requirements = &text, .requirement_count = 1};
    const struct environment_question question = {
        .path = text, .folder = text, .engine = text, .file = text, .python = &python};
    struct buf buf;
    buf_init(&buf, ARENA_BYTES);
    environment_plan_ask(&buf, &question, text);
    assert(!buf_ok(&buf) || (buf.data[0] == '{' && buf.data[buf.size - 1] == '}'));
    buf_fini(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span answer = {(const char *)data, size};
    struct environment_plan plan;
    struct error error = {0};
    struct arena arena;
    arena_init(&arena, 256, ARENA_BYTES);
    if (environment_plan_read(answer, &arena, &plan, &error))
        check(&plan);
    else
        assert(error.code != ERROR_OK);
    ask(answer);
    error = (struct error){0};
    assert(environment_built_read(answer, &arena, &error) || error.message[0]);
    error = (struct error){0};
    assert(environment_answer_check(answer, &arena, &error) || error.message[0]);
    arena_fini(&arena);
    arena_init(&arena, 256, ARENA_BYTES);
    failing_allocation_begin(data, size);
    environment_plan_read(answer, &arena, &plan, &error);
    failing_allocation_end();
    arena_fini(&arena);
    return 0;
}
