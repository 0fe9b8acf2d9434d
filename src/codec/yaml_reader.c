/* YAML over libyaml's events; see yaml_reader.h. What is open stands in a fixed stack of bits. */
#include "codec/yaml_reader.h"

#include <yaml.h>

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void yaml_reader_init(struct yaml_reader *reader, struct span text, unsigned max_depth,
                      struct error *error)
{
    assert(max_depth <= YAML_MAX_DEPTH);
    *reader = (struct yaml_reader){.error = error, .max_depth = max_depth, .line = 1};
    reader->parser = malloc(sizeof *reader->parser);
    reader->event = calloc(1, sizeof *reader->event);
    if (!reader->parser || !reader->event || !yaml_parser_initialize(reader->parser)) {
        free(reader->parser);
        reader->parser = NULL;
        return;
    }
    yaml_parser_set_encoding(reader->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(reader->parser,
                                 (const unsigned char *)(text.data ? text.data : ""), text.size);
}

void yaml_reader_fini(struct yaml_reader *reader)
{
    if (reader->parser) {
        yaml_event_delete(reader->event);
        yaml_parser_delete(reader->parser);
    }
    free(reader->parser);
    free(reader->event);
    reader->parser = NULL;
    reader->event = NULL;
}

bool yaml_reader_fail(struct yaml_reader *reader, enum error_code code, const char *format, ...)
{
    char sentence[400];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return error_set(reader->error, code, "line %zu: %s", reader->line, sentence);
}

static bool refuse(struct yaml_reader *reader, const char *sentence)
{
    return yaml_reader_fail(reader, ERROR_INVALID_ARGUMENT, "%s", sentence);
}

/* What is wrong, in libyaml's words but for the mistake that is made most. */
static const char *problem_of(const yaml_parser_t *parser)
{
    bool at_tab = parser->error == YAML_SCANNER_ERROR &&
                  parser->buffer.pointer < parser->buffer.last && *parser->buffer.pointer == '\t';
    if (at_tab)
        return "a tab where YAML wants spaces";
    return parser->problem ? parser->problem : "not YAML";
}

static bool parser_failed(struct yaml_reader *reader)
{
    const yaml_parser_t *parser = reader->parser;
    if (parser->error == YAML_MEMORY_ERROR)
        return error_no_memory(reader->error);
    reader->line = parser->problem_mark.line + 1;
    return refuse(reader, problem_of(parser));
}

/* Refuses what makes a document more than a tree of values. */
static bool check_plain(struct yaml_reader *reader)
{
    const yaml_event_t *event = reader->event;
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor, tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor, tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor, tag = event->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor || event->type == YAML_ALIAS_EVENT)
        return refuse(reader, "anchors and aliases are not supported");
    return !tag || refuse(reader, "tags are not supported");
}

/* The place of the value that has come is taken: in a mapping a key comes next. */
static void value_taken(struct yaml_reader *reader)
{
    reader->expects_key = reader->depth && reader->is_map[reader->depth];
}

static bool open_value(struct yaml_reader *reader, bool is_map, struct yaml_item *item)
{
    if (reader->expects_key)
        return refuse(reader, "a key must be a single value");
    if (reader->depth == reader->max_depth)
        return refuse(reader, "values nest too deep");
    reader->is_map[++reader->depth] = is_map;
    reader->expects_key = is_map;
    item->kind = is_map ? YAML_ITEM_MAP : YAML_ITEM_LIST;
    return true;
}

static bool take_scalar(struct yaml_reader *reader, struct yaml_item *item)
{
    const yaml_event_t *event = reader->event;
    item->text = (struct span){(const char *)event->data.scalar.value, event->data.scalar.length};
    item->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    item->kind = reader->expects_key ? YAML_ITEM_KEY : YAML_ITEM_SCALAR;
    if (reader->expects_key)
        reader->expects_key = false;
    else
        value_taken(reader);
    return true;
}

/* The outermost value: a mapping, or nothing at all, which gives no item. */
static bool check_root(struct yaml_reader *reader, bool *ret_skip)
{
    const yaml_event_t *event = reader->event;
    *ret_skip = event->type == YAML_SCALAR_EVENT && event->data.scalar.length == 0;
    return *ret_skip || event->type == YAML_MAPPING_START_EVENT ||
           refuse(reader, "the file must be a mapping of keys to values");
}

static bool take_value(struct yaml_reader *reader, struct yaml_item *item, bool *ret_skip)
{
    if (!check_plain(reader) || (reader->depth == 0 && !check_root(reader, ret_skip)))
        return false;
    if (*ret_skip)
        return true;
    if (reader->event->type == YAML_SCALAR_EVENT)
        return take_scalar(reader, item);
    return open_value(reader, reader->event->type == YAML_MAPPING_START_EVENT, item);
}

/* One event of libyaml's; *ret_skip tells that it gives no item. */
static bool take_event(struct yaml_reader *reader, struct yaml_item *item, bool *ret_skip)
{
    *ret_skip = false;
    switch (reader->event->type) {
    case YAML_ALIAS_EVENT:
    case YAML_SCALAR_EVENT:
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return take_value(reader, item, ret_skip);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        reader->depth--;
        value_taken(reader);
        item->kind = YAML_ITEM_END;
        return true;
    case YAML_STREAM_END_EVENT:
        item->kind = YAML_ITEM_DONE;
        return true;
    case YAML_DOCUMENT_START_EVENT:
        *ret_skip = true;
        if (reader->started)
            return refuse(reader, "there is more than one document");
        reader->started = true;
        return true;
    default:
        *ret_skip = true;
        return true;
    }
}

bool yaml_reader_next(struct yaml_reader *reader, struct yaml_item *ret_item)
{
    struct yaml_item item = {0};
    if (!reader->parser)
        return error_no_memory(reader->error);
    for (bool skip = true; skip;) {
        yaml_event_delete(reader->event);
        if (!yaml_parser_parse(reader->parser, reader->event))
            return parser_failed(reader);
        reader->line = reader->event->start_mark.line + 1;
        if (!take_event(reader, &item, &skip))
            return false;
    }
    *ret_item = item;
    return true;
}
