/* The text of the token file: a token a line, blank lines and # comments between. Pure. */
#ifndef TENSORD_AUTH_TOKEN_TEXT_H
#define TENSORD_AUTH_TOKEN_TEXT_H

#include "auth/token_record.h"

enum { TOKEN_TEXT_BYTES = 1 << 20 };

/* Reads all of it. *ret_records, in order of id, is heap memory that the caller frees; what the
 * records name points into text. False with a sentence that names the line: what
 * token_record_parse refuses, an id or a hash that comes twice, more than TOKEN_LIMIT tokens. */
bool token_text_parse(struct span text, struct token_record **ret_records, size_t *ret_count,
                      struct error *ret_error);

/* Appends text and behind it the record's line; an empty text is begun with a comment that says
 * what the file is. */
void token_text_add(struct span text, const struct token_record *record, struct buf *to);

/* Appends text without the line of that token; everything else stays as it is. */
void token_text_remove(struct span text, uint32_t id, struct buf *to);

/* The one token with that id, or that name when no other has it. NULL (NOT_FOUND, or
 * INVALID_ARGUMENT when several have the name) otherwise. */
const struct token_record *token_find(const struct token_record *records, size_t count,
                                      struct span id_or_name, struct error *ret_error);

#endif
