/* Scopes; see scope.h. What includes what is one table. */
#include "auth/scope.h"

#include <assert.h>
#include <stdio.h>

#define BIT(scope) (1u << SCOPE_##scope)

static const struct {
    const char *name;
    unsigned enough; /* any of these will do for a route of the scope */
} scopes[SCOPE_COUNT] = {
    [SCOPE_OPEN] = {"open", ~0u},
    [SCOPE_READ] = {"read", BIT(READ) | BIT(INFER) | BIT(DEPLOY) | BIT(CODE) | BIT(ADMIN)},
    [SCOPE_INFER] = {"infer", BIT(INFER) | BIT(ADMIN)},
    [SCOPE_DEPLOY] = {"deploy", BIT(DEPLOY) | BIT(CODE) | BIT(ADMIN)},
    [SCOPE_CODE] = {"code", BIT(CODE) | BIT(ADMIN)},
    [SCOPE_ADMIN] = {"admin", BIT(ADMIN)},
};

bool scope_allows(unsigned granted, enum scope wanted)
{
    assert(wanted < SCOPE_COUNT);
    return wanted == SCOPE_OPEN || (granted & scopes[wanted].enough);
}

const char *scope_name(enum scope scope)
{
    assert(scope < SCOPE_COUNT);
    return scopes[scope].name;
}

/* The scope of that name that a token may have, or SCOPE_COUNT. */
static enum scope find(struct span name)
{
    enum scope scope = SCOPE_READ;
    while (scope < SCOPE_COUNT && !span_equal(name, span_of(scopes[scope].name)))
        scope++;
    return scope;
}

bool scope_set_parse(struct span text, unsigned *ret_set, struct error *ret_error)
{
    unsigned set = 0;
    struct span rest = text;
    do {
        struct span name = span_split(&rest, ',');
        enum scope scope = find(name);
        if (scope == SCOPE_COUNT)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'%.*s' is no scope; there are read, infer, deploy, code and admin",
                             (int)(name.size < 32 ? name.size : 32), name.data ? name.data : "");
        set |= scope_bit(scope);
    } while (rest.data);
    *ret_set = set;
    return true;
}

const char *scope_set_format(unsigned set, char text[SCOPE_SET_TEXT_BYTES])
{
    size_t at = 0;
    text[0] = '\0';
    for (enum scope scope = SCOPE_READ; scope < SCOPE_COUNT; scope++) {
        if (set & scope_bit(scope))
            at += (size_t)snprintf(text + at, SCOPE_SET_TEXT_BYTES - at, "%s%s", at ? "," : "",
                                   scopes[scope].name);
    }
    return text;
}
