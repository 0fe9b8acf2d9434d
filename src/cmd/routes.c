/* `tensord routes`: the tables of routes, from which the router and the gate work. */
#include "api/routes.h"

#include "api/grpc_call.h"
#include "cmd/commands.h"
#include "cmd/table.h"
#include "codec/json_writer.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    COLUMNS = 4,
    ROUTE_PROTOCOL = 0,
    ROUTE_METHOD,
    ROUTE_PATH,
    ROUTE_SCOPE,
    TEXT_BYTES = 1 << 20
};

static const char *const titles[COLUMNS] = {"PROTOCOL", "METHOD", "PATH", "SCOPE"};
static const char *const keys[COLUMNS] = {"protocol", "method", "path", "scope"};

const struct command_option routes_options[] = {
    {"json", NULL, "As JSON, for programs"},
    {.name = NULL},
};

/* HEAD is answered wherever GET is. */
static const char *method_name(enum http_method method)
{
    static const char *const names[] = {
        [HTTP_OTHER] = "",          [HTTP_GET] = "GET",    [HTTP_HEAD] = "HEAD",
        [HTTP_POST] = "POST",       [HTTP_PUT] = "PUT",    [HTTP_DELETE] = "DELETE",
        [HTTP_OPTIONS] = "OPTIONS", [HTTP_PATCH] = "PATCH"};
    return names[method];
}

static void set_row(struct span *row, const char *protocol, const char *method, const char *path,
                    enum scope scope)
{
    row[ROUTE_PROTOCOL] = span_of(protocol);
    row[ROUTE_METHOD] = span_of(method);
    row[ROUTE_PATH] = span_of(path);
    row[ROUTE_SCOPE] = span_of(scope_name(scope));
}

/* All rows, on the heap; NULL without memory. */
static struct span *list_routes(size_t *ret_count)
{
    size_t rest_count, grpc_count;
    const struct route *rest = route_table(&rest_count);
    const struct grpc_route *grpc = grpc_route_table(&grpc_count);
    struct span *cells = calloc((rest_count + grpc_count) * COLUMNS, sizeof *cells);
    for (size_t i = 0; cells && i < rest_count; i++)
        set_row(cells + i * COLUMNS, "rest", method_name(rest[i].method), rest[i].path,
                rest[i].scope);
    for (size_t i = 0; cells && i < grpc_count; i++)
        set_row(cells + (rest_count + i) * COLUMNS, "grpc", "POST", grpc[i].path, grpc[i].scope);
    *ret_count = rest_count + grpc_count;
    return cells;
}

static bool print_json(const struct span *cells, size_t count)
{
    struct json_writer json;
    struct buf text;
    buf_init(&text, TEXT_BYTES);
    json_writer_init(&json, &text);
    json_put_array(&json);
    for (size_t i = 0; i < count; i++) {
        json_put_object(&json);
        for (size_t column = 0; column < COLUMNS; column++) {
            json_put_member_string(&json, span_of(keys[column]), cells[i * COLUMNS + column]);
        }
        json_put_object_end(&json);
    }
    json_put_array_end(&json);
    bool good = buf_ok(&text);
    if (good)
        printf("%.*s\n", SPAN_ARGS(buf_span(&text)));
    buf_fini(&text);
    return good;
}

int routes_run(int count, char **arguments)
{
    struct command_line line;
    struct error error;
    size_t rows;
    if (!command_line_read(routes_options, 0, count, arguments, &line, &error))
        return command_complain("routes", error.message);
    struct span *cells = list_routes(&rows);
    bool good = cells != NULL;
    if (good && line.values[0])
        good = print_json(cells, rows);
    else if (good)
        table_print(titles, COLUMNS, cells, rows);
    free(cells);
    return good ? 0 : command_complain("routes", "out of memory");
}
