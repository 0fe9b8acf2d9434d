/* Giving up what the front needs no more: files, system calls, capabilities. */
#ifndef TENSORD_CMD_FRONT_CONFINE_H
#define TENSORD_CMD_FRONT_CONFINE_H

#include "base/error.h"
#include "settings/settings.h"

/* Enters the front's sandbox, for good, and says in the log of which layers it is. What a reload
 * reads stays readable: the config file, the certificates, and token_folder, where the token file
 * lies (empty: there is none). blobs_folder and loads_folder (NULL: there is none) and
 * learned_folder (empty: there is none) may be written. To be called while the process has one
 * thread, after everything else has been opened. False with a sentence when --sandbox strict cannot
 * be kept. */
bool front_confine(const struct settings *settings, const char *token_folder,
                   const char *blobs_folder, const char *loads_folder, const char *learned_folder,
                   struct error *ret_error);

#endif
