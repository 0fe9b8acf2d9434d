/* Questions and answers about environments; see environment_plan.h. Who answers has read files that
 * are anybody's text: nothing is believed but its form. */
#include "environments/environment_plan.h"

#include "codec/json.h"
#include "codec/json_writer.h"

enum { DEPTH = 16 };

static void put(struct json_writer *writer, struct span key, struct span value)
{
    json_put_key(writer, key);
    if (!json_put_string(writer, value))
        json_put_null(writer); /* a path that is no UTF-8 */
}

void environment_plan_ask(struct buf *buf, const struct environment_question *question,
                          struct span environments)
{
    const struct model_python *python = question->python;
    struct json_writer writer;
    json_writer_init(&writer, buf);
    json_put_object(&writer);
    put(&writer, SPAN("path"), question->path);
    put(&writer, SPAN("root"), question->folder);
    put(&writer, SPAN("engine"), question->engine);
    put(&writer, SPAN("file"), question->file);
    put(&writer, SPAN("environments"), environments);
    json_put_key(&writer, SPAN("python"));
    json_put_object(&writer);
    put(&writer, SPAN("interpreter"), python->interpreter);
    put(&writer, SPAN("version"), python->version);
    json_put_key(&writer, SPAN("requirements"));
    json_put_array(&writer);
    for (size_t i = 0; i < python->requirement_count; i++)
        json_put_string(&writer, python->requirements[i]);
    json_put_array_end(&writer);
    json_put_object_end(&writer);
    json_put_object_end(&writer);
}

static bool is_hash(struct span text)
{
    static const char digits[16] = {'0', '1', '2', '3', '4', '5', '6', '7',
                                    '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
    for (size_t i = 0; i < text.size; i++)
        if (!memchr(digits, text.data[i], sizeof digits))
            return false;
    return text.size == ENVIRONMENT_HASH_BYTES;
}

static void read_member(struct json *json, struct span key, struct environment_plan *plan,
                        struct span *error)
{
    if (span_equal(key, SPAN("interpreter")))
        json_string(json, &plan->interpreter);
    else if (span_equal(key, SPAN("hash")))
        json_string(json, &plan->hash);
    else if (span_equal(key, SPAN("ready")))
        json_bool(json, &plan->ready);
    else if (span_equal(key, SPAN("error")))
        json_string(json, error);
    else
        json_skip(json, NULL);
}

/* Reads the members of any answer. False when it is none. */
static bool read_answer(struct span answer, struct arena *arena, struct environment_plan *ret_plan,
                        struct span *ret_fault)
{
    struct json json;
    struct error error;
    struct span key;
    json_init(&json, answer, DEPTH, arena, &error);
    json_enter_object(&json);
    while (json_next_key(&json, &key))
        read_member(&json, key, ret_plan, ret_fault);
    return json_end(&json);
}

static bool no_sense(struct error *ret_error)
{
    return error_set(ret_error, ERROR_INTERNAL, "the answer about its environment makes no sense");
}

bool environment_plan_read(struct span answer, struct arena *arena,
                           struct environment_plan *ret_plan, struct error *ret_error)
{
    struct environment_plan plan = {.ready = false};
    struct span fault = {0};
    if (!read_answer(answer, arena, &plan, &fault))
        return no_sense(ret_error);
    if (fault.size)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%.*s", SPAN_ARGS(fault));
    if (plan.interpreter.size == 0 || plan.interpreter.data[0] != '/' ||
        plan.interpreter.size > ENVIRONMENT_PATH_MAX_BYTES ||
        memchr(plan.interpreter.data, '\0', plan.interpreter.size) ||
        (plan.hash.size && !is_hash(plan.hash)))
        return no_sense(ret_error);
    *ret_plan = plan;
    return true;
}

bool environment_built_read(struct span answer, struct arena *arena, struct error *ret_error)
{
    struct environment_plan unused = {.ready = false};
    struct span fault = {0};
    if (!read_answer(answer, arena, &unused, &fault))
        return no_sense(ret_error);
    if (fault.size)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "its environment could not be built: %.*s", SPAN_ARGS(fault));
    return true;
}

bool environment_answer_check(struct span answer, struct arena *arena, struct error *ret_error)
{
    struct environment_plan unused = {.ready = false};
    struct span fault = {0};
    if (!read_answer(answer, arena, &unused, &fault))
        return error_set(ret_error, ERROR_INTERNAL, "the answer about environments makes no sense");
    return !fault.size || error_set(ret_error, ERROR_INVALID_ARGUMENT, "%.*s", SPAN_ARGS(fault));
}
