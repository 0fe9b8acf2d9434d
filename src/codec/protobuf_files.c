/* Lookups in the generated lists; see protobuf_files.h. */
#include "codec/protobuf_files.h"

#include <stdlib.h>

/* The order of the lists: bytewise, a prefix before what it begins. */
static int compare_spans(struct span a, struct span b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

static int compare_symbol(const void *key, const void *row)
{
    return compare_spans(*(const struct span *)key, ((const struct pb_symbol *)row)->name);
}

static int compare_route(const void *key, const void *row)
{
    return compare_spans(*(const struct span *)key, ((const struct pb_route *)row)->path);
}

const struct pb_file *pb_file_of_name(struct span name)
{
    for (size_t i = 0; i < pb_file_count; i++) {
        if (span_equal(pb_files[i]->name, name))
            return pb_files[i];
    }
    return NULL;
}

const struct pb_file *pb_file_of_symbol(struct span symbol)
{
    const struct pb_symbol *row =
        bsearch(&symbol, pb_symbols, pb_symbol_count, sizeof *pb_symbols, compare_symbol);
    return row ? row->file : NULL;
}

const struct pb_method *pb_method_of_path(struct span path)
{
    const struct pb_route *row =
        bsearch(&path, pb_routes, pb_route_count, sizeof *pb_routes, compare_route);
    return row ? &row->service->methods[row->method] : NULL;
}
