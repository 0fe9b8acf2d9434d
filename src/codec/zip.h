/* gzip and deflate, as HTTP and gRPC name them (RFC 1952; "deflate" is RFC 1950, the zlib format),
 * over zlib.
 *
 * Reading is by pieces, so that a message is decoded while it comes and no turn of the loop does
 * more than its piece. A bomb is found as it expands: above ZIP_FREE_BYTES the decoded bytes may be
 * at most ZIP_MAX_RATIO times the encoded ones so far. */
#ifndef TENSORD_CODEC_ZIP_H
#define TENSORD_CODEC_ZIP_H

#include "base/buf.h"
#include "base/error.h"

#include <sys/uio.h>

enum zip_format { ZIP_GZIP, ZIP_DEFLATE };

enum {
    ZIP_MAX_RATIO = 100,
    ZIP_FREE_BYTES = 1 << 20, /* zeros compress a thousandfold: so much may always come out */
};

struct zip_reader;

/* NULL without memory. */
struct zip_reader *zip_reader_new(enum zip_format format);

/* Accepts NULL. */
void zip_reader_free(struct zip_reader *reader);

/* Begins the next encoded text. */
void zip_reader_reset(struct zip_reader *reader);

/* Decodes the next piece, at most 1 GiB; appends to `to`, whose limit bounds the text. False: the
 * bytes are not of the format, or something follows the end (INVALID_ARGUMENT); too much comes out
 * of them, or there is no memory (RESOURCE_EXHAUSTED). Then the reader must be reset before it is
 * used again. */
bool zip_read(struct zip_reader *reader, struct span encoded, struct buf *to,
              struct error *ret_error);

/* The pieces have all come. False (INVALID_ARGUMENT) when the text has not ended with them. */
bool zip_read_end(const struct zip_reader *reader, struct error *ret_error);

/* Appends the encoded text that the vectors make up, compressed for speed. False when `to` is full
 * or there is no memory; what was appended until then means nothing. */
bool zip_write(enum zip_format format, const struct iovec *vectors, size_t count, struct buf *to);

#endif
