/* Errors: one table of codes, and one small value that carries a code and a sentence.
 *
 * A fallible function returns bool and, on false, has filled the caller's struct error. There is
 * nothing to allocate or free. The sentence is for the client: it holds no path, address or segment
 * name. It is UTF-8: what is not, and a character that did not fit, shows as '?'. */
#ifndef TENSORD_BASE_ERROR_H
#define TENSORD_BASE_ERROR_H

#include <stdbool.h>
#include <stdint.h>

/* One row per code: name, HTTP status, gRPC status (google.rpc.Code), OpenAI error type, default
 * text. The HTTP statuses are those that Triton's clients expect. Of those with 503, UNAVAILABLE
 * invites to come again soon; INTERRUPTED may have been done; FAILED stays so. */
#define ERROR_CODES(ROW)                                                                           \
    ROW(OK, 200, 0, "", "OK")                                                                      \
    ROW(INVALID_ARGUMENT, 400, 3, "invalid_request_error", "Invalid argument")                     \
    ROW(ALREADY_EXISTS, 400, 6, "invalid_request_error", "Already exists")                         \
    ROW(CANCELLED, 400, 1, "invalid_request_error", "Cancelled")                                   \
    ROW(UNAUTHENTICATED, 401, 16, "invalid_request_error", "Unauthenticated")                      \
    ROW(PERMISSION_DENIED, 403, 7, "invalid_request_error", "Permission denied")                   \
    ROW(NOT_FOUND, 404, 5, "invalid_request_error", "Not Found")                                   \
    ROW(METHOD_NOT_ALLOWED, 405, 12, "invalid_request_error", "Method Not Allowed")                \
    ROW(TIMEOUT, 408, 4, "invalid_request_error", "Request Timeout")                               \
    ROW(CONFLICT, 409, 10, "invalid_request_error", "Conflict")                                    \
    ROW(PRECONDITION_FAILED, 412, 9, "invalid_request_error", "Precondition Failed")               \
    ROW(TOO_LARGE, 413, 8, "invalid_request_error", "Content Too Large")                           \
    ROW(URI_TOO_LONG, 414, 3, "invalid_request_error", "URI Too Long")                             \
    ROW(UNSUPPORTED_MEDIA, 415, 12, "invalid_request_error", "Unsupported Media Type")             \
    ROW(MISDIRECTED, 421, 7, "invalid_request_error", "Misdirected Request")                       \
    ROW(UNPROCESSABLE, 422, 3, "invalid_request_error", "Unprocessable Content")                   \
    ROW(RESOURCE_EXHAUSTED, 429, 8, "rate_limit_error", "Too many requests")                       \
    ROW(HEADER_TOO_LARGE, 431, 8, "invalid_request_error", "Request Header Fields Too Large")      \
    ROW(INTERNAL, 500, 13, "server_error", "Internal error")                                       \
    ROW(UNKNOWN, 400, 2, "server_error", "Unknown error")                                          \
    ROW(UNIMPLEMENTED, 501, 12, "invalid_request_error", "Not implemented")                        \
    ROW(BAD_GATEWAY, 502, 14, "server_error", "Bad Gateway")                                       \
    ROW(UNAVAILABLE, 503, 14, "server_error", "Unavailable")                                       \
    ROW(INTERRUPTED, 503, 14, "server_error", "Interrupted")                                       \
    ROW(FAILED, 503, 14, "server_error", "Failed")                                                 \
    ROW(DEADLINE_EXCEEDED, 503, 4, "server_error", "Request timeout expired")                      \
    ROW(GATEWAY_TIMEOUT, 504, 4, "server_error", "Gateway Timeout")                                \
    ROW(HTTP_VERSION, 505, 12, "invalid_request_error", "HTTP Version Not Supported")              \
    ROW(NO_SPACE, 507, 8, "server_error", "Insufficient Storage")

enum error_code {
#define ERROR_ENUM(name, http, grpc, openai, text) ERROR_##name,
    ERROR_CODES(ERROR_ENUM)
#undef ERROR_ENUM
        ERROR_CODE_COUNT
};

struct error {
    enum error_code code;
    char message[504];
    uint32_t retry_after_s; /* when it may be worth trying again; 0: nobody knows */
};

/* Fills *ret_error with code and the formatted sentence, cut to fit. Returns false, so that a
 * caller can write `return error_set(error, …);`. ret_error may be NULL. */
bool error_set(struct error *ret_error, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Says that it may be worth trying again after so many ns: in whole seconds, at least one. Returns
 * false. */
bool error_set_retry(struct error *error, uint64_t after_ns);

/* The error for a failed allocation: RESOURCE_EXHAUSTED "out of memory". Returns false. */
bool error_no_memory(struct error *ret_error);

/* The columns of the table. code must be a row of it. */
unsigned error_http_status(enum error_code code);
unsigned error_grpc_status(enum error_code code);
const char *error_openai_type(enum error_code code);
const char *error_text(enum error_code code);

#endif
