/* Runs a fuzz target over folders of stored inputs, as an ordinary test, without libFuzzer.
 *
 * Inputs of the first folder, the seeds, are run whole and cut short at every length up to
 * PREFIX_BYTES: a parser meets truncated input all the time. Those of the others, and with --whole
 * all, are run as they are. The bytes lie in memory of exactly their size, so that AddressSanitizer
 * sees a read past the end. A folder without inputs fails: a test that ran nothing proves nothing.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PREFIX_BYTES = 512,
    SEED_BYTES = 1 << 20,
    PATH_BYTES = 4096,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Runs the target on a copy of the first `size` bytes. */
static bool run_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        return false;
    if (size)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(size ? copy : copy + 1, size);
    free(copy);
    return true;
}

static bool run_file(const char *path, bool whole)
{
    static uint8_t bytes[SEED_BYTES];
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    size_t size = fread(bytes, 1, sizeof bytes, file);
    bool ok = !ferror(file) && size < sizeof bytes;
    fclose(file);
    for (size_t prefix = 0; !whole && ok && prefix < size && prefix <= PREFIX_BYTES; prefix++)
        ok = run_copy(bytes, prefix);
    return ok && run_copy(bytes, size);
}

/* Runs every input of the folder; returns how many, or -1 when one could not be read. */
static int run_folder(const char *folder, bool whole)
{
    int count = 0;
    DIR *dir = opendir(folder);
    if (!dir)
        return -1;
    for (struct dirent *entry; count >= 0 && (entry = readdir(dir));) {
        char path[PATH_BYTES];
        if (entry->d_name[0] == '.')
            continue;
        int length = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        bool ok = length > 0 && (size_t)length < sizeof path && run_file(path, whole);
        if (!ok)
            fprintf(stderr, "%s/%s: not read, or too big\n", folder, entry->d_name);
        count = ok ? count + 1 : -1;
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    bool whole = argc > 1 && strcmp(argv[1], "--whole") == 0;
    int first = whole ? 2 : 1;
    if (argc <= first) {
        fprintf(stderr, "usage: %s [--whole] FOLDER...\n", argv[0]);
        return 2;
    }
    for (int i = first; i < argc; i++) {
        int count = run_folder(argv[i], whole || i > first);
        if (count <= 0) {
            fprintf(stderr, "%s: no input was run\n", argv[i]);
            return 1;
        }
        printf("%s: %d inputs\n", argv[i], count);
    }
    return 0;
}
