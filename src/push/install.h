/* What is done in the installer: a process that lives for one change of the folder of models
 * (worker/spawner.h, a task that writes). Nobody else changes it for the server.
 *
 * A version becomes what its manifest says in one step, and a process that is killed leaves nothing
 * but a staging folder. Files are hard links of blobs where the file system allows it, which costs
 * no room and lets them be known again by their inodes; else copies. */
#ifndef TENSORD_PUSH_INSTALL_H
#define TENSORD_PUSH_INSTALL_H

#include <stdbool.h>

/* Answers, in the file that fd is, the question that it holds (install_bytes.h), by changing the
 * folder at path. False when the answer could not be written. */
bool install_run(const char *path, int fd);

#endif
