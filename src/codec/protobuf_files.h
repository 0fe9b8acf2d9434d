/* All .proto files of the program: looked up by file name, by symbol (gRPC reflection) and by a
 * method's path (gRPC routing). The lists are generated and live as long as the program. */
#ifndef TENSORD_CODEC_PROTOBUF_FILES_H
#define TENSORD_CODEC_PROTOBUF_FILES_H

#include "codec/protobuf.h"

extern const struct pb_file *const pb_files[];
extern const size_t pb_file_count;

/* A method and how to get there; sorted by path. */
struct pb_route {
    struct span path; /* "/package.Service/Method" */
    const struct pb_service *service;
    size_t method; /* index into service->methods */
};
extern const struct pb_route pb_routes[];
extern const size_t pb_route_count;

/* A full name that a file declares, without leading dot; sorted by name. */
struct pb_symbol {
    struct span name;
    const struct pb_file *file;
};
extern const struct pb_symbol pb_symbols[];
extern const size_t pb_symbol_count;

/* The file of that name, or NULL. */
const struct pb_file *pb_file_of_name(struct span name);

/* The file that declares a message, field, enum, value, service or method, or NULL. */
const struct pb_file *pb_file_of_symbol(struct span symbol);

/* The method that a gRPC request's :path names, or NULL. */
const struct pb_method *pb_method_of_path(struct span path);

#endif
