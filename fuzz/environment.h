/* The environment, as an input has it. */
#ifndef TENSORD_FUZZ_ENVIRONMENT_H
#define TENSORD_FUZZ_ENVIRONMENT_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ENVIRONMENT_VARIABLES = 64 };

/* Variables "NAME=value" of a text, each a line; free it with environment_end. */
struct environment {
    char *text;
    char *variables[ENVIRONMENT_VARIABLES + 1];
    char **before;
};

static inline void environment_begin(struct environment *environment, const unsigned char *data,
                                     size_t size)
{
    size_t count = 0;
    environment->text = malloc(size + 1);
    assert(environment->text);
    memcpy(environment->text, data, size);
    environment->text[size] = '\0';
    char *rest = environment->text;
    for (char *line; (line = strsep(&rest, "\n")) && count < ENVIRONMENT_VARIABLES;)
        environment->variables[count++] = line;
    environment->variables[count] = NULL;
    environment->before = environ;
    environ = environment->variables;
}

static inline void environment_end(struct environment *environment)
{
    environ = environment->before;
    free(environment->text);
}

#endif
