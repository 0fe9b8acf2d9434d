/* Patterns for names of models and hosts: "*" stands for any characters, none too; every other
 * character for itself. */
#ifndef TENSORD_AUTH_GLOB_H
#define TENSORD_AUTH_GLOB_H

#include "base/span.h"

/* Time is at most the product of both lengths. */
bool glob_match(struct span pattern, struct span text);

/* True when one of the patterns, separated by commas, matches. An empty list matches nothing. */
bool glob_list_match(struct span patterns, struct span text);

#endif
