/* The config file: a YAML mapping whose keys are the settings' names, with "-" or "_".
 *
 *     port: 9000
 *     listen: [127.0.0.1:9000, unix:/run/tensord.sock]
 */
#ifndef TENSORD_SETTINGS_CONFIG_FILE_H
#define TENSORD_SETTINGS_CONFIG_FILE_H

#include "base/span.h"
#include "settings/settings.h"

enum { CONFIG_FILE_MAX_BYTES = 64 << 10 };

/* Stores what the file says. False, with some of it stored and a sentence that begins with the
 * file's name and the line, when a key is unknown (with the nearest one), given twice or has no
 * value, when a value is wrong, when it is no YAML or more than a mapping of plain values, or when
 * the file cannot be read, is no regular one or has more than CONFIG_FILE_MAX_BYTES. */
bool config_file_read(struct settings *settings, const char *path, struct error *ret_error);

/* The same of text that is there already; sentences begin with the line. */
bool config_text_read(struct settings *settings, struct span text, struct error *ret_error);

#endif
