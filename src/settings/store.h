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

/* Copies a text, or a list, into the settings' arena. False when there is no memory. */
bool setting_copy_text(struct settings *settings, const char **ret_text, const char *text);
bool setting_copy_list(struct settings *settings, struct setting_list *ret_list,
                       const struct setting_list *list);

/* Stores what the environment says; an empty variable says nothing. */
bool setting_read_environment(struct settings *settings, struct error *ret_error);

#endif
