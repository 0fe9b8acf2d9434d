/* The config file's text: YAML, key by key; see config_file.h. */
#include "settings/config_file.h"

#include "codec/suggest.h"
#include "codec/yaml_reader.h"
#include "settings/store.h"

enum { DEPTH = 3 }; /* the mapping, a list in it, and what is refused there */

struct config_reader {
    struct yaml_reader yaml;
    struct settings *settings;
};

/* ---- values ---- */

static bool refuse(struct config_reader *reader, const struct setting *row, const char *what)
{
    return yaml_reader_fail(&reader->yaml, ERROR_INVALID_ARGUMENT, "'%s' %s", row->name, what);
}

static bool is_null(const struct yaml_item *item)
{
    return !item->quoted && (item->text.size == 0 || span_equal(item->text, SPAN("~")) ||
                             span_equal(item->text, SPAN("null")));
}

static bool store(struct config_reader *reader, const struct setting *row, struct span value)
{
    struct error error;
    return setting_store(reader->settings, row, value, SETTING_FILE, row->name, &error) ||
           yaml_reader_fail(&reader->yaml, error.code, "%s", error.message);
}

static bool read_list(struct config_reader *reader, const struct setting *row)
{
    struct yaml_item item;
    if (row->type != SETTING_LIST)
        return refuse(reader, row, "must be a single value");
    if (!store(reader, row, SPAN(""))) /* an empty list is a value, too */
        return false;
    while (yaml_reader_next(&reader->yaml, &item)) {
        if (item.kind == YAML_ITEM_END)
            return true;
        if (item.kind != YAML_ITEM_SCALAR || is_null(&item))
            return refuse(reader, row, "must be a list of single values");
        if (!store(reader, row, item.text))
            return false;
    }
    return false;
}

static bool read_value(struct config_reader *reader, const struct setting *row)
{
    struct yaml_item item;
    size_t index = (size_t)(row - setting_rows);
    if (reader->settings->sources[index] == SETTING_FILE)
        return yaml_reader_fail(&reader->yaml, ERROR_INVALID_ARGUMENT,
                                "'%s' is given twice, first in line %u", row->name,
                                reader->settings->lines[index]);
    reader->settings->lines[index] = (unsigned)reader->yaml.line;
    if (!yaml_reader_next(&reader->yaml, &item))
        return false;
    if (item.kind == YAML_ITEM_LIST)
        return read_list(reader, row);
    if (item.kind == YAML_ITEM_MAP)
        return refuse(reader, row, "must be a single value");
    if (is_null(&item))
        return refuse(reader, row, "has no value");
    return store(reader, row, item.text);
}

/* ---- keys ---- */

static bool unknown_key(struct config_reader *reader, struct span key)
{
    const struct setting *nearest = setting_nearest(key);
    key = suggest_cut(key);
    return yaml_reader_fail(&reader->yaml, ERROR_INVALID_ARGUMENT, "unknown key '%.*s'%s%s%s",
                            SPAN_ARGS(key), nearest ? "; did you mean '" : "",
                            nearest ? nearest->name : "", nearest ? "'?" : "");
}

static bool read_key(struct config_reader *reader, struct span key)
{
    const struct setting *row = setting_find(key);
    if (!row)
        return unknown_key(reader, key);
    if (row == &setting_rows[SETTING_config])
        return refuse(reader, row, "cannot stand in a config file");
    return read_value(reader, row);
}

bool config_text_read(struct settings *settings, struct span text, struct error *ret_error)
{
    struct config_reader reader = {.settings = settings};
    struct yaml_item item = {.kind = YAML_ITEM_MAP};
    yaml_reader_init(&reader.yaml, text, DEPTH, ret_error);
    bool good = true;
    while (good && item.kind != YAML_ITEM_DONE) {
        good = yaml_reader_next(&reader.yaml, &item);
        if (good && item.kind == YAML_ITEM_KEY)
            good = read_key(&reader, item.text);
    }
    yaml_reader_fini(&reader.yaml);
    return good;
}
