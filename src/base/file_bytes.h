/* Whole files as bytes, for what two processes hand to each other in a memfd. Any thread. */
#ifndef TENSORD_BASE_FILE_BYTES_H
#define TENSORD_BASE_FILE_BYTES_H

#include "base/arena.h"

/* Reads all of a file into the arena, followed by a NUL that the size does not count. False when it
 * is longer than limit_bytes, cannot be read, or there is no memory. */
bool file_bytes_read(int fd, size_t limit_bytes, struct arena *arena, struct span *ret_bytes);

/* Makes the bytes all that the file holds. False, with errno, when they could not be written. */
bool file_bytes_write(int fd, struct span bytes);

#endif
