/* The audit log: one line for each change of what the server does, and for each that was refused:
 * who, what, with what result. Lines go into the log, as part "audit", and, when the operator wants
 * it, as JSON lines into a file that is only appended to. */
#ifndef TENSORD_API_AUDIT_H
#define TENSORD_API_AUDIT_H

#include "auth/token_table.h"
#include "base/error.h"

struct api_call;

struct audit {
    int fd;                /* of the file; -1: none */
    bool torn;             /* its last line has no end */
    struct quota refusals; /* are written only so often: whoever is refused may ask again at once */
    uint64_t left_out;     /* refusals since the last one that was written */
};

/* Starts without a file when path is empty; else opens or makes it, mode 0600, before the sandbox
 * closes in. A rotation copies and truncates it. False with a sentence. */
bool audit_open(struct audit *audit, const char *path, struct error *ret_error);

/* Closes the file. Accepts NULL. */
void audit_close(struct audit *audit);

/* Writes what a call did, or tried: "load" of a model, "refused" with the path. The error is
 * ERROR_OK, or NULL, when it went well. */
void audit_call(struct audit *audit, const struct api_call *call, const char *action,
                struct span object, const struct error *error);

/* Writes that a token came, changed or went, as the token file says. */
void audit_token(struct audit *audit, enum token_change change, const struct token_record *record);

/* Writes something else about the server itself: "tokens", with what went wrong. */
void audit_server(struct audit *audit, const char *action, const struct error *error);

#endif
