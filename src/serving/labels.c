/* Labels by the line; see labels.h. */
#include "serving/labels.h"

#include "repository/repository.h"

/* Takes the next line off a text, without its end. */
static struct span take_line(struct span *text)
{
    const char *end = memchr(text->data, '\n', text->size);
    struct span line = {text->data, end ? (size_t)(end - text->data) : text->size};
    *text = span_after(*text, end ? line.size + 1 : line.size);
    if (line.size && line.data[line.size - 1] == '\r')
        line.size--;
    return span_trim(line);
}

static bool split(struct arena *arena, struct span text, struct labels *labels)
{
    size_t count = 0;
    for (struct span rest = text; rest.size; take_line(&rest))
        count++;
    labels->names = arena_calloc(arena, count, sizeof *labels->names);
    labels->count = count;
    for (size_t i = 0; labels->names && i < count; i++)
        labels->names[i] = take_line(&text);
    return labels->names != NULL;
}

bool labels_copy(struct arena *arena, const struct model_config *config, struct labels **ret_labels,
                 size_t *ret_count, struct error *ret_error)
{
    struct labels *labels = arena_calloc(arena, config->label_count, sizeof *labels);
    bool good = labels != NULL;
    for (size_t i = 0; good && i < config->label_count; i++) {
        struct span text;
        good = arena_copy(arena, config->labels[i].output, &labels[i].output) &&
               arena_copy(arena, config->labels[i].text, &text) && split(arena, text, &labels[i]);
    }
    *ret_labels = labels;
    *ret_count = good ? config->label_count : 0;
    return good || error_no_memory(ret_error);
}
