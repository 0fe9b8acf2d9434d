/* The id by which a request is found again: in the answer, in the log, in its trace. */
#ifndef TENSORD_TELEMETRY_REQUEST_ID_H
#define TENSORD_TELEMETRY_REQUEST_ID_H

#include "base/span.h"

enum { REQUEST_ID_BYTES = 16, REQUEST_ID_MAX_BYTES = 128 };

/* True for an id that a client may choose: 1 to 128 letters, digits and characters of "-._:~+/=@",
 * which mean nothing to a log, a shell or HTTP. */
bool request_id_valid(struct span id);

/* Makes an id of 16 hexadecimal digits. For the loop's thread. */
struct span request_id_make(char to[REQUEST_ID_BYTES]);

#endif
