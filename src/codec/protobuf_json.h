/* Protobuf messages as JSON, in the spelling that Triton's REST answers have: names of fields as
 * the .proto file has them, names of enum values, every integer a number (protobuf's own mapping
 * makes strings of those of 64 bits), and scalars and lists that are empty written all the same.
 * Messages and members of a oneof stand there only when they are set. */
#ifndef TENSORD_CODEC_PROTOBUF_JSON_H
#define TENSORD_CODEC_PROTOBUF_JSON_H

#include "codec/json_writer.h"
#include "codec/protobuf.h"

/* Writes the message as an object. A key that a map has twice is written twice, the one that holds
 * last. Numbers that are not finite are strings, "NaN", "Infinity" and "-Infinity". Not for
 * messages with fields of bytes. False when messages nest deeper than PB_MAX_DEPTH, with a part
 * written; whether the buffer had room is for buf_ok to say. */
bool pb_json_write(const struct pb_message *table, const void *message, struct json_writer *json);

#endif
