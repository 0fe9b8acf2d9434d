/* The state folder: what the server keeps between its runs. Models that were pushed lie in its
 * folder "models". */
#ifndef TENSORD_CMD_STATE_DIR_H
#define TENSORD_CMD_STATE_DIR_H

#include "settings/settings.h"

#include <limits.h>

/* Writes the state folder's path, whether it is there or not. False when there is no home. */
bool state_dir_find(const struct settings *settings, char ret_path[PATH_MAX],
                    struct error *ret_error);

/* Finds the state folder and makes it, with its folder "models", mode 0700 where they are new:
 * --state-dir; else $STATE_DIRECTORY, which systemd sets; else $XDG_STATE_HOME/tensord; else
 * ~/.local/state/tensord. Writes its absolute path. False with a sentence when it cannot be made or
 * there is no home. */
bool state_dir_open(const struct settings *settings, char ret_path[PATH_MAX],
                    struct error *ret_error);

/* The folder of environments in the state folder, which is made: its absolute path, whether it is
 * there or not; empty when there is no state folder. */
void environments_dir_find(const struct settings *settings, char ret_path[PATH_MAX]);

/* The same of the folder of homes that managed servers keep. */
void homes_dir_find(const struct settings *settings, char ret_path[PATH_MAX]);

#endif
