/* Protocol Buffers over field tables.
 *
 * tools/protogen.py turns every proto/NAME.proto into NAME.pb.h: a plain struct per message and a
 * table that describes it. One codec walks the tables, so that wire format (here), text format
 * (protobuf_text.h), YAML and JSON (protobuf_json.h) agree, and the embedded descriptors
 * (protobuf_files.h) answer reflection.
 *
 * How a message looks in C:
 *   string, bytes      struct span; decoding leaves them in place, in the bytes that were decoded
 *   enum               int32_t, since unknown numbers are kept
 *   message            a pointer, NULL when absent; with [lazy = true] struct span, its bytes
 *   repeated T         {count, capacity, items}; capacity is the decoder's, an encoder ignores it
 *   map                repeated {key, value}; a key may stand twice, the last one holds;
 *                      a value that is a message is never NULL after decoding
 *   oneof c            which_c, the number of the field that is set or 0, and a union
 *   optional T x       has_x and x
 *
 * An all-zero struct is the empty message. What decoding allocates comes from one arena. */
#ifndef TENSORD_CODEC_PROTOBUF_H
#define TENSORD_CODEC_PROTOBUF_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

enum {
    PB_MAX_DEPTH = 64,  /* messages within messages */
    PB_VARINT_MAX = 10, /* bytes of the longest varint */
};

/* As in descriptor.proto; groups (10) do not exist in proto3. */
enum pb_type {
    PB_DOUBLE = 1,
    PB_FLOAT = 2,
    PB_INT64 = 3,
    PB_UINT64 = 4,
    PB_INT32 = 5,
    PB_FIXED64 = 6,
    PB_FIXED32 = 7,
    PB_BOOL = 8,
    PB_STRING = 9,
    PB_MESSAGE = 11,
    PB_BYTES = 12,
    PB_UINT32 = 13,
    PB_ENUM = 14,
    PB_SFIXED32 = 15,
    PB_SFIXED64 = 16,
    PB_SINT32 = 17,
    PB_SINT64 = 18,
};

/* How a field that is not repeated says that it is set. */
enum pb_presence {
    PB_IMPLICIT, /* its value is not zero; a message: the pointer is not NULL */
    PB_OPTIONAL, /* has_x, a bool at presence_offset */
    PB_ONEOF,    /* which_c, a uint32_t at presence_offset, is its number */
    PB_ALWAYS,   /* key and value of a map's entry */
};

struct pb_enum_value {
    struct span name;
    int32_t number;
};

struct pb_enum {
    struct span name; /* full, "inference.DataType" */
    const struct pb_enum_value *values;
    size_t value_count;
};

struct pb_field {
    uint32_t number;
    enum pb_type type;
    enum pb_presence presence;
    bool repeated;
    size_t offset; /* in the struct */
    size_t presence_offset;
    struct span name;                  /* "model_name" */
    struct span json_name;             /* "modelName" */
    const struct pb_message *message;  /* of a PB_MESSAGE */
    const struct pb_enum *enumeration; /* of a PB_ENUM */
};

struct pb_message {
    struct span name;              /* full, "inference.ModelInferRequest" */
    const struct pb_field *fields; /* by number, ascending */
    size_t field_count;
    size_t dense; /* fields[i].number == i + 1 for i < dense */
    size_t size_bytes;
    bool map_entry;
};

/* The field of that number, or NULL. */
const struct pb_field *pb_field_of_number(const struct pb_message *table, uint32_t number);

/* The field of that name, as the .proto file spells it, or NULL. */
const struct pb_field *pb_field_of_name(const struct pb_message *table, struct span name);

/* Decodes one message from all of `bytes` into *ret_message, a struct of table->size_bytes. Its
 * spans point into bytes, the rest is in the arena, whose limit also bounds the counts of repeated
 * fields. Unknown fields are skipped. False, with *ret_message unspecified, and what is wrong at
 * which byte, when bytes are no such message (INVALID_ARGUMENT; strings must be UTF-8) or the arena
 * is full (RESOURCE_EXHAUSTED). */
bool pb_decode(const struct pb_message *table, struct span bytes, struct arena *arena,
               void *ret_message, struct error *ret_error);

/* Appends the encoded message, fields in the order of their numbers, repeated numbers packed. False
 * when buf has no room or messages nest deeper than PB_MAX_DEPTH; buf then holds a part of it. */
bool pb_encode(const struct pb_message *table, const void *message, struct buf *buf);

/* The bytes that pb_encode appends. */
size_t pb_encoded_size(const struct pb_message *table, const void *message);

/* Appends the tag and length of a bytes field whose `size` bytes follow from elsewhere, so that a
 * large tensor need not pass through buf. */
bool pb_encode_bytes_head(struct buf *buf, uint32_t number, uint64_t size);

/* ---- files, services and methods, as the .proto files declare them ---- */

struct pb_method {
    struct span name; /* "ModelInfer" */
    struct span path; /* "/inference.GRPCInferenceService/ModelInfer" */
    const struct pb_message *input, *output;
    bool client_streaming, server_streaming;
};

struct pb_service {
    struct span name; /* full */
    const struct pb_method *methods;
    size_t method_count;
};

struct pb_file {
    struct span name;       /* "grpc/health/v1/health.proto" */
    struct span descriptor; /* a serialized FileDescriptorProto */
    const struct pb_file *const *dependencies;
    size_t dependency_count;
    const struct pb_service *const *services;
    size_t service_count;
};

#endif
