/* model.yaml: the fields of Triton's ModelConfig as YAML, and sections of our own beside them. */
#ifndef TENSORD_REPOSITORY_MODEL_YAML_H
#define TENSORD_REPOSITORY_MODEL_YAML_H

#include "codec/protobuf.h"

enum { MODEL_YAML_MAX_TARGETS = 2 };

/* A message, of table->size_bytes, that the caller has cleared or filled with defaults. */
struct model_yaml_target {
    const struct pb_message *table;
    void *message;
};

/* Reads one YAML document, whose keys are the fields of the targets' messages; the first target
 * that has a key gets it. In the others a field that is a message may be a single value, which is
 * then its first field. Everything that is read is in the arena. A message is a mapping, a
 * repeated field a sequence, a map a mapping; strings have no NUL. Anchors, aliases, tags and
 * further documents are refused. False, with the messages unspecified and a sentence that begins
 * with the line, when it is malformed, has unknown keys, keys given twice or values that do not
 * fit. */
bool model_yaml_read(const struct model_yaml_target *targets, size_t count, struct span text,
                     struct arena *arena, struct error *ret_error);

#endif
