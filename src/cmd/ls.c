/* `tensord ls`: asks a running server for its repository index and prints it as a table. */
#include "cmd/commands.h"
#include "cmd/http_client.h"
#include "codec/json.h"

#include <stdio.h>
#include <string.h>

enum { COLUMNS = 6, REPLY_BYTES = 16 << 20 };

#define DEFAULT_URL "http://127.0.0.1:8000"

const struct command_option ls_options[] = {
    {"to", "URL", "The server's address [" DEFAULT_URL "]"},
    {.name = NULL},
};

static const struct span keys[COLUMNS] = {{"name", 4},   {"version", 7},  {"state", 5},
                                          {"engine", 6}, {"batching", 8}, {"reason", 6}};

static const char *const titles[COLUMNS] = {"MODEL",  "VERSION",  "STATE",
                                            "ENGINE", "BATCHING", "REASON"};

struct row {
    struct span cells[COLUMNS];
};

static bool read_row(struct json *json, struct row *row)
{
    struct span key;
    *row = (struct row){0};
    json_enter_object(json);
    while (json_next_key(json, &key)) {
        size_t column = 0;
        while (column < COLUMNS && !span_equal(key, keys[column]))
            column++;
        if (column < COLUMNS)
            json_string(json, &row->cells[column]);
        else
            json_skip(json, NULL);
    }
    return json_ok(json);
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
    *ret_rows = rows;
    *ret_count = count;
    return json_end(&json);
}

/* Prints a cell, padded. Names and reasons are others' text: control characters do not reach the
 * terminal. */
static void print_cell(struct span cell, size_t width)
{
    for (size_t i = 0; i < cell.size; i++) {
        unsigned char c = (unsigned char)cell.data[i];
        putchar(c < 0x20 || c == 0x7f ? '?' : c);
    }
    printf("%*s", (int)(width - cell.size) + 2, "");
}

/* Prints columns as wide as their widest cell; those that are empty everywhere are left out. */
static void print_rows(const struct row *rows, size_t count)
{
    size_t widths[COLUMNS] = {0};
    for (size_t column = 0; column < COLUMNS; column++) {
        for (size_t i = 0; i < count; i++)
            widths[column] = rows[i].cells[column].size > widths[column]
                                 ? rows[i].cells[column].size
                                 : widths[column];
        if (widths[column] && widths[column] < strlen(titles[column]))
            widths[column] = strlen(titles[column]);
    }
    for (size_t column = 0; column < COLUMNS; column++) {
        if (widths[column])
            printf("%-*s  ", (int)widths[column], titles[column]);
    }
    putchar('\n');
    for (size_t i = 0; i < count; i++) {
        for (size_t column = 0; column < COLUMNS; column++) {
            if (widths[column])
                print_cell(rows[i].cells[column], widths[column]);
        }
        putchar('\n');
    }
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
    const char *url = line.values[0] ? line.values[0] : DEFAULT_URL;
    arena_init(&arena, 4096, REPLY_BYTES);
    buf_init(&reply, REPLY_BYTES);
    bool good = http_client_post(url, "/v2/repository/index", SPAN("{}"), &reply, &error) &&
                read_rows(buf_span(&reply), &arena, &rows, &row_count, &error);
    if (good)
        print_rows(rows, row_count);
    else
        command_complain("ls", error.message);
    buf_fini(&reply);
    arena_fini(&arena);
    return good ? 0 : 1;
}
