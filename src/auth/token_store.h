/* The state folder's files of tokens: `tokens`, which says what tokens there are, and
 * `admin-token`, the secret of the one that is made at first start, for the same user's command
 * line.
 *
 * Both are for their owner alone. A change replaces the whole file (a rename after fsync), so a
 * reader sees the old one or the new one, and whoever changes it holds a lock on the folder. Every
 * call fails, with a sentence, when the folder belongs to somebody else than this user or root, or
 * others may write it. */
#ifndef TENSORD_AUTH_TOKEN_STORE_H
#define TENSORD_AUTH_TOKEN_STORE_H

#include "auth/token_record.h"

#define TOKEN_STORE_FILE "tokens"
#define TOKEN_STORE_ADMIN_FILE "admin-token"

/* Appends the token file's text; nothing when there is no file. False when it is readable or
 * writable by others, belongs to somebody else, is no plain file or longer than TOKEN_TEXT_BYTES;
 * the sentence says what to do. The text itself is not looked at. */
bool token_store_read(const char *folder, struct buf *to, struct error *ret_error);

/* Makes a new token: fills record->id and hash, created_s from the clock, adds its line, and
 * returns its secret, which is kept nowhere. False when the file cannot be read, is malformed, or
 * cannot be written; then it is as it was. */
bool token_store_create(const char *folder, struct token_record *record,
                        char ret_secret[SECRET_BYTES + 1], struct error *ret_error);

/* Takes the token with that id or name out of the file and fills *ret_id. False likewise, and
 * NOT_FOUND. */
bool token_store_revoke(const char *folder, struct span id_or_name, uint32_t *ret_id,
                        struct error *ret_error);

/* At first start, when there is no token file, makes one with a token of scope admin and writes its
 * secret into the admin file; else does nothing. *ret_made says which. */
bool token_store_begin(const char *folder, bool *ret_made, struct error *ret_error);

/* Reads the admin file's secret. False when there is none or others could read it. */
bool token_store_admin(const char *folder, char ret_secret[SECRET_BYTES + 1],
                       struct error *ret_error);

#endif
