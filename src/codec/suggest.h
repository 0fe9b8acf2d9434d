/* "Did you mean …?": the known word that is nearest to an unknown one. */
#ifndef TENSORD_CODEC_SUGGEST_H
#define TENSORD_CODEC_SUGGEST_H

#include "codec/protobuf.h"

/* The best candidate so far. Starts with `word` set and the rest zero. */
struct suggest {
    struct span word;
    struct span best; /* data NULL: none is near */
    size_t distance;
};

/* Looks at a candidate: keeps it when it is nearer than the best one, and near enough to be meant
 * (a third of the word's letters, and two at least, may be wrong, missing, too many or swapped). */
void suggest_consider(struct suggest *suggest, struct span candidate);

/* Writes "; did you mean 'BEST'?", or nothing when none is near, into text. Returns text. */
const char *suggest_format(const struct suggest *suggest, char *text, size_t size);

/* The word, cut to what a sentence shows of it. */
static inline struct span suggest_cut(struct span word)
{
    return (struct span){word.data, word.size > 64 ? 64 : word.size};
}

/* suggest_format over all fields of a message, or all values of an enum. */
const char *suggest_field(const struct pb_message *table, struct span word, char *text,
                          size_t size);
const char *suggest_value(const struct pb_enum *enumeration, struct span word, char *text,
                          size_t size);

#endif
