/* Values of single fields as people write them: numbers, true and false, names of enum values. For
 * the text format and YAML. */
#ifndef TENSORD_CODEC_PROTOBUF_SCALAR_H
#define TENSORD_CODEC_PROTOBUF_SCALAR_H

#include "codec/protobuf.h"

/* Stores the number, bool or enum value that the whole text says into `slot`, which
 * pb_slot_add returned. Integers are decimal, 0x hexadecimal or 0 octal, within the field's type;
 * floating point numbers also inf and nan; enums a name or a number. False, with a
 * sentence that names field and text, when it says none. Not for strings, bytes and messages. */
bool pb_scalar_read(const struct pb_field *field, struct span text, void *slot,
                    struct error *ret_error);

#endif
