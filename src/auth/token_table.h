/* The tokens in force: what the token file says, and how much of its quotas each has used.
 *
 * A token outlives its line in the file as long as somebody holds it: requests do while they run.
 * When the file changes, a token that is still in it keeps its use of quotas. For one thread. */
#ifndef TENSORD_AUTH_TOKEN_TABLE_H
#define TENSORD_AUTH_TOKEN_TABLE_H

#include "auth/token_record.h"

struct token {
    struct token_record record; /* its name and models are the token's own memory */
    struct quota quota;
    unsigned references;
    char *text; /* of name and models */
};

struct token_table {
    struct token **tokens; /* in order of their hashes */
    size_t count;
};

/* What token_table_replace finds different. */
enum token_change { TOKEN_CREATED, TOKEN_CHANGED, TOKEN_REVOKED };

typedef void token_changed(void *context, enum token_change change,
                           const struct token_record *record);

/* Starts without tokens. */
void token_table_init(struct token_table *table);

/* Lets go of all tokens. Accepts NULL. */
void token_table_fini(struct token_table *table);

/* Makes the table what the records say; they are copied. Each difference is told to `changed`,
 * which may be NULL. False when there is no memory: then nothing has changed. */
bool token_table_replace(struct token_table *table, const struct token_record *records,
                         size_t count, token_changed *changed, void *context,
                         struct error *ret_error);

/* The token of that secret, expired ones too; NULL when there is none. The time tells nothing of
 * how near to one a secret is: secrets are compared by their hashes. */
struct token *token_table_find(const struct token_table *table, struct span secret);

/* Whether the token is still in force: it has not been revoked since it was found. */
bool token_table_holds(const struct token_table *table, const struct token *token);

/* Takes and drops a reference. token_unref accepts NULL. */
struct token *token_ref(struct token *token);
void token_unref(struct token *token);

#endif
