/* docs/metrics.md must say what the tables say. With --print instead of the page's path, prints
 * what has to stand there. */
#include "telemetry/metrics_page.h"

#include <stdio.h>

enum { PAGE_BYTES = 1 << 20 };

static bool read_file(const char *path, struct buf *to)
{
    char *room = buf_reserve(to, PAGE_BYTES - 1);
    FILE *file = room ? fopen(path, "r") : NULL;
    if (!file)
        return false;
    to->size = fread(room, 1, PAGE_BYTES - 1, file);
    fclose(file);
    return true;
}

int main(int count, char **arguments)
{
    struct buf wanted, page;
    buf_init(&wanted, PAGE_BYTES);
    buf_init(&page, PAGE_BYTES);
    bool good = count == 2 && metrics_page_write(&wanted);
    if (good && strcmp(arguments[1], "--print") == 0) {
        fwrite(wanted.data, 1, wanted.size, stdout);
    } else {
        good = good && read_file(arguments[1], &page) &&
               memmem(page.data, page.size, wanted.data, wanted.size);
        if (!good)
            fprintf(stderr, "docs/metrics.md is stale: ./dev docs writes it anew\n");
    }
    buf_fini(&wanted);
    buf_fini(&page);
    return good ? 0 : 1;
}
