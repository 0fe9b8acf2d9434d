/* `tensord ls`: asks a running server for its repository index and prints it as a table, in order
 * of names and versions. */
#include "cmd/commands.h"
#include "cmd/http_client.h"
#include "cmd/table.h"
#include "codec/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 5, NOTE = COLUMNS - 1, REPLY_BYTES = 16 << 20 };

const struct command_option ls_options[] = {
    HTTP_CLIENT_OPTIONS,
    {"json", NULL, "Print the repository index as the server sends it, for programs"},
    {.name = NULL},
};

static const struct span keys[COLUMNS] = {
    {"name", 4}, {"version", 7}, {"state", 5}, {"engine", 6}, {"reason", 6}};

static const char *const titles[COLUMNS] = {"MODEL", "VERSION", "STATE", "ENGINE", "NOTE"};

struct row {
    struct span cells[COLUMNS];
};

static bool read_row(struct json *json, struct row *row)
{
    struct span key, batching = {NULL, 0};
    *row = (struct row){0};
    json_enter_object(json);
    while (json_next_key(json, &key)) {
        size_t column = 0;
        while (column < COLUMNS && !span_equal(key, keys[column]))
            column++;
        if (column < COLUMNS)
            json_string(json, &row->cells[column]);
        else if (span_equal(key, SPAN("batching")))
            json_string(json, &batching);
        else
            json_skip(json, NULL);
    }
    if (!row->cells[NOTE].size) /* all is well, and there is room to say whether it batches */
        row->cells[NOTE] = batching;
    return json_ok(json);
}

static int compare_rows(const void *a, const void *b)
{
    const struct span *one = ((const struct row *)a)->cells,
                      *other = ((const struct row *)b)->cells;
    size_t size = one[0].size < other[0].size ? one[0].size : other[0].size;
    int order = memcmp(one[0].data, other[0].data, size);
    if (order == 0 && one[0].size != other[0].size)
        order = one[0].size < other[0].size ? -1 : 1;
    uint64_t version = 0, of_other = 0;
    span_to_u64(one[1], &version);
    span_to_u64(other[1], &of_other);
    return order != 0 ? order : (version > of_other) - (version < of_other);
}

static bool read_rows(struct span text, struct arena *arena, struct row **ret_rows,
                      size_t *ret_count, struct error *ret_error)
{
    struct json json;
    struct row *rows = NULL;
    size_t count = 0, capacity = 0;
    json_init(&json, text, JSON_MAX_DEPTH, arena, ret_error);
    json_enter_array(&json);
    while (json_next_element(&json)) {
        if (!arena_grow(arena, (void **)&rows, count, &capacity, sizeof *rows))
            return error_no_memory(ret_error);
        if (read_row(&json, &rows[count]))
            count++;
    }
    if (count)
        qsort(rows, count, sizeof *rows, compare_rows);
    *ret_rows = rows;
    *ret_count = count;
    return json_end(&json);
}

/* The server's own words, for programs. */
static void print_json(struct span text)
{
    fwrite(text.data, 1, text.size, stdout);
    putchar('\n');
}

int ls_run(int count, char **arguments)
{
    struct command_line line;
    struct error error;
    struct arena arena;
    struct buf reply;
    struct row *rows = NULL;
    size_t row_count = 0;
    if (!command_line_read(ls_options, 0, count, arguments, &line, &error))
        return command_complain("ls", error.message);
    struct http_client client;
    http_client_init(&client, &line);
    arena_init(&arena, 4096, REPLY_BYTES);
    buf_init(&reply, REPLY_BYTES);
    bool good = http_client_post(&client, "/v2/repository/index", SPAN("{}"), &reply, &error) &&
                read_rows(buf_span(&reply), &arena, &rows, &row_count, &error);
    if (good && line.values[HTTP_CLIENT_OPTION_COUNT])
        print_json(buf_span(&reply));
    else if (good)
        table_print(titles, COLUMNS, rows ? rows->cells : NULL, row_count);
    else
        command_complain("ls", error.message);
    buf_fini(&reply);
    arena_fini(&arena);
    return good ? 0 : 1;
}
