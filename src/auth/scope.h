/* Scopes: what a caller may do, and what a route asks for. */
#ifndef TENSORD_AUTH_SCOPE_H
#define TENSORD_AUTH_SCOPE_H

#include "base/error.h"
#include "base/span.h"

/* A route has one of these; a token has a set, of all but the first. */
enum scope {
    SCOPE_OPEN,   /* of routes alone: whoever reaches the port; health, and nothing else */
    SCOPE_READ,   /* look: metadata, index, metrics; every other scope includes it */
    SCOPE_INFER,  /* use models */
    SCOPE_DEPLOY, /* load and unload models, and bring those that are data */
    SCOPE_CODE,   /* bring models that are code; includes deploy */
    SCOPE_ADMIN,  /* everything */
    SCOPE_COUNT
};

/* A set of scopes has this bit for each. */
static inline unsigned scope_bit(enum scope scope)
{
    return 1u << scope;
}

/* True when a caller with these scopes may use a route of that scope. */
bool scope_allows(unsigned granted, enum scope wanted);

/* "read", "infer", …; "open" for SCOPE_OPEN. */
const char *scope_name(enum scope scope);

/* Reads a list of names: "infer,deploy". False (INVALID_ARGUMENT) when it is empty or holds a word
 * that is none of a token's scopes, named in the sentence. */
bool scope_set_parse(struct span text, unsigned *ret_set, struct error *ret_error);

enum { SCOPE_SET_TEXT_BYTES = 48 };

/* Writes the list that scope_set_parse reads. Returns text. */
const char *scope_set_format(unsigned set, char text[SCOPE_SET_TEXT_BYTES]);

#endif
