/* What is known of one token, and how it is written: a line of the token file.
 *
 *     3f9c2a71 name=laptop scopes=infer,deploy models=iris*,bert created=2026-01-01T10:00:00Z
 *              expires=2026-12-31T00:00:00Z rate=20/s burst=40 concurrency=4 weight=3
 *              sha256=<64 digits>
 *
 * in one line, in any order behind the id; only scopes and sha256 must be there. Pure. */
#ifndef TENSORD_AUTH_TOKEN_RECORD_H
#define TENSORD_AUTH_TOKEN_RECORD_H

#include "auth/quota.h"
#include "auth/secret.h"
#include "base/buf.h"

enum {
    TOKEN_NAME_BYTES = 64,
    TOKEN_MODELS_BYTES = 512,
    TOKEN_LINE_BYTES = 1024,
    TOKEN_LIMIT = 4096, /* in one file */
    TOKEN_MAX_WEIGHT = 1000,
    TOKEN_ID_TEXT_BYTES = 9,
};

struct token_record {
    uint32_t id;        /* public: logs and lists show it */
    struct span name;   /* letters, digits and . _ - @ + ; may be empty */
    struct span models; /* patterns of the models it may use, separated by commas; "*": all */
    unsigned scopes;
    int64_t created_s; /* 0: not said */
    int64_t expires_s; /* DATE_NEVER: never */
    struct quota_limits limits;
    uint32_t weight; /* of its turns where others wait, too; 0: 1 */
    unsigned char hash[SECRET_HASH_BYTES];
};

/* Sets what a record is when nothing is said of it: all models, no end, no quotas, no scope, the
 * usual weight. */
void token_record_init(struct token_record *record);

/* Reads a line; name and models point into it. False (INVALID_ARGUMENT) with a sentence: an unknown
 * or repeated key, a value that is not what it should be, something missing. A key that this
 * version does not know might be a restriction, so it is refused. */
bool token_record_parse(struct span line, struct token_record *ret_record, struct error *ret_error);

/* Sets the key's value, as in a line. False as above. For the command line too. */
bool token_record_set(struct token_record *record, struct span key, struct span value,
                      struct error *ret_error);

/* Appends the line, with its newline. */
void token_record_format(const struct token_record *record, struct buf *to);

/* Reads the eight hexadecimal digits of an id, lower case. */
bool token_id_parse(struct span text, uint32_t *ret_id);

/* True while the token may be used. */
static inline bool token_record_current(const struct token_record *record, int64_t now_s)
{
    return now_s < record->expires_s;
}

#endif
