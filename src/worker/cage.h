/* An init: the process between the spawner and one that is caged.
 *
 * It makes the namespaces that the caged process has of its own, starts it there and waits for it:
 * it is process 1 of its processes, reaps what is orphaned there, passes on the signals that it is
 * sent, and ends when the caged process has ended, and with it whatever that has started. To the
 * spawner it is the worker: its process id is the worker's, and so is the way it ends. It executes
 * nothing, reads nothing but who has ended, and keeps no privilege. */
#ifndef TENSORD_WORKER_CAGE_H
#define TENSORD_WORKER_CAGE_H

#include "base/span.h"
#include "worker/sandbox.h"

#include <sys/types.h>

/* Like fork(), in a process with one thread: returns 0 in the process that is to be caged, and the
 * init's process id, or -1 with errno, in the caller. The share says what it has of its own,
 * SANDBOX_INIT among it, and its limits: of what it uses of memory and processes the init looks
 * every second, and ends it with a sentence when that is too much. `words` is a pipe, whose reading
 * end the caller alone keeps: when that is closed, the caller is gone and all ends. What keeps the
 * init from its work is written there, as a sentence, and at the end what cage_words_read
 * reads. The caged process ends with its init. */
pid_t cage_fork(const struct sandbox_share *share, const int words[2]);

/* Reads what came through the pipe when the init has ended and corrects the wait status by it.
 * *words is then a sentence, or empty. True when it says which limit the process had passed. */
bool cage_words_read(struct span *words, int *status);

/* What namespaces processes can have here, tried out: SANDBOX_OWN_* of enum sandbox_own and
 * SANDBOX_INIT. Where some are missing, `lack` says what is and why. Forks and waits; SIGCHLD must
 * not be ignored. */
unsigned cage_find_namespaces(char *lack, size_t size);

#endif
