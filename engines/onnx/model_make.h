/* Writes small ONNX models, for tests: just enough of the format (onnx.proto), with no package. */
#ifndef TENSORD_ENGINES_ONNX_MODEL_MAKE_H
#define TENSORD_ENGINES_ONNX_MODEL_MAKE_H

#include <stddef.h>
#include <stdint.h>

/* A message under construction. All fail the test when there is no room. */
struct pb {
    size_t size;
    unsigned char bytes[6000];
};

/* Appends a field: a number, bytes, a text, another message. */
void pb_number(struct pb *pb, unsigned field, int64_t number);
void pb_bytes(struct pb *pb, unsigned field, const void *bytes, size_t size);
void pb_text(struct pb *pb, unsigned field, const char *text);
void pb_message(struct pb *pb, unsigned field, const struct pb *message);

/* A shape in text: "batch,4,?": a name, a number, or nothing known; "" is a scalar. */

/* Appends a tensor's name, datatype (ONNX's number) and shape to a graph: field 11 for an input, 12
 * for an output. */
void make_value(struct pb *graph, unsigned field, const char *name, int datatype,
                const char *shape);

/* Appends a node; names are separated by blanks, "-" is an empty one. `attributes` (of fields 5),
 * or NULL, are appended as they are. */
void make_node(struct pb *graph, const char *operator_name, const char *domain, const char *inputs,
               const char *outputs, const struct pb *attributes);

/* Appends an initializer. With a file, its content is there and `content` is NULL. */
void make_tensor(struct pb *graph, const char *name, int datatype, const char *shape,
                 const void *content, size_t size, const char *file);

/* Writes the model of this graph to path. */
void make_model(const struct pb *graph, const char *path);

/* OUTPUT = INPUT. */
void make_identity(const char *path, int datatype, const char *shape);

#endif
