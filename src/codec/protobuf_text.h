/* Protobuf's text format, as Triton's config.pbtxt is written in it. */
#ifndef TENSORD_CODEC_PROTOBUF_TEXT_H
#define TENSORD_CODEC_PROTOBUF_TEXT_H

#include "codec/protobuf.h"

/* Reads one message from all of text into *message, a struct of table->size_bytes that the caller
 * has cleared or filled with defaults; everything that is read is in the arena. Fields are `name:
 * value`, `name { … }`, `name: < … >` or `name: [ …, … ]`, with an optional `,` or `;` after each;
 * strings are joined when they follow each other, and have no NUL (of type bytes they may); `#`
 * starts a comment. False, with *message unspecified, and what is wrong at which line and column:
 * unknown fields (with the nearest known one), fields given twice, values that do not fit
 * (INVALID_ARGUMENT), or no memory. */
bool pb_text_read(const struct pb_message *table, struct span text, struct arena *arena,
                  void *message, struct error *ret_error);

#endif
