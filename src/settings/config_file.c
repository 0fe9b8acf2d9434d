/* Reading the config file; see config_file.h. */
#include "settings/config_file.h"

#include "codec/suggest.h"
#include "codec/yaml_reader.h"
#include "settings/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* ---- the file ---- */

/* Reads all of the file into *text, which has room for one byte more than a file may have. */
static bool read_file(const char *path, char *text, size_t *ret_size, struct error *ret_error)
{
    struct stat status;
    size_t size = 0;
    ssize_t got = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return error_set(ret_error, ERROR_NOT_FOUND, "%s", strerror(errno));
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "not a regular file");
    }
    while (got > 0 && size <= CONFIG_FILE_MAX_BYTES) {
        got = read(fd, text + size, CONFIG_FILE_MAX_BYTES + 1 - size);
        size += got > 0 ? (size_t)got : 0;
    }
    int failure = got < 0 ? errno : 0;
    close(fd);
    if (failure)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s", strerror(failure));
    if (size > CONFIG_FILE_MAX_BYTES)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "longer than %d bytes",
                         CONFIG_FILE_MAX_BYTES);
    *ret_size = size;
    return true;
}

bool config_file_read(struct settings *settings, const char *path, struct error *ret_error)
{
    struct error error;
    size_t size = 0;
    char *text = malloc(CONFIG_FILE_MAX_BYTES + 1);
    if (!text)
        return error_no_memory(ret_error);
    bool good = read_file(path, text, &size, &error) &&
                config_text_read(settings, (struct span){text, size}, &error);
    free(text);
    return good || error_set(ret_error, error.code, "%.200s: %s", path, error.message);
}
