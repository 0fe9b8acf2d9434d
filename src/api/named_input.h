/* An input of a request of which the JSON says but name and value: its datatype is the schema's,
 * its shape is found (input_shape.h). Pure. */
#ifndef TENSORD_API_NAMED_INPUT_H
#define TENSORD_API_NAMED_INPUT_H

#include "api/infer_json.h"

/* Adds it to the request; its shape and value are the caller's to fill in. NULL, the reader having
 * failed, when there is no memory. */
struct infer_json_input *named_input_add(struct infer_json_reader *reader,
                                         const struct tensor_info *info);

/* The value of that input comes next: adds it, which may happen once. False after a failure. */
bool named_input_read(struct infer_json_reader *reader, const struct tensor_info *info);

#endif
