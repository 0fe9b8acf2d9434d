/* Configs; see model_config.h. */
#include "repository/model_config.h"

const char *const model_config_names[] = {"config.pbtxt", "model.yaml", NULL};

const struct model_config *model_config_default(void)
{
    static const struct model_config config = {.max_batch_size = -1, .device = {"cpu", 3}};
    return &config;
}

bool model_config_load(const char *folder, struct arena *arena,
                       const struct model_config **ret_config, struct error *ret_error)
{
    *ret_config = model_config_default();
    return true;
}
