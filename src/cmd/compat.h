/* Being started as another server is: its flags and variables become those of `tensord serve`.
 *
 * What has a meaning here is translated; what makes no difference is accepted, with a note where
 * the operator may want to know; what would silently mean something else is refused. Each server
 * has a table of rows that say so, which docs/config.md prints. */
#ifndef TENSORD_CMD_COMPAT_H
#define TENSORD_CMD_COMPAT_H

#include "base/arena.h"
#include "base/error.h"
#include "base/span.h"

/* What is done with a flag or variable. */
enum compat_rule {
    COMPAT_SETTING,   /* its value is that of the setting `to` */
    COMPAT_INFER,     /* true or false: the setting `to` is infer, or as it is */
    COMPAT_SECONDS,   /* seconds; the setting `to` is in milliseconds */
    COMPAT_BYTES,     /* bytes, -1 for no limit; the setting `to` is in MiB */
    COMPAT_CACHE,     /* "local,size=BYTES": the setting `to` is in MiB; another cache is refused */
    COMPAT_PATH,      /* the folder that is served */
    COMPAT_FOLDER,    /* the same, when no argument names it; looked up by the command itself */
    COMPAT_ADDRESS,   /* of the endpoint `to`: where it listens */
    COMPAT_PORT,      /* of the endpoint `to` */
    COMPAT_ALLOW,     /* whether the endpoint `to` is there */
    COMPAT_MODE,      /* none, poll or explicit: which models are loaded */
    COMPAT_LOAD,      /* whether models are loaded at the start */
    COMPAT_VERBOSITY, /* lines of the level `to` and below are logged or not */
    COMPAT_NOTHING,   /* nothing needs to be done; `note` says why */
    COMPAT_NO_VALUE,  /* the same of a flag without a value */
    COMPAT_OFF,       /* off is what happens here; anything else is refused, and `note` says why */
    COMPAT_REFUSED,   /* refused; `note` says why */
};

/* A row of a server's table. */
struct compat_row {
    const char *name; /* "--http-port", "MLSERVER_HTTP_PORT"; NULL ends the table */
    enum compat_rule rule;
    const char *to;
    const char *note; /* NULL: there is nothing to say */
};

/* Where the other server listens. */
struct compat_endpoint {
    const char *name; /* "http", "grpc", "metrics" */
    const char *address, *port;
    bool allowed;
};

enum { COMPAT_ENDPOINTS = 3, COMPAT_ARGUMENTS = 256 };

/* A translation on its way. */
struct compat {
    const char *command; /* "tritonserver", for sentences */
    struct compat_endpoint endpoints[COMPAT_ENDPOINTS];
    const char *path;                  /* NULL: not given yet */
    const char *load;                  /* "all" or "explicit" */
    const char *log_level;             /* NULL: the default */
    char *arguments[COMPAT_ARGUMENTS]; /* of `serve` */
    int count;
    struct arena arena;
};

/* The row of that name, or NULL. */
const struct compat_row *compat_find(const struct compat_row *rows, struct span name);

/* Fills the error for a name that is none of the rows', with the nearest one. Returns false. */
bool compat_unknown(const struct compat_row *rows, struct span name, struct error *ret_error);

/* Carries out a row; `name` is how the operator spelled it, for sentences. False with a sentence
 * when the value is wrong or the row is refused. */
bool compat_apply(struct compat *compat, const struct compat_row *row, const char *name,
                  const char *value, struct error *ret_error);

/* Adds an argument of `serve`: "--SETTING=VALUE", or VALUE alone when setting is NULL. */
bool compat_add(struct compat *compat, const char *setting, const char *value,
                struct error *ret_error);

/* Writes what becomes of a row, "--listen" or "refused: …", into text and returns it. */
const char *compat_describe(const struct compat_row *row, char *text, size_t size);

/* Says "tensord COMMAND: NAME: NOTE" on standard error. */
void compat_note(const struct compat *compat, const char *name, const char *note);

/* Completes the arguments, says what they are, and serves. Returns the exit status. */
int compat_serve(struct compat *compat);

/* The tables: tritonserver's flags, and mlserver's variables. */
extern const struct compat_row tritonserver_rows[];
extern const struct compat_row mlserver_rows[];

#endif
