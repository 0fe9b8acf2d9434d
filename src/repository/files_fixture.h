/* Writes files for the tests of scans. */
#ifndef TENSORD_REPOSITORY_FILES_FIXTURE_H
#define TENSORD_REPOSITORY_FILES_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Writes a file below the folder, and makes the folders on the way. */
static inline void files_put(const char *folder, const char *name, const char *content)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (char *slash = strchr(path + strlen(folder) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    if (!file)
        abort();
    fputs(content, file);
    fclose(file);
}

#endif
