/* Example requests made from a schema: every free dimension is 1, every number 0, every string
 * "text". Optional inputs are left out. */
#ifndef TENSORD_API_EXAMPLE_H
#define TENSORD_API_EXAMPLE_H

#include "base/buf.h"
#include "base/tensor.h"

/* Write the body of an infer, a generate and a predict request. Where that would be too long, the
 * buffer has failed. */
void example_write(struct buf *to, const struct schema *schema);
void example_write_generate(struct buf *to, const struct schema *schema);
void example_write_predict(struct buf *to, const struct schema *schema);

#endif
