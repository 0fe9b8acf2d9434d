/* Overrides; see overrides.h. */
#include "repository/overrides.h"

#include <stdlib.h>
#include <string.h>

/* Its texts lie behind it. */
struct override {
    struct repository_override it;
    struct override *next; /* of those that are dropped */
    char text[];
};

/* The model's first one from there on. */
static size_t find(const struct overrides *overrides, size_t at, struct span model)
{
    while (at < overrides->count && !span_equal(overrides->items[at]->it.model, model))
        at++;
    return at;
}

static size_t find_numbered(const struct overrides *overrides, uint64_t number)
{
    size_t at = 0;
    while (at < overrides->count && overrides->items[at]->it.number != number)
        at++;
    return at;
}

/* Whether it is of a load that gave nothing: the model is as the repository says. */
static bool is_nothing(const struct repository_override *override)
{
    return !override->config.size && !override->folder.size;
}

/* Whether a later one counts in its place. */
static bool is_outdone(const struct overrides *overrides, size_t at)
{
    return find(overrides, at + 1, overrides->items[at]->it.model) < overrides->count;
}

static void drop(struct overrides *overrides, size_t at)
{
    struct override *override = overrides->items[at];
    overrides->count--;
    memmove(&overrides->items[at], &overrides->items[at + 1],
            (overrides->count - at) * sizeof(struct override *));
    overrides->fewer = overrides->fewer || override->it.folder.size;
    override->next = overrides->dropped;
    overrides->dropped = override;
}

/* Drops the model's first ones, up to where `most` are left. */
static void drop_first(struct overrides *overrides, struct span model, size_t most)
{
    size_t count = 0;
    for (size_t at = 0; (at = find(overrides, at, model)) < overrides->count; at++)
        count++;
    for (; count > most; count--)
        drop(overrides, find(overrides, 0, model));
}

void overrides_end(struct overrides *overrides, uint64_t number)
{
    size_t at = find_numbered(overrides, number);
    if (at < overrides->count)
        drop(overrides, at);
}

void overrides_keep(struct overrides *overrides, uint64_t number)
{
    size_t at = find_numbered(overrides, number);
    if (at < overrides->count && !is_outdone(overrides, at))
        drop_first(overrides, overrides->items[at]->it.model,
                   is_nothing(&overrides->items[at]->it) ? 0 : 1);
}

size_t overrides_list(const struct overrides *overrides,
                      struct repository_override ret_list[REPOSITORY_MAX_OVERRIDES])
{
    size_t count = 0;
    for (size_t i = 0; i < overrides->count; i++) {
        if (!is_outdone(overrides, i) && !is_nothing(&overrides->items[i]->it))
            ret_list[count++] = overrides->items[i]->it;
    }
    return count;
}

static size_t count_models(const struct overrides *overrides)
{
    size_t count = 0;
    for (size_t i = 0; i < overrides->count; i++)
        count += !is_outdone(overrides, i);
    return count;
}

static bool check(const struct overrides *overrides, const struct repository_override *override,
                  struct error *ret_error)
{
    if (override->config.size > REPOSITORY_OVERRIDE_MAX_BYTES)
        return error_set(ret_error, ERROR_TOO_LARGE, "the config of a load has at most %d bytes",
                         REPOSITORY_OVERRIDE_MAX_BYTES);
    if (find(overrides, 0, override->model) == overrides->count &&
        count_models(overrides) == REPOSITORY_MAX_OVERRIDES)
        return error_set(
            ret_error, ERROR_RESOURCE_EXHAUSTED,
            "at most %d models have the config or files of a load at once; unload one of them",
            REPOSITORY_MAX_OVERRIDES);
    return true;
}

/* Copies the text to where *at is, and goes behind it. */
static struct span put_text(char **at, struct span text)
{
    struct span copy = {*at, text.size};
    if (text.size)
        memcpy(*at, text.data, text.size);
    *at += text.size;
    return copy;
}

uint64_t overrides_put(struct overrides *overrides, const struct repository_override *override,
                       struct error *ret_error)
{
    if (is_nothing(override) &&
        (!override->awaited || find(overrides, 0, override->model) == overrides->count)) {
        drop_first(overrides, override->model, 0);
        return ++overrides->last;
    }
    if (!check(overrides, override, ret_error))
        return 0;
    struct override *made =
        malloc(sizeof *made + override->model.size + override->config.size + override->folder.size);
    if (!made) {
        error_no_memory(ret_error);
        return 0;
    }
    char *at = made->text;
    made->it = *override;
    made->it.model = put_text(&at, override->model);
    made->it.config = put_text(&at, override->config);
    made->it.folder = put_text(&at, override->folder);
    made->it.number = ++overrides->last;
    drop_first(overrides, made->it.model, 1);
    overrides->items[overrides->count++] = made;
    overrides->fewer = overrides->fewer || !made->it.config.size; /* its files, or the others' */
    return made->it.number;
}

void overrides_free_dropped(struct overrides *overrides)
{
    for (struct override *override; (override = overrides->dropped);) {
        overrides->dropped = override->next;
        if (override->it.folder.size && overrides->dropped_folder)
            overrides->dropped_folder(overrides->context, override->it.folder);
        free(override);
    }
}

void overrides_fini(struct overrides *overrides)
{
    while (overrides->count)
        drop(overrides, 0);
    overrides_free_dropped(overrides);
}
