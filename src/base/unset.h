/* The compiler is told to clear every local (-ftrivial-auto-var-init=zero), so that a mistake reads
 * zeros. Half a KiB of them in each of two dozen functions was a fifteenth of a request's cost:
 * large locals on the path of every request are marked UNSET. They are filled before they are read.
 *
 *     struct error error UNSET; */
#ifndef TENSORD_BASE_UNSET_H
#define TENSORD_BASE_UNSET_H

#define UNSET __attribute__((uninitialized))

#endif
