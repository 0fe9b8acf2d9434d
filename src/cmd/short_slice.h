/* Short slices of the processor for the front, so that it is woken at once on a busy machine. */
#ifndef TENSORD_CMD_SHORT_SLICE_H
#define TENSORD_CMD_SHORT_SLICE_H

/* Asks for them, for the calling thread but not for those that it starts. It gets no more of the
 * processor for that, only sooner: what runs meanwhile, such as a model, has to leave a whole slice
 * earlier. Kernels before 6.12 have no such wish, and where the thread runs by another policy than
 * the usual one, somebody knows better: then nothing changes. */
void short_slice_ask(void);

#endif
