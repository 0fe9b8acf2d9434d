/* A writer of JSON into a struct buf. Commas are its business; that keys and ends are put where
 * they belong is the caller's. It remembers one bit, so nothing bounds the depth.
 *
 * A full buffer is not reported by each call: look at buf_ok(writer.buf) at the end. Not for
 * several threads at once. */
#ifndef TENSORD_CODEC_JSON_WRITER_H
#define TENSORD_CODEC_JSON_WRITER_H

#include "base/buf.h"

struct json_writer {
    struct buf *buf;
    bool comma;           /* one is due before the next key or value */
    bool write_nonfinite; /* NaN, Infinity and -Infinity are written, as Python's json reads them */
};

/* Starts to write at the buffer's end. The buffer must outlive the writer. */
void json_writer_init(struct json_writer *writer, struct buf *buf);

/* Open and close an object, or an array. */
void json_put_object(struct json_writer *writer);
void json_put_object_end(struct json_writer *writer);
void json_put_array(struct json_writer *writer);
void json_put_array_end(struct json_writer *writer);

/* A member's key; its value comes next. The key is a literal of ours: valid UTF-8. */
void json_put_key(struct json_writer *writer, struct span key);

/* A key of somebody else's. False, and nothing written, when it is not UTF-8. */
bool json_put_name(struct json_writer *writer, struct span name);

/* A string. False, and nothing written, when it is not UTF-8. Its bytes are read once, so they may
 * lie in memory that another process writes. */
bool json_put_string(struct json_writer *writer, struct span string);

/* The other scalars. */
void json_put_i64(struct json_writer *writer, int64_t value);
void json_put_u64(struct json_writer *writer, uint64_t value);
void json_put_bool(struct json_writer *writer, bool value);
void json_put_null(struct json_writer *writer);

/* The shortest text that reads back as the same value. False, and nothing written, when it is not
 * finite, which JSON cannot say, and write_nonfinite is not set. */
bool json_put_double(struct json_writer *writer, double value);
bool json_put_float(struct json_writer *writer, float value);

/* A member: a key of ours and its value. A text that is not UTF-8 becomes "?", a number that is not
 * finite null, so that what others say spoils no document. */
void json_put_member_string(struct json_writer *writer, struct span key, struct span value);
void json_put_member_u64(struct json_writer *writer, struct span key, uint64_t value);
void json_put_member_double(struct json_writer *writer, struct span key, double value);
void json_put_member_bool(struct json_writer *writer, struct span key, bool value);

/* A value that is JSON already. */
void json_put_raw(struct json_writer *writer, struct span value);

#endif
