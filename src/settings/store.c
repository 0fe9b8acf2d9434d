/* Checking and keeping values; see store.h. */
#include "settings/store.h"

#include <inttypes.h>
#include <stdio.h>

enum { SHOWN_BYTES = 80 }; /* of a wrong value, in a sentence */

/* A value that does not fit, with what would. */
static bool wants(const char *name, const char *what, struct span value, struct error *ret_error)
{
    if (value.size > SHOWN_BYTES)
        value.size = SHOWN_BYTES;
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s wants %s, not '%.*s'", name, what,
                     SPAN_ARGS(value));
}

static bool contains(const struct span words, char separator, struct span word)
{
    struct span rest = words;
    while (rest.data) {
        if (span_equal(span_split(&rest, separator), word))
            return true;
    }
    return false;
}

static bool store_number(struct settings *settings, const struct setting *row, struct span value,
                         const char *name, struct error *ret_error)
{
    uint64_t number;
    char what[128];
    if (span_to_u64(value, &number) && number <= (uint64_t)row->highest &&
        number >= (uint64_t)row->lowest) {
        *(int64_t *)setting_field(settings, row) = (int64_t)number;
        return true;
    }
    snprintf(what, sizeof what, "a number from %" PRId64 " to %" PRId64 "%s%s", row->lowest,
             row->highest, row->what[0] ? " " : "", row->what);
    return wants(name, what, value, ret_error);
}

static bool store_switch(struct settings *settings, const struct setting *row, struct span value,
                         const char *name, struct error *ret_error)
{
    bool on = contains(SPAN("true on yes 1"), ' ', value);
    if (!on && !contains(SPAN("false off no 0"), ' ', value))
        return wants(name, "true or false", value, ret_error);
    *(bool *)setting_field(settings, row) = on;
    return true;
}

/* What would upset a terminal or a path is refused. */
static bool check_text(struct span text, const char *name, struct error *ret_error)
{
    for (size_t i = 0; i < text.size; i++) {
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s holds a control character",
                             name);
    }
    return true;
}

static bool store_text(struct settings *settings, const struct setting *row, struct span value,
                       const char *name, struct error *ret_error)
{
    struct span copy;
    char what[128];
    if (!check_text(value, name, ret_error))
        return false;
    if (row->type == SETTING_CHOICE && !contains(span_of(row->what), '|', value)) {
        snprintf(what, sizeof what, "one of %s", row->what);
        return wants(name, what, value, ret_error);
    }
    if (!arena_copy(&settings->arena, value, &copy))
        return error_no_memory(ret_error);
    *(const char **)setting_field(settings, row) = copy.data;
    return true;
}

/* Adds one item; the array is made at once for all that a list may hold. */
static bool add_item(struct settings *settings, struct setting_list *list, struct span item,
                     const char *name, struct error *ret_error)
{
    if (list->count == SETTING_LIST_ITEMS)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s has more than %d values", name,
                         SETTING_LIST_ITEMS);
    if (!list->items)
        list->items = arena_calloc(&settings->arena, SETTING_LIST_ITEMS, sizeof *list->items);
    struct span copy;
    if (!list->items || !arena_copy(&settings->arena, item, &copy))
        return error_no_memory(ret_error);
    list->items[list->count++] = copy.data;
    return true;
}

static bool store_list(struct settings *settings, const struct setting *row, struct span value,
                       const char *name, struct error *ret_error)
{
    struct setting_list *list = setting_field(settings, row);
    struct span rest = value;
    while (rest.data) {
        struct span item = span_trim(span_split(&rest, ','));
        if (item.size && (!check_text(item, name, ret_error) ||
                          !add_item(settings, list, item, name, ret_error)))
            return false;
    }
    return true;
}

bool setting_store(struct settings *settings, const struct setting *row, struct span value,
                   enum setting_source source, const char *name, struct error *ret_error)
{
    size_t index = (size_t)(row - setting_rows);
    if (row->type == SETTING_LIST && settings->sources[index] != source)
        ((struct setting_list *)setting_field(settings, row))->count = 0;
    settings->sources[index] = source;
    switch (row->type) {
    case SETTING_TEXT:
    case SETTING_CHOICE:
        return store_text(settings, row, value, name, ret_error);
    case SETTING_LIST:
        return store_list(settings, row, value, name, ret_error);
    case SETTING_NUMBER:
        return store_number(settings, row, value, name, ret_error);
    case SETTING_SWITCH:
        return store_switch(settings, row, value, name, ret_error);
    case SETTING_SECTION:
        break;
    }
    return true;
}

static bool set_default(struct settings *settings, const struct setting *row,
                        struct error *ret_error)
{
    if (row->type == SETTING_NUMBER)
        *(int64_t *)setting_field(settings, row) = row->number_default;
    else if (row->type == SETTING_SWITCH)
        *(bool *)setting_field(settings, row) = row->number_default != 0;
    else if (row->type != SETTING_SECTION)
        return setting_store(settings, row, span_of(row->text_default), SETTING_DEFAULT, row->name,
                             ret_error);
    return true;
}

bool setting_defaults(struct settings *settings, struct error *ret_error)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (!set_default(settings, &setting_rows[i], ret_error))
            return false;
    }
    return true;
}

bool setting_copy_text(struct settings *settings, const char **ret_text, const char *text)
{
    struct span copy;
    if (!arena_copy(&settings->arena, span_of(text), &copy))
        return false;
    *ret_text = copy.data;
    return true;
}

bool setting_copy_list(struct settings *settings, struct setting_list *ret_list,
                       const struct setting_list *list)
{
    struct setting_list copy = {.items = NULL};
    copy.items = arena_calloc(&settings->arena, SETTING_LIST_ITEMS, sizeof *copy.items);
    for (; copy.items && copy.count < list->count; copy.count++) {
        if (!setting_copy_text(settings, &copy.items[copy.count], list->items[copy.count]))
            return false;
    }
    *ret_list = copy.items ? copy : *ret_list;
    return copy.items != NULL;
}
