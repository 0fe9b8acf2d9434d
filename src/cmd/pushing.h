/* Pushed models: the folder of blobs and the installers, put together for the front. */
#ifndef TENSORD_CMD_PUSHING_H
#define TENSORD_CMD_PUSHING_H

#include "push/blobs.h"
#include "push/installer.h"
#include "push/loads.h"
#include "settings/settings.h"

struct pushing {
    struct blobs blobs;
    struct installer installer;
    struct loads loads;
};

/* The folder of blobs in the state folder, absolute. False when there is no state folder. */
bool pushing_blobs_path(const struct settings *settings, char ret_path[PATH_MAX],
                        struct error *ret_error);

/* The same of the folder of files that loads bring. */
bool pushing_loads_path(const struct settings *settings, char ret_path[PATH_MAX],
                        struct error *ret_error);

/* Makes all ready: models are pushed to the folder `path`. Where that is no folder, or nothing can
 * be uploaded, pushes are refused with a sentence, and loads that bring files where these cannot be
 * kept; never fails. Before the sandbox closes in.
 * installer.changed is set by looking_init. */
void pushing_open(struct pushing *pushing, struct loop *loop, struct spawner_client *spawner,
                  const struct settings *settings, const char *path);

/* The folder of blobs, NULL when there is none: it is to be let into the front's sandbox. */
const char *pushing_folder(const struct pushing *pushing);

/* The folder of files that loads bring, of all servers of the state folder; likewise. */
const char *pushing_loads_folder(const struct pushing *pushing, char parent[PATH_MAX]);

/* The limits that a reload may change. */
void pushing_apply(struct pushing *pushing, const struct settings *settings);

#endif
