/* Runs a fuzz target over a folder of seeds, as an ordinary test, without libFuzzer.
 *
 * Each seed is run whole and cut short at every length up to PREFIX_BYTES: a parser meets truncated
 * input all the time. The bytes lie in memory of exactly their size, so that AddressSanitizer sees
 * a read past the end. A folder without seeds fails: a test that ran nothing proves nothing. */
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

static bool run_seed(const char *path)
{
    static uint8_t bytes[SEED_BYTES];
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    size_t size = fread(bytes, 1, sizeof bytes, file);
    bool ok = !ferror(file) && size < sizeof bytes;
    fclose(file);
    for (size_t prefix = 0; ok && prefix < size && prefix <= PREFIX_BYTES; prefix++)
        ok = run_copy(bytes, prefix);
    return ok && run_copy(bytes, size);
}

/* Runs every seed of the folder; returns how many, or -1 when one could not be read. */
static int run_folder(const char *folder)
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
        bool ok = length > 0 && (size_t)length < sizeof path && run_seed(path);
        if (!ok)
            fprintf(stderr, "%s/%s: not read, or too big\n", folder, entry->d_name);
        count = ok ? count + 1 : -1;
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    int count = run_folder(argv[1]);
    if (count <= 0) {
        fprintf(stderr, "%s: no seed was run\n", argv[1]);
        return 1;
    }
    printf("%d seeds\n", count);
    return 0;
}
