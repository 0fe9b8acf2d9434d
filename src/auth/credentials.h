/* Credentials as a request carries them. Pure. */
#ifndef TENSORD_AUTH_CREDENTIALS_H
#define TENSORD_AUTH_CREDENTIALS_H

#include "base/error.h"
#include "base/span.h"

enum { CREDENTIALS_BYTES = 256 }; /* of a decoded name and password */

/* Reads the value of an Authorization field (RFC 9110 §11.6.2): "Bearer SECRET" (RFC 6750), or
 * "Basic …" (RFC 7617) whose password is the secret and whose user name is anything, for clients
 * that know nothing else. *ret_secret points into value or into room. False for another scheme
 * (UNAUTHENTICATED) and for what is malformed (INVALID_ARGUMENT). The secret is not judged here. */
bool credentials_parse(struct span value, char room[CREDENTIALS_BYTES], struct span *ret_secret,
                       struct error *ret_error);

/* True when a query carries a secret: a parameter that is named as one ("token", "access_token",
 * "api_key", …), or a value that starts like one, encoded or not. Queries end up in logs and in the
 * histories of browsers. */
bool query_has_secret(struct span query);

#endif
