/* Cross-origin resource sharing (the Fetch standard, "CORS protocol"): telling browsers that pages
 * of a site may read our answers. */
#ifndef TENSORD_API_CORS_H
#define TENSORD_API_CORS_H

#include "protocol/http.h"

/* True when a browser asks before it sends what a page wants. */
bool cors_is_preflight(const struct http_request *request);

/* Makes every answer of the exchange, also the one to a preflight, readable for pages of that
 * origin. False when there is no memory. */
bool cors_allow(struct http_exchange *exchange, struct span origin);

#endif
