/* The parameters of a target: "version=2&follow=1". */
#ifndef TENSORD_API_QUERY_H
#define TENSORD_API_QUERY_H

#include "protocol/http.h"

/* The value of the first parameter of that name, as sent; data NULL when there is none. */
struct span query_value(const struct http_request *request, struct span name);

/* The number that the parameter is, or `absent` when there is none. False (INVALID_ARGUMENT) when
 * it is anything else, or more than `most`. */
bool query_number(const struct http_request *request, struct span name, uint64_t absent,
                  uint64_t most, uint64_t *ret_value, struct error *ret_error);

#endif
