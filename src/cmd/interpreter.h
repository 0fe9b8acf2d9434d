/* Which Python the server's Python workers are, or are built upon. */
#ifndef TENSORD_CMD_INTERPRETER_H
#define TENSORD_CMD_INTERPRETER_H

#include <limits.h>
#include <stdbool.h>

/* Writes the absolute path of the interpreter that is `named`, a program or the folder of an
 * environment; without a name (NULL or empty), that of $VIRTUAL_ENV, else the first python3 on PATH
 * that is a program and no script: a script may choose another one tomorrow, and workers may not
 * execute it. The last part of the path is left as it is, links and all: environments are found by
 * it. False when there is none. Looks at names and first bytes. */
bool interpreter_find(const char *named, char ret_path[static PATH_MAX]);

#endif
