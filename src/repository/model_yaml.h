/* model.yaml: the fields of Triton's ModelConfig as YAML. */
#ifndef TENSORD_REPOSITORY_MODEL_YAML_H
#define TENSORD_REPOSITORY_MODEL_YAML_H

#include "codec/protobuf.h"

/* Reads one YAML document into *message, a struct of table->size_bytes that the caller has cleared
 * or filled with defaults; everything that is read is in the arena. A message is a mapping, a
 * repeated field a sequence, a map a mapping. Anchors, aliases, tags and further documents are
 * refused. False, with *message unspecified and a sentence that begins with the line, when it is
 * malformed, has unknown keys, keys given twice or values that do not fit. */
bool model_yaml_read(const struct pb_message *table, struct span text, struct arena *arena,
                     void *message, struct error *ret_error);

#endif
