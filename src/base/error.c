/* The table of error codes; see error.h. */
#include "base/error.h"

#include "base/utf8.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum { NS_PER_S = 1000000000, MOST_RETRY_S = 3600 };

struct error_row {
    unsigned http;
    unsigned grpc;
    const char *openai_type;
    const char *text;
};

static const struct error_row rows[ERROR_CODE_COUNT] = {
#define ERROR_ROW(name, http, grpc, openai, text) [ERROR_##name] = {http, grpc, openai, text},
    ERROR_CODES(ERROR_ROW)
#undef ERROR_ROW
};

bool error_set(struct error *ret_error, enum error_code code, const char *format, ...)
{
    assert(code != ERROR_OK && code < ERROR_CODE_COUNT);
    if (!ret_error)
        return false;
    ret_error->code = code;
    ret_error->retry_after_s = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(ret_error->message, sizeof ret_error->message, format, args);
    va_end(args);
    utf8_clean(ret_error->message);
    return false;
}

bool error_set_retry(struct error *error, uint64_t after_ns)
{
    uint64_t seconds = after_ns / NS_PER_S + (after_ns % NS_PER_S > 0);
    seconds = seconds < MOST_RETRY_S ? seconds : MOST_RETRY_S;
    error->retry_after_s = seconds ? (uint32_t)seconds : 1;
    return false;
}

bool error_no_memory(struct error *ret_error)
{
    return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "out of memory");
}

static const struct error_row *row_of(enum error_code code)
{
    assert(code < ERROR_CODE_COUNT);
    return &rows[code];
}

unsigned error_http_status(enum error_code code)
{
    return row_of(code)->http;
}

unsigned error_grpc_status(enum error_code code)
{
    return row_of(code)->grpc;
}

const char *error_openai_type(enum error_code code)
{
    return row_of(code)->openai_type;
}

const char *error_text(enum error_code code)
{
    return row_of(code)->text;
}
