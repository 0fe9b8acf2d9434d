/* The token file's text; see token_text.h. Changes are made to the text, not to the records, so
 * that what people wrote between the lines stays. */
#include "auth/token_text.h"

#include <stdlib.h>
#include <string.h>

static const char opening[] = "# tensord's tokens: one a line, the secret as SHA-256 only. "
                              "`tensord token` changes this file,\n"
                              "# and a running server takes a change in at once.\n";

/* The next line that is neither blank nor a comment, trimmed; false at the end. */
static bool next_line(struct span *rest, struct span *ret_line, size_t *line_number)
{
    while (rest->data) {
        struct span line = span_trim(span_split(rest, '\n'));
        ++*line_number;
        if (line.size && line.data[0] != '#') {
            *ret_line = line;
            return true;
        }
    }
    return false;
}

static size_t count_lines(struct span text)
{
    struct span line;
    size_t number = 0, count = 0;
    while (next_line(&text, &line, &number))
        count++;
    return count;
}

static int by_id(const void *left, const void *right)
{
    const struct token_record *a = left, *b = right;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int by_hash(const void *left, const void *right)
{
    const struct token_record *const *a = left, *const *b = right;
    return memcmp((*a)->hash, (*b)->hash, SECRET_HASH_BYTES);
}

/* Sorts the records by id. */
static bool check_unique(struct token_record *records, size_t count, struct error *ret_error)
{
    const struct token_record **hashes = calloc(count + 1, sizeof(void *));
    bool good = hashes != NULL;
    if (!hashes)
        return error_no_memory(ret_error);
    qsort(records, count, sizeof *records, by_id);
    for (size_t i = 0; i < count; i++)
        hashes[i] = &records[i];
    qsort(hashes, count, sizeof *hashes, by_hash);
    for (size_t i = 1; good && i < count; i++) {
        if (records[i].id == records[i - 1].id)
            good = error_set(ret_error, ERROR_INVALID_ARGUMENT, "two tokens have the id %08x",
                             records[i].id);
        else if (by_hash(&hashes[i - 1], &hashes[i]) == 0)
            good = error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "tokens %08x and %08x have the same secret", hashes[i - 1]->id,
                             hashes[i]->id);
    }
    free(hashes);
    return good;
}

static bool parse_lines(struct span text, struct token_record *records, size_t count,
                        struct error *ret_error)
{
    struct span line = {0};
    size_t number = 0;
    for (size_t i = 0; i < count; i++) {
        struct error error;
        next_line(&text, &line, &number);
        if (!token_record_parse(line, &records[i], &error))
            return error_set(ret_error, error.code, "line %zu: %.400s", number, error.message);
    }
    return true;
}

bool token_text_parse(struct span text, struct token_record **ret_records, size_t *ret_count,
                      struct error *ret_error)
{
    if (text.size > TOKEN_TEXT_BYTES || (text.size && memchr(text.data, '\0', text.size)))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "it is longer than %d bytes, or no text", TOKEN_TEXT_BYTES);
    size_t count = count_lines(text);
    if (count > TOKEN_LIMIT)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "it holds more than %d tokens",
                         TOKEN_LIMIT);
    struct token_record *records = calloc(count + 1, sizeof *records);
    if (!records)
        return error_no_memory(ret_error);
    if (!parse_lines(text, records, count, ret_error) || !check_unique(records, count, ret_error)) {
        free(records);
        return false;
    }
    *ret_records = records;
    *ret_count = count;
    return true;
}

void token_text_add(struct span text, const struct token_record *record, struct buf *to)
{
    if (text.size)
        buf_append(to, text);
    else
        buf_append(to, span_of(opening));
    if (text.size && text.data[text.size - 1] != '\n')
        buf_append_char(to, '\n');
    token_record_format(record, to);
}

void token_text_remove(struct span text, uint32_t id, struct buf *to)
{
    struct span rest = text;
    while (rest.size) {
        const char *start = rest.data;
        struct span line = span_split(&rest, '\n'), word = span_trim(line);
        size_t whole = rest.data ? line.size + 1 : line.size;
        uint32_t found;
        if (!token_id_parse(span_split(&word, ' '), &found) || found != id)
            buf_append(to, (struct span){start, whole});
    }
}

const struct token_record *token_find(const struct token_record *records, size_t count,
                                      struct span id_or_name, struct error *ret_error)
{
    uint32_t id;
    const struct token_record *named = NULL;
    bool is_id = token_id_parse(id_or_name, &id), several = false;
    for (size_t i = 0; i < count; i++) {
        if (is_id && records[i].id == id)
            return &records[i];
        if (!span_equal(records[i].name, id_or_name))
            continue;
        several = named != NULL;
        named = &records[i];
        if (several)
            break;
    }
    if (several || !named) {
        error_set(ret_error, several ? ERROR_INVALID_ARGUMENT : ERROR_NOT_FOUND,
                  several ? "several tokens are named '%.*s'; give the id"
                          : "there is no token '%.*s'",
                  SPAN_ARGS(id_or_name));
        return NULL;
    }
    return named;
}
