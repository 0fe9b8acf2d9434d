/* Settings as text, for people and for config files. */
#ifndef TENSORD_SETTINGS_PRINT_H
#define TENSORD_SETTINGS_PRINT_H

#include "base/buf.h"
#include "settings/row.h"

/* Appends the value as the config file has it: 8000, true, all, "a b", ["a", "b"]. */
bool setting_print(struct buf *to, const struct settings *settings, const struct setting *row);

/* Appends where the value comes from: "default", "tensord.yaml, line 3", "TENSORD_PORT",
 * "--port". */
bool setting_print_source(struct buf *to, const struct settings *settings,
                          const struct setting *row);

#endif
