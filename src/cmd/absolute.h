/* Paths that mean the same from every folder. */
#ifndef TENSORD_CMD_ABSOLUTE_H
#define TENSORD_CMD_ABSOLUTE_H

#include "base/error.h"

#include <limits.h>

/* The path, absolute: links in it stay as they are. False when it is too long, or the current
 * folder is gone. */
bool absolute_path(const char *path, char ret_path[PATH_MAX], struct error *ret_error);

#endif
