/* Storing values as they are given: texts are checked against the row and kept in the settings'
 * arena. */
#ifndef TENSORD_SETTINGS_STORE_H
#define TENSORD_SETTINGS_STORE_H

#include "base/span.h"
#include "settings/row.h"

/* Every row's default. */
bool setting_defaults(struct settings *settings, struct error *ret_error);

/* Stores one value from that source. A LIST's first value from a source drops those of the sources
 * before it, further ones are added; in one value several stand apart by commas. `name` is how the
 * giver spelled the setting: the sentence of a failure begins with it. */
bool setting_store(struct settings *settings, const struct setting *row, struct span value,
                   enum setting_source source, const char *name, struct error *ret_error);

#endif
