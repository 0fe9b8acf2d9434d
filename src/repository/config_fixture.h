/* For unit tests of a config's sections: each test reads configs into `config`, whose parts lie in
 * `arena`; `error` says why one was refused. */
#ifndef TENSORD_REPOSITORY_CONFIG_FIXTURE_H
#define TENSORD_REPOSITORY_CONFIG_FIXTURE_H

#include "repository/model_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena arena;
static struct model_config config;
static struct error error;

static inline int config_set_up(void **state)
{
    arena_init(&arena, 1024, 1 << 20);
    return 0;
}

static inline int config_tear_down(void **state)
{
    arena_fini(&arena);
    return 0;
}

/* A test that has the above to itself. */
#define CONFIG_TEST(test) cmocka_unit_test_setup_teardown(test, config_set_up, config_tear_down)

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
