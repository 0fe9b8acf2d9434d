/* The tokens in force; see token_table.h. */
#include "auth/token_table.h"

#include <assert.h>
#include <stdlib.h>

void token_table_init(struct token_table *table)
{
    *table = (struct token_table){0};
}

void token_table_fini(struct token_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->count; i++)
        token_unref(table->tokens[i]);
    free(table->tokens);
    token_table_init(table);
}

struct token *token_ref(struct token *token)
{
    token->references++;
    return token;
}

void token_unref(struct token *token)
{
    if (!token)
        return;
    assert(token->references > 0);
    if (--token->references > 0)
        return;
    free(token->text);
    free(token);
}

/* ---- finding ---- */

static int by_hash(const void *left, const void *right)
{
    const struct token *const *a = left, *const *b = right;
    return memcmp((*a)->record.hash, (*b)->record.hash, SECRET_HASH_BYTES);
}

/* The place of the first token whose hash is not less. Which hashes an attempt passes says nothing
 * of any secret: nobody can choose what a secret hashes to. */
static size_t place_of(const struct token_table *table, const unsigned char *hash)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(table->tokens[middle]->record.hash, hash, SECRET_HASH_BYTES) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct token *find_hash(const struct token_table *table, const unsigned char *hash)
{
    size_t place = place_of(table, hash);
    if (place == table->count || !secret_hash_equal(table->tokens[place]->record.hash, hash))
        return NULL;
    return table->tokens[place];
}

struct token *token_table_find(const struct token_table *table, struct span secret)
{
    unsigned char hash[SECRET_HASH_BYTES];
    if (secret.size != SECRET_BYTES)
        return NULL;
    secret_hash(secret, hash);
    return find_hash(table, hash);
}

bool token_table_holds(const struct token_table *table, const struct token *token)
{
    return find_hash(table, token->record.hash) == token;
}

/* ---- replacing ---- */

/* Copies name and models into memory of their own, which goes to *ret_text. */
static bool copy_text(struct token_record *record, char **ret_text)
{
    size_t name = record->name.size, models = record->models.size;
    char *text = malloc(name + models + 1);
    if (!text)
        return false;
    if (name)
        memcpy(text, record->name.data, name);
    if (models)
        memcpy(text + name, record->models.data, models);
    record->name.data = text;
    record->models.data = text + name;
    *ret_text = text;
    return true;
}

static struct token *token_new(const struct token_record *record)
{
    struct token *token = calloc(1, sizeof *token);
    if (!token)
        return NULL;
    token->record = *record;
    token->references = 1;
    if (copy_text(&token->record, &token->text))
        return token;
    free(token);
    return NULL;
}

static bool make_tokens(const struct token_record *records, size_t count,
                        struct token_table *ret_table)
{
    struct token_table table = {.tokens = calloc(count + 1, sizeof *table.tokens)};
    while (table.tokens && table.count < count) {
        struct token *token = token_new(&records[table.count]);
        if (!token)
            break;
        table.tokens[table.count++] = token;
    }
    if (!table.tokens || table.count < count) {
        token_table_fini(&table);
        return false;
    }
    qsort(table.tokens, table.count, sizeof *table.tokens, by_hash);
    *ret_table = table;
    return true;
}

static bool record_equal(const struct token_record *a, const struct token_record *b)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): make_tokens has made them all */
    return a->id == b->id && span_equal(a->name, b->name) && span_equal(a->models, b->models) &&
           a->scopes == b->scopes && a->expires_s == b->expires_s &&
           memcmp(&a->limits, &b->limits, sizeof a->limits) == 0;
}

/* The token that is held already takes over what the new one says, and the new one's place. */
static void keep(struct token *held, struct token **place)
{
    struct token *made = *place;
    char *text = held->text;
    held->record = made->record;
    held->text = made->text;
    made->text = text;
    *place = token_ref(held);
    token_unref(made);
}

bool token_table_replace(struct token_table *table, const struct token_record *records,
                         size_t count, token_changed *changed, void *context,
                         struct error *ret_error)
{
    struct token_table next;
    if (!make_tokens(records, count, &next))
        return error_no_memory(ret_error);
    for (size_t i = 0; i < table->count; i++) {
        if (!find_hash(&next, table->tokens[i]->record.hash) && changed)
            changed(context, TOKEN_REVOKED, &table->tokens[i]->record);
    }
    for (size_t i = 0; i < next.count; i++) {
        struct token *held = find_hash(table, next.tokens[i]->record.hash);
        bool same = held && record_equal(&held->record, &next.tokens[i]->record);
        if (held)
            keep(held, &next.tokens[i]);
        if (!same && changed)
            changed(context, held ? TOKEN_CHANGED : TOKEN_CREATED, &next.tokens[i]->record);
    }
    token_table_fini(table);
    *table = next;
    return true;
}
