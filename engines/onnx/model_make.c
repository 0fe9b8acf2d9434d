/* See model_make.h. Field numbers are onnx.proto's. */
#include "onnx/model_make.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 64 };

static void put(struct pb *pb, const void *bytes, size_t size)
{
    assert(size <= sizeof pb->bytes - pb->size);
    memcpy(pb->bytes + pb->size, bytes, size);
    pb->size += size;
}

static void put_varint(struct pb *pb, uint64_t value)
{
    do {
        unsigned char byte = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        put(pb, &byte, 1);
        value >>= 7;
    } while (value);
}

void pb_number(struct pb *pb, unsigned field, int64_t number)
{
    put_varint(pb, field << 3);
    put_varint(pb, (uint64_t)number);
}

void pb_bytes(struct pb *pb, unsigned field, const void *bytes, size_t size)
{
    put_varint(pb, field << 3 | 2);
    put_varint(pb, size);
    put(pb, bytes, size);
}

void pb_text(struct pb *pb, unsigned field, const char *text)
{
    pb_bytes(pb, field, text, strlen(text));
}

void pb_message(struct pb *pb, unsigned field, const struct pb *message)
{
    pb_bytes(pb, field, message->bytes, message->size);
}

/* Takes the next part off a list; false at its end. */
static int next(const char **list, char separator, char *part)
{
    size_t size = strcspn(*list, (char[]){separator, '\0'});
    assert(size < MAX_TEXT);
    if (size == 0)
        return 0;
    memcpy(part, *list, size);
    part[size] = '\0';
    *list += size + ((*list)[size] == separator);
    return 1;
}

void make_value(struct pb *graph, unsigned field, const char *name, int datatype, const char *shape)
{
    char part[MAX_TEXT];
    struct pb dims = {0}, tensor = {0}, type = {0}, value = {0};
    while (next(&shape, ',', part)) {
        struct pb dim = {0};
        if (part[0] >= '0' && part[0] <= '9')
            pb_number(&dim, 1, strtoll(part, NULL, 10));
        else if (part[0] != '?')
            pb_text(&dim, 2, part);
        pb_message(&dims, 1, &dim);
    }
    pb_number(&tensor, 1, datatype);
    pb_message(&tensor, 2, &dims);
    pb_message(&type, 1, &tensor);
    pb_text(&value, 1, name);
    pb_message(&value, 2, &type);
    pb_message(graph, field, &value);
}

static void put_names(struct pb *node, unsigned field, const char *names)
{
    char name[MAX_TEXT];
    while (next(&names, ' ', name))
        pb_text(node, field, strcmp(name, "-") == 0 ? "" : name);
}

void make_node(struct pb *graph, const char *operator_name, const char *domain, const char *inputs,
               const char *outputs, const struct pb *attributes)
{
    struct pb node = {0};
    put_names(&node, 1, inputs);
    put_names(&node, 2, outputs);
    pb_text(&node, 4, operator_name);
    if (attributes)
        put(&node, attributes->bytes, attributes->size);
    pb_text(&node, 7, domain);
    pb_message(graph, 1, &node);
}

static void put_entry(struct pb *tensor, const char *key, const char *value)
{
    struct pb entry = {0};
    pb_text(&entry, 1, key);
    pb_text(&entry, 2, value);
    pb_message(tensor, 13, &entry);
}

void make_tensor(struct pb *graph, const char *name, int datatype, const char *shape,
                 const void *content, size_t size, const char *file)
{
    char part[MAX_TEXT];
    struct pb tensor = {0};
    while (next(&shape, ',', part))
        pb_number(&tensor, 1, strtoll(part, NULL, 10));
    pb_number(&tensor, 2, datatype);
    pb_text(&tensor, 8, name);
    if (file) {
        put_entry(&tensor, "location", file);
        pb_number(&tensor, 14, 1);
    } else {
        pb_bytes(&tensor, 9, content, size);
    }
    pb_message(graph, 5, &tensor);
}

void make_model(const struct pb *graph, const char *path)
{
    struct pb model = {0}, opset = {0}, other = {0};
    pb_number(&model, 1, 9); /* IR version */
    pb_message(&model, 7, graph);
    pb_text(&opset, 1, "");
    pb_number(&opset, 2, 18);
    pb_message(&model, 8, &opset);
    pb_text(&other, 1, "nowhere");
    pb_number(&other, 2, 1);
    pb_message(&model, 8, &other);
    FILE *file = fopen(path, "wb");
    assert(file);
    size_t written = fwrite(model.bytes, 1, model.size, file);
    int failed = fclose(file);
    assert(written == model.size && !failed);
}

void make_identity(const char *path, int datatype, const char *shape)
{
    struct pb graph = {0};
    pb_text(&graph, 2, "graph");
    make_node(&graph, "Identity", "", "INPUT", "OUTPUT", NULL);
    make_value(&graph, 11, "INPUT", datatype, shape);
    make_value(&graph, 12, "OUTPUT", datatype, shape);
    make_model(&graph, path);
}
