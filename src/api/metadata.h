/* What REST and gRPC say alike about the server and its models. */
#ifndef TENSORD_API_METADATA_H
#define TENSORD_API_METADATA_H

#include "api/api.h"

/* The extensions of the protocol that the server has; those that are switched off it has not. */
const struct span *server_extensions(const struct api *api, size_t *ret_count);

/* The version's schema; NULL with UNAVAILABLE and the reason while it is not known. */
const struct schema *described_schema(const struct version *version, struct error *ret_error);

#endif
