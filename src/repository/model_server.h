/* The section `server` of a model's config: a program that speaks HTTP. Pure. */
#ifndef TENSORD_REPOSITORY_MODEL_SERVER_H
#define TENSORD_REPOSITORY_MODEL_SERVER_H

#include "base/error.h"
#include "base/server_config.h"
#include "codec/model_sections.pb.h"

/* Checks the section and splits its command. What *ret_config holds lies in the arena or where the
 * section's strings lie. False with a sentence (INVALID_ARGUMENT). */
bool model_server_read(const struct tensord_server_section *section, struct arena *arena,
                       struct server_config *ret_config, struct error *ret_error);

/* Splits a command into words as a POSIX shell would: blanks separate, '…', "…" and \ quote.
 * Nothing is expanded. False when a quote is not closed, or there are too many words. */
bool model_server_split(struct span command, struct arena *arena, struct span **ret_words,
                        size_t *ret_count, struct error *ret_error);

#endif
