/* Reading settings again while the server runs; see settings.h. */
#include "settings/print.h"
#include "settings/store.h"

#include <string.h>

enum { SENTENCE_BYTES = 8192 }; /* a list of long texts, twice */

struct reload {
    const struct settings *old;
    struct settings *new;
    void (*changed)(void *context, const struct setting_changed *change);
    void *context;
    struct buf sentence;
};

static bool lists_equal(const struct setting_list *a, const struct setting_list *b)
{
    bool equal = a->count == b->count;
    for (size_t i = 0; equal && i < a->count; i++)
        equal = strcmp(a->items[i], b->items[i]) == 0;
    return equal;
}

static bool is_equal(const struct reload *reload, const struct setting *row)
{
    const void *a = setting_value(reload->old, row), *b = setting_value(reload->new, row);
    switch (row->type) {
    case SETTING_TEXT:
    case SETTING_CHOICE:
        return strcmp(*(const char *const *)a, *(const char *const *)b) == 0;
    case SETTING_LIST:
        return lists_equal(a, b);
    case SETTING_NUMBER:
        return *(const int64_t *)a == *(const int64_t *)b;
    case SETTING_SWITCH:
        return *(const bool *)a == *(const bool *)b;
    case SETTING_SECTION:
        break;
    }
    return true;
}

/* Copies the old value into the new settings. */
static bool keep(struct reload *reload, const struct setting *row, struct error *ret_error)
{
    size_t index = (size_t)(row - setting_rows);
    const void *old = setting_value(reload->old, row);
    void *field = setting_field(reload->new, row);
    bool good = true;
    if (row->type == SETTING_NUMBER)
        *(int64_t *)field = *(const int64_t *)old;
    else if (row->type == SETTING_SWITCH)
        *(bool *)field = *(const bool *)old;
    else if (row->type == SETTING_LIST)
        good = setting_copy_list(reload->new, field, old);
    else
        good = setting_copy_text(reload->new, field, *(const char *const *)old);
    reload->new->sources[index] = reload->old->sources[index];
    reload->new->lines[index] = reload->old->lines[index];
    return good || error_no_memory(ret_error);
}

static void tell(struct reload *reload, const struct setting *row)
{
    struct buf *sentence = &reload->sentence;
    bool applied = row->change == RELOAD;
    if (!reload->changed)
        return;
    buf_clear(sentence);
    if (applied) {
        buf_printf(sentence, "%s is now ", row->name);
        setting_print(sentence, reload->new, row);
    } else {
        buf_printf(sentence, "%s stays ", row->name);
        setting_print(sentence, reload->old, row);
        buf_append(sentence, SPAN(" until a restart, then it will be "));
        setting_print(sentence, reload->new, row);
    }
    buf_append(sentence, SPAN(" ("));
    setting_print_source(sentence, reload->new, row);
    buf_append(sentence, SPAN(")"));
    buf_append_char(sentence, '\0');
    const struct setting_changed change = {
        .index = (enum setting_index)(row - setting_rows),
        .applied = applied,
        .sentence = buf_ok(sentence) ? sentence->data : row->name,
    };
    reload->changed(reload->context, &change);
}

static bool compare_all(struct reload *reload, struct error *ret_error)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *row = &setting_rows[i];
        if (is_equal(reload, row))
            continue;
        tell(reload, row);
        if (row->change == RESTART && !keep(reload, row, ret_error))
            return false;
    }
    return true;
}

bool settings_reload(const struct settings *old, struct settings *ret_settings,
                     void (*changed)(void *context, const struct setting_changed *change),
                     void *context, struct error *ret_error)
{
    struct settings new;
    const char *operand;
    if (!settings_read(&new, old->argument_count, old->arguments, &operand, ret_error))
        return false;
    struct reload reload = {.old = old, .new = &new, .changed = changed, .context = context};
    buf_init(&reload.sentence, SENTENCE_BYTES);
    bool good = compare_all(&reload, ret_error);
    buf_fini(&reload.sentence);
    if (!good)
        settings_fini(&new);
    else
        *ret_settings = new;
    return good;
}
