/* A request for an inference as JSON, whichever reader it is for: what was found lies within the
 * text or the arena, and is whole. */
#ifndef TENSORD_FUZZ_INFER_REQUEST_H
#define TENSORD_FUZZ_INFER_REQUEST_H

#include "api/infer_json.h"
#include "codec/json.h"

#include "failing_allocation.h"

#include <assert.h>

typedef bool infer_request_read(struct span text, struct arena *arena, struct infer_json *request,
                                struct error *ret_error);

/* The data of an input: one value, in the text; whether it is JSON, who reads the tensor finds
 * out. */
static inline void infer_request_check_data(struct span data, struct span text)
{
    struct json json;
    struct span value;
    struct error error;
    assert(data.data >= text.data && data.data + data.size <= text.data + text.size);
    json_init(&json, data, JSON_MAX_DEPTH, NULL, &error);
    assert(json_skip_unread(&json, &value) && json_end(&json));
}

static inline bool infer_request_take(infer_request_read *read, struct span text,
                                      struct arena *arena, struct infer_json *request)
{
    struct error error = {0};
    arena_init(arena, 4096, 1 << 24);
    bool good = read(text, arena, request, &error);
    assert(good || (error.code != ERROR_OK && error.message[0]));
    return good;
}

/* Has the bytes read, what was read checked, and them read again while an allocation fails. */
static inline void infer_request_fuzz(const uint8_t *data, size_t size, infer_request_read *read,
                                      void (*check)(const struct infer_json *request,
                                                    struct span text))
{
    struct span text = {(const char *)data, size};
    struct infer_json request;
    struct arena arena;
    if (infer_request_take(read, text, &arena, &request)) {
        check(&request, text);
        for (size_t i = 0; i < request.parameter_count; i++)
            assert(request.parameters[i].key.data && request.parameters[i].value.data);
    }
    arena_fini(&arena);
    failing_allocation_begin(data, size);
    infer_request_take(read, text, &arena, &request);
    failing_allocation_end();
    arena_fini(&arena);
}

#endif
