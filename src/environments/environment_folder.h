/* The folder in which environments lie: those that nobody has used for long are removed, and others
 * ask what there is (environments_list and environments_remove, environment.h). One process at a
 * time is at it; while that may remove environments, none is planned, as a plan says that one is
 * there, and it must not go before its user is counted. */
#ifndef TENSORD_ENVIRONMENTS_ENVIRONMENT_FOLDER_H
#define TENSORD_ENVIRONMENTS_ENVIRONMENT_FOLDER_H

#include "environments/environment.h"

/* What is there is looked at for the first time soon, if there is something. */
void environment_folder_init(struct environments *environments);

/* An environment has lost its last user: what is unused is looked for soon. */
void environment_folder_unused(struct environments *environments);

/* Nothing is looked for any more; a process that does so is ended. */
void environment_folder_stop(struct environments *environments);

#endif
