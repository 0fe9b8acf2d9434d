/* The token file: what is read can be written, and reads back the same; taking every token away
 * leaves a file without tokens. */
#include "auth/token_text.h"

#include "failing_allocation.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { BYTES = 1 << 21 };

static void check_written(const struct token_record *record)
{
    struct token_record again;
    struct buf line;
    buf_init(&line, BYTES);
    token_record_format(record, &line);
    assert(buf_ok(&line) && line.data[line.size - 1] == '\n');
    /* A line is longer when it is written out than as it was abbreviated: only then is it refused.
     */
    if (line.size - 1 <= TOKEN_LINE_BYTES) {
        assert(token_record_parse((struct span){line.data, line.size - 1}, &again, NULL));
        assert(again.id == record->id && again.scopes == record->scopes);
        assert(span_equal(again.name, record->name) && span_equal(again.models, record->models));
        assert(again.expires_s == record->expires_s && again.created_s == record->created_s);
        assert(memcmp(&again.limits, &record->limits, sizeof again.limits) == 0);
        assert(memcmp(again.hash, record->hash, sizeof again.hash) == 0);
    }
    buf_fini(&line);
}

static void check_removed(struct span text, const struct token_record *records, size_t count)
{
    struct token_record *left;
    size_t left_count;
    struct buf now, next;
    buf_init(&now, BYTES);
    buf_append(&now, text);
    for (size_t i = 0; i < count && i < 4; i++) {
        buf_init(&next, BYTES);
        token_text_remove(buf_span(&now), records[i].id, &next);
        buf_fini(&now);
        now = next;
        assert(buf_ok(&now));
        assert(token_text_parse(buf_span(&now), &left, &left_count, NULL));
        assert(left_count == count - i - 1);
        free(left);
    }
    buf_fini(&now);
}

/* A token under another id, but of the same secret, makes the file one that is refused; so it was
 * added. It is found by its id, whatever its name is. */
static void check_added(struct span text, const struct token_record *record)
{
    struct token_record other = *record, *records;
    struct buf more;
    char id[TOKEN_ID_TEXT_BYTES];
    size_t count;
    other.id ^= 1;
    buf_init(&more, BYTES);
    token_text_add(text, &other, &more);
    assert(buf_ok(&more) && more.size > text.size);
    assert(!token_text_parse(buf_span(&more), &records, &count, NULL));
    snprintf(id, sizeof id, "%08x", record->id);
    assert(token_find(record, 1, span_of(id), NULL) == record);
    token_find(record, 1, record->name, NULL);
    buf_fini(&more);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    struct token_record *records;
    struct error error = {0};
    size_t count;
    failing_allocation_begin((const uint8_t *)"", 0);
    assert(!token_text_parse(text, &records, &count, &error));
    failing_allocation_end();
    if (!token_text_parse(text, &records, &count, &error)) {
        assert(error.code != ERROR_OK && error.message[0]);
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        check_written(&records[i]);
    if (count)
        check_added(text, &records[0]);
    check_removed(text, records, count);
    free(records);
    return 0;
}
