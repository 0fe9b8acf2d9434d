/* Rows of a batch in which there is no request. Where a sequence keeps a row, that is there in each
 * execution of its worker, up to the last row that is anybody's: without a request the model is
 * told that nothing there is READY, and what it answers for that row is not looked at. */
#ifndef TENSORD_SERVING_FILLER_H
#define TENSORD_SERVING_FILLER_H

#include "serving/inference.h"

/* Puts requests of one worker's sequences, of which there are *count, into the order of their rows,
 * with fillers between and behind them; batch has room for SEQUENCES_MAX_ROWS. False: there is no
 * memory for fillers now, and there are none. */
bool filler_pad(struct inference **batch, size_t *count);

/* Frees the fillers of a batch that was not sent. */
void filler_drop(struct inference *const *batch, size_t count);

/* One has its last answer. */
void filler_free(struct inference *filler);

#endif
