/* Lines of the token file; see token_record.h. */
#include "auth/token_record.h"

#include "auth/date.h"
#include "auth/glob.h"
#include "auth/scope.h"

#include <inttypes.h>

void token_record_init(struct token_record *record)
{
    *record = (struct token_record){.models = SPAN("*"), .expires_s = DATE_NEVER};
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
           c == '_' || c == '-' || c == '@' || c == '+';
}

static bool set_name(struct token_record *record, struct span value, struct error *ret_error)
{
    bool good = value.size > 0 && value.size <= TOKEN_NAME_BYTES;
    for (size_t i = 0; good && i < value.size; i++)
        good = is_word(value.data[i]);
    if (!good)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "a token's name has 1 to %d letters, digits or any of . _ - @ +",
                         TOKEN_NAME_BYTES);
    record->name = value;
    return true;
}

static bool set_models(struct token_record *record, struct span value, struct error *ret_error)
{
    bool good = value.size > 0 && value.size <= TOKEN_MODELS_BYTES;
    for (size_t i = 0; good && i < value.size; i++)
        good = (unsigned char)value.data[i] > ' ' && value.data[i] != 0x7f;
    if (!good)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "models are names or patterns such as bert*, separated by commas, without "
                         "blanks, %d characters at most",
                         TOKEN_MODELS_BYTES);
    record->models = value;
    return true;
}

static bool set_scopes(struct token_record *record, struct span value, struct error *ret_error)
{
    return scope_set_parse(value, &record->scopes, ret_error);
}

static bool set_created(struct token_record *record, struct span value, struct error *ret_error)
{
    return date_parse(value, &record->created_s, ret_error);
}

static bool set_expires(struct token_record *record, struct span value, struct error *ret_error)
{
    return date_parse(value, &record->expires_s, ret_error);
}

static bool set_rate(struct token_record *record, struct span value, struct error *ret_error)
{
    return quota_rate_parse(value, &record->limits, ret_error);
}

static bool set_count(struct span value, uint64_t *ret_count, struct error *ret_error)
{
    uint64_t count;
    if (!span_to_u64(value, &count) || count == 0 || count > QUOTA_MAX_COUNT)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "burst and concurrency are numbers from 1 to %d", QUOTA_MAX_COUNT);
    *ret_count = count;
    return true;
}

static bool set_burst(struct token_record *record, struct span value, struct error *ret_error)
{
    return set_count(value, &record->limits.burst, ret_error);
}

static bool set_concurrency(struct token_record *record, struct span value, struct error *ret_error)
{
    return set_count(value, &record->limits.concurrency, ret_error);
}

static bool set_weight(struct token_record *record, struct span value, struct error *ret_error)
{
    uint64_t weight;
    if (!span_to_u64(value, &weight) || weight == 0 || weight > TOKEN_MAX_WEIGHT)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "a weight is a number from 1 to %d",
                         TOKEN_MAX_WEIGHT);
    record->weight = (uint32_t)weight;
    return true;
}

static bool set_hash(struct token_record *record, struct span value, struct error *ret_error)
{
    return secret_hash_parse(value, record->hash) ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "sha256 is 64 hexadecimal digits in lower case");
}

enum key {
    KEY_NAME,
    KEY_SCOPES,
    KEY_MODELS,
    KEY_CREATED,
    KEY_EXPIRES,
    KEY_RATE,
    KEY_BURST,
    KEY_CONCURRENCY,
    KEY_WEIGHT,
    KEY_SHA256,
    KEY_COUNT
};

static const struct {
    struct span name;
    bool (*set)(struct token_record *record, struct span value, struct error *ret_error);
} keys[KEY_COUNT] = {
    [KEY_NAME] = {SPAN("name"), set_name},
    [KEY_SCOPES] = {SPAN("scopes"), set_scopes},
    [KEY_MODELS] = {SPAN("models"), set_models},
    [KEY_CREATED] = {SPAN("created"), set_created},
    [KEY_EXPIRES] = {SPAN("expires"), set_expires},
    [KEY_RATE] = {SPAN("rate"), set_rate},
    [KEY_BURST] = {SPAN("burst"), set_burst},
    [KEY_CONCURRENCY] = {SPAN("concurrency"), set_concurrency},
    [KEY_WEIGHT] = {SPAN("weight"), set_weight},
    [KEY_SHA256] = {SPAN("sha256"), set_hash},
};

static enum key key_of(struct span name)
{
    enum key key = 0;
    while (key < KEY_COUNT && !span_equal(name, keys[key].name))
        key++;
    return key;
}

bool token_record_set(struct token_record *record, struct span key, struct span value,
                      struct error *ret_error)
{
    enum key found = key_of(key);
    if (found == KEY_COUNT)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'%.*s' is unknown here; a token has name, scopes, models, created, "
                         "expires, rate, burst, concurrency, weight and sha256",
                         (int)(key.size < 32 ? key.size : 32), key.data ? key.data : "");
    return keys[found].set(record, value, ret_error);
}

bool token_id_parse(struct span text, uint32_t *ret_id)
{
    uint32_t id = 0;
    if (text.size != TOKEN_ID_TEXT_BYTES - 1)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        int digit = hex_value(text.data[i]);
        if (digit < 0)
            return false;
        id = id << 4 | (uint32_t)digit;
    }
    *ret_id = id;
    return true;
}

/* Without a burst of its own, a period's worth may come at once. */
static bool complete_limits(struct quota_limits *limits, struct error *ret_error)
{
    if (limits->burst && !limits->rate_count)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "a burst without a rate");
    if (!limits->burst)
        limits->burst = limits->rate_count;
    return true;
}

static bool read_pair(struct token_record *record, struct span word, unsigned *seen,
                      struct error *ret_error)
{
    struct span value = word, key = span_split(&value, '=');
    enum key found = key_of(key);
    if (found < KEY_COUNT && (*seen & 1u << found))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%.*s is said twice", SPAN_ARGS(key));
    if (!token_record_set(record, key, value, ret_error))
        return false;
    *seen |= 1u << found;
    return true;
}

bool token_record_parse(struct span line, struct token_record *ret_record, struct error *ret_error)
{
    struct token_record record;
    struct span rest = line;
    unsigned seen = 0, needed = 1u << KEY_SCOPES | 1u << KEY_SHA256;
    token_record_init(&record);
    if (line.size > TOKEN_LINE_BYTES)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "longer than %d bytes",
                         TOKEN_LINE_BYTES);
    if (!token_id_parse(span_split(&rest, ' '), &record.id))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "does not start with an id of eight hexadecimal digits");
    while (rest.data) {
        struct span word = span_split(&rest, ' ');
        if (word.size && !read_pair(&record, word, &seen, ret_error))
            return false;
    }
    if ((seen & needed) != needed)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "scopes or sha256 is missing");
    if (!complete_limits(&record.limits, ret_error))
        return false;
    *ret_record = record;
    return true;
}

static void format_limits(const struct quota_limits *limits, struct buf *to)
{
    char rate[QUOTA_RATE_TEXT_BYTES];
    if (limits->rate_count)
        buf_printf(to, " rate=%s", quota_rate_format(limits, rate));
    if (limits->rate_count && limits->burst)
        buf_printf(to, " burst=%" PRIu64, limits->burst);
    if (limits->concurrency)
        buf_printf(to, " concurrency=%" PRIu64, limits->concurrency);
}

void token_record_format(const struct token_record *record, struct buf *to)
{
    char scopes[SCOPE_SET_TEXT_BYTES], date[DATE_TEXT_BYTES], hash[SECRET_HASH_TEXT_BYTES];
    buf_printf(to, "%08" PRIx32, record->id);
    if (record->name.size)
        buf_printf(to, " name=%.*s", SPAN_ARGS(record->name));
    buf_printf(to, " scopes=%s models=%.*s", scope_set_format(record->scopes, scopes),
               SPAN_ARGS(record->models));
    if (record->created_s)
        buf_printf(to, " created=%s", date_format(record->created_s, date));
    if (record->expires_s != DATE_NEVER)
        buf_printf(to, " expires=%s", date_format(record->expires_s, date));
    format_limits(&record->limits, to);
    if (record->weight)
        buf_printf(to, " weight=%" PRIu32, record->weight);
    buf_printf(to, " sha256=%s\n", secret_hash_format(record->hash, hash));
}
