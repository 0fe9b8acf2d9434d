/* Dates as the token file has them, and as people give them: UTC, to the second. */
#ifndef TENSORD_AUTH_DATE_H
#define TENSORD_AUTH_DATE_H

#include "base/error.h"
#include "base/span.h"

enum { DATE_TEXT_BYTES = 24 };

#define DATE_NEVER INT64_MAX

/* Reads "2030-01-31T12:00:00Z" (RFC 3339), or "2030-01-31", which is its first second. Seconds
 * since 1970; years 1970 to 9999. False (INVALID_ARGUMENT) for anything else, days that do not
 * exist too.
 */
bool date_parse(struct span text, int64_t *ret_date_s, struct error *ret_error);

/* Writes the long form. Returns text. */
const char *date_format(int64_t date_s, char text[DATE_TEXT_BYTES]);

/* Reads when something ends: "12h", "30d" or "8w" after now_s, a date, or "never" (DATE_NEVER). */
bool date_parse_end(struct span text, int64_t now_s, int64_t *ret_date_s, struct error *ret_error);

#endif
