/* Credentials; see credentials.h. */
#include "auth/credentials.h"

#include "auth/secret.h"
#include "base/base64.h"

/* ---- Authorization ---- */

static bool malformed(struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "malformed Authorization; it is: Bearer TOKEN");
}

static bool read_basic(struct span encoded, char room[CREDENTIALS_BYTES], struct span *ret_secret,
                       struct error *ret_error)
{
    struct span password = {room, 0};
    if (base64_most_bytes(encoded.size) > CREDENTIALS_BYTES ||
        !base64_decode(encoded, room, &password.size))
        return malformed(ret_error);
    span_split(&password, ':'); /* a user's name has no colon, a password may */
    if (!password.size)
        return malformed(ret_error);
    *ret_secret = password;
    return true;
}

bool credentials_parse(struct span value, char room[CREDENTIALS_BYTES], struct span *ret_secret,
                       struct error *ret_error)
{
    struct span rest = span_trim(value), scheme = span_split(&rest, ' ');
    rest = span_trim(rest);
    bool bearer = span_equal(scheme, SPAN("Bearer")) || span_equal_nocase(scheme, SPAN("Bearer"));
    if (!bearer && !span_equal_nocase(scheme, SPAN("Basic")))
        return error_set(ret_error, ERROR_UNAUTHENTICATED,
                         "unknown kind of Authorization; it is: Bearer TOKEN");
    if (!rest.size || memchr(rest.data, ' ', rest.size) || memchr(rest.data, '\t', rest.size))
        return malformed(ret_error);
    if (!bearer)
        return read_basic(rest, room, ret_secret, ret_error);
    *ret_secret = rest;
    return true;
}

/* ---- queries ---- */

static int hex_digit(char c)
{
    return hex_value(c >= 'A' && c <= 'F' ? (char)(c + ('a' - 'A')) : c);
}

/* Takes the next character off text, decoded; false at its end. */
static bool next_char(struct span *text, char *ret_char)
{
    if (!text->size)
        return false;
    int high = text->size > 2 && text->data[0] == '%' ? hex_digit(text->data[1]) : -1;
    int low = high >= 0 ? hex_digit(text->data[2]) : -1;
    *ret_char = low >= 0 ? (char)(high << 4 | low) : text->data[0];
    *text = span_after(*text, low >= 0 ? 3 : 1);
    return true;
}

/* True when the decoded text starts with these lower-case letters, in any case; whole: and ends
 * there. "-" and "_" are the same. */
static bool decodes_to(struct span text, struct span letters, bool whole)
{
    for (size_t i = 0; i < letters.size; i++) {
        char c;
        if (!next_char(&text, &c))
            return false;
        c = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c == '-' ? '_' : c;
        if (c != letters.data[i])
            return false;
    }
    return !whole || text.size == 0;
}

static bool names_secret(struct span name)
{
    static const struct span names[] = {
        SPAN("token"),   SPAN("access_token"), SPAN("auth_token"),    SPAN("bearer_token"),
        SPAN("api_key"), SPAN("apikey"),       SPAN("authorization"), SPAN("tensord_token")};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (decodes_to(name, names[i], true))
            return true;
    }
    return false;
}

bool query_has_secret(struct span query)
{
    struct span rest = query;
    while (rest.size) {
        struct span value = span_split(&rest, '&'), name = span_split(&value, '=');
        if (names_secret(name) || decodes_to(value, SPAN(SECRET_PREFIX), false) ||
            decodes_to(name, SPAN(SECRET_PREFIX), false))
            return true;
    }
    return false;
}
