/* A YAML document as a tree of plain values, item by item, over libyaml.
 *
 * Config files need mappings, lists and scalars. What makes YAML more than that is refused: anchors
 * and aliases (a small file could stand for a huge tree), tags, further documents, keys that are no
 * scalars. No tree is built. The outermost value is a mapping; an empty document is an empty one.
 *
 *     struct yaml_item item;
 *     yaml_reader_init(&reader, text, 8, error);
 *     while (yaml_reader_next(&reader, &item) && item.kind != YAML_ITEM_DONE) …
 *     yaml_reader_fini(&reader);
 */
#ifndef TENSORD_CODEC_YAML_READER_H
#define TENSORD_CODEC_YAML_READER_H

#include "base/error.h"
#include "base/span.h"

enum { YAML_MAX_DEPTH = 64 };

enum yaml_item_kind {
    YAML_ITEM_MAP,    /* a mapping begins: keys, each with its value, up to its end */
    YAML_ITEM_LIST,   /* a list begins: values up to its end */
    YAML_ITEM_END,    /* of the innermost mapping or list */
    YAML_ITEM_KEY,    /* the value comes next */
    YAML_ITEM_SCALAR, /* a single value */
    YAML_ITEM_DONE,   /* the document has ended */
};

struct yaml_item {
    enum yaml_item_kind kind;
    struct span text; /* of a key or scalar, UTF-8; until the next call */
    bool quoted;      /* the scalar stands in quotes or in a block: an empty one was meant */
};

struct yaml_reader {
    struct yaml_parser_s *parser; /* NULL: there was no memory */
    struct yaml_event_s *event;
    struct error *error;
    size_t line; /* of the last item, from 1 */
    unsigned depth, max_depth;
    bool started, expects_key;
    bool is_map[YAML_MAX_DEPTH + 1]; /* of what is open */
};

/* Starts reading; text and error must outlive the reader. At most max_depth ≤ YAML_MAX_DEPTH
 * mappings and lists may be inside one another. */
void yaml_reader_init(struct yaml_reader *reader, struct span text, unsigned max_depth,
                      struct error *error);

/* Frees what the reader has. */
void yaml_reader_fini(struct yaml_reader *reader);

/* The next item; the first one is MAP, or DONE when there is nothing. False with a sentence that
 * begins with the line when the text is malformed, refused or nests too deep, or when memory ran
 * out. After DONE or false there is nothing more. */
bool yaml_reader_next(struct yaml_reader *reader, struct yaml_item *ret_item);

/* Fills the reader's error with "line N: " of the last item, and the sentence. Returns false. */
bool yaml_reader_fail(struct yaml_reader *reader, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
