/* For unit tests of a config's sections: each test reads configs into `config`, whose parts lie in
 * `arena`; `error` says why one was refused. */
#ifndef TENSORD_REPOSITORY_CONFIG_FIXTURE_H
#define TENSORD_REPOSITORY_CONFIG_FIXTURE_H

#include "base/arena_fixture.h"
#include "repository/model_config.h"

#include <stdlib.h>

static struct model_config config;

static inline void config_accepts(enum model_config_format format, const char *text)
{
    if (!model_config_read(format, span_of(text), &arena, &config, &error))
        fail_msg("%s: %s", text, error.message);
}

static inline void config_refuses(enum model_config_format format, const char *text,
                                  const char *sentence)
{
    if (model_config_read(format, span_of(text), &arena, &config, &error))
        fail_msg("%s: this is accepted", text);
    if (error.code == ERROR_OK || !strstr(error.message, sentence))
        fail_msg("%s: \"%s\" does not say \"%s\"", text, error.message, sentence);
}

/* Reads a config, which must be good; or sees that it is refused, with a reason of which the
 * sentence is part. */
static inline void accepts_yaml(const char *text)
{
    config_accepts(MODEL_CONFIG_YAML, text);
}

static inline void refuses_yaml(const char *text, const char *sentence)
{
    config_refuses(MODEL_CONFIG_YAML, text, sentence);
}

static inline void accepts_pbtxt(const char *text)
{
    config_accepts(MODEL_CONFIG_PBTXT, text);
}

static inline void refuses_pbtxt(const char *text, const char *sentence)
{
    config_refuses(MODEL_CONFIG_PBTXT, text, sentence);
}

#endif
