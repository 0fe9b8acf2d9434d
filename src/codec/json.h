/* A pull reader of JSON (RFC 8259) over a whole text in memory.
 *
 * The caller asks for what it expects and gets it, or an error that says what was expected at which
 * byte. There is no tree: numbers go straight to where they stay, and a string without escapes is a
 * span of the text. It is strict: UTF-8 only, no NaN, no trailing comma, no lone surrogate, nothing
 * after the value. Nothing recurses; depth is bounded by json_init.
 *
 *     json_init(&json, text, JSON_MAX_DEPTH, &arena, error);
 *     json_enter_object(&json);
 *     while (json_next_key(&json, &key)) {
 *         if (span_equal(key, SPAN("id")))
 *             json_string(&json, &id);
 *         else
 *             json_skip(&json, NULL);
 *     }
 *     return json_end(&json);
 *
 * The first failure stays: every later call returns false and changes nothing, so that a caller may
 * look once, at the end. Outputs are untouched by a failing call. Telling the same key twice from
 * two keys is the caller's: keys come unescaped, so comparing bytes is enough.
 *
 * Not for several threads at once. */
#ifndef TENSORD_CODEC_JSON_H
#define TENSORD_CODEC_JSON_H

#include "base/arena.h"
#include "base/error.h"
#include "base/span.h"
#include "codec/number.h"

enum { JSON_MAX_DEPTH = 64 };

enum json_kind {
    JSON_NONE, /* no value starts here */
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_BOOL,
    JSON_NULL,
};

struct json {
    const char *start; /* offsets in errors count from here */
    const char *at;
    const char *end;
    uint64_t objects;   /* bit d: the container entered at depth d is an object */
    uint32_t depth;     /* containers that are open */
    uint32_t max_depth; /* ≤ JSON_MAX_DEPTH */
    bool first;         /* nothing was read yet in the innermost container */
    bool failed;
    struct arena *arena; /* for strings with escapes */
    struct error *error; /* the caller's */
};

/* Starts to read `text`, which must outlive the reader and every span that comes from it. At most
 * max_depth ≤ JSON_MAX_DEPTH containers may be inside one another. arena and error must outlive the
 * reader; the arena may be NULL when only json_skip, numbers and tensors are read. */
void json_init(struct json *json, struct span text, uint32_t max_depth, struct arena *arena,
               struct error *error);

/* Starts to read a value that json_skip of `outer` returned, maybe later. Errors name offsets in
 * the outer text and go to the same struct error; only this reader fails with them. */
void json_init_value(struct json *json, const struct json *outer, struct span value);

/* True until a call has failed. */
static inline bool json_ok(const struct json *json)
{
    return !json->failed;
}

/* Fails with INVALID_ARGUMENT, the formatted sentence and " at byte N", N being where the reader
 * is; does nothing when it has failed before. Returns false. */
bool json_fail(struct json *json, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What the next value is, by its first byte. */
enum json_kind json_peek(struct json *json);

/* Enters an object, whose members json_next_key then visits. */
bool json_enter_object(struct json *json);

/* Goes to the next member: returns its key, after which its value must be read or skipped. False at
 * the object's end, which leaves it, and after a failure; json_ok tells. A key with an escape lies
 * in the arena. A key with \u0000 is refused: no name of ours has one. */
bool json_next_key(struct json *json, struct span *ret_key);

/* Reads the value of the member that `key` names. False, having failed, when there cannot be one.
 */
typedef bool json_member(void *context, struct span key);

/* Reads an object, each member by a call. False after a failure. */
bool json_members(struct json *json, json_member *member, void *context);

/* Starts to read `text` as json_init does, and reads it as one object to its end. */
bool json_read_object(struct json *json, struct span text, struct arena *arena, struct error *error,
                      json_member *member, void *context);

/* Enters an array, whose elements json_next_element then visits. */
bool json_enter_array(struct json *json);

/* Goes to the next element, which must then be read or skipped. False at the array's end, which
 * leaves it, and after a failure; json_ok tells. */
bool json_next_element(struct json *json);

/* Reads a string without \u0000. In place, or in the arena when it has escapes. */
bool json_string(struct json *json, struct span *ret_string);

/* As json_string; \u0000 is allowed. For values that are only passed on with their size. */
bool json_string_with_nul(struct json *json, struct span *ret_string);

/* A string as it is written: checked, not yet unescaped. */
struct json_text {
    struct span raw; /* between the quotes */
    size_t size;     /* bytes of the string that it means */
    bool escaped;    /* raw has escapes, so is not yet that string */
    bool nul;        /* \u0000 is among them */
};

/* Reads a string and leaves the unescaping to json_text_copy, for callers with room of their own.
 */
bool json_text(struct json *json, struct json_text *ret_text);

/* Writes the text->size bytes of the string. */
void json_text_copy(const struct json_text *text, char *to);

/* Reads a number, to be converted by the number_to_ calls. */
bool json_number(struct json *json, struct number *ret_number);

/* Read a number; a value that the type cannot hold is an error. */
bool json_double(struct json *json, double *ret_value);
bool json_i64(struct json *json, int64_t *ret_value);
bool json_u64(struct json *json, uint64_t *ret_value);

/* Reads true or false. */
bool json_bool(struct json *json, bool *ret_value);

/* Reads null. */
bool json_null(struct json *json);

/* Reads any value and checks all of it. ret_value, unless NULL, is where it stands, for
 * json_init_value. */
bool json_skip(struct json *json, struct span *ret_value);

/* As json_skip, for a value that is read later, to its end, from ret_value: of an array without
 * strings only the brackets are looked at, and that it is JSON, its reader finds out. A tensor is
 * so not read twice. */
bool json_skip_unread(struct json *json, struct span *ret_value);

/* Ends the reading: false, as for any failure, unless only blanks are left. All that was entered
 * must have been left. */
bool json_end(struct json *json);

#endif
