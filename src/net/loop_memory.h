/* The memory that libuv takes. It ends the process, without a word, when its table of descriptors
 * cannot grow; so that table has a place of its own to go to when there is no memory. */
#ifndef TENSORD_NET_LOOP_MEMORY_H
#define TENSORD_NET_LOOP_MEMORY_H

#include "base/error.h"

/* Has libuv use this memory. Before its first call; one thread. False when there is not even room
 * for the reserve, which is only addresses until it is used. */
bool loop_memory_init(struct error *ret_error);

#endif
