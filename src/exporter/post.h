/* Posting by libcurl. It is loaded when the exporter starts, so that no other role carries it, and
 * the program runs where it is not installed. One post at a time; nothing here waits but
 * post_wait. */
#ifndef TENSORD_EXPORTER_POST_H
#define TENSORD_EXPORTER_POST_H

#include "exporter/export_config.h"
#include "exporter/export_queue.h"

struct post;

/* Loads libcurl and prepares posts to config->url; config must outlive it. NULL with a sentence. */
struct post *post_new(const struct export_config *config, struct error *ret_error);

/* Accepts NULL. */
void post_free(struct post *post);

/* Starts to post the body, which must stay until post_ended. False when there is no memory. */
bool post_start(struct post *post, struct span body);

/* Waits at most wait_ms for the post to move, or for fd (-1: none) to have something to read. */
void post_wait(struct post *post, int fd, int wait_ms);

/* True once when the post has ended; then says how, after how long the collector wants to be asked
 * again (0: it does not say), and in `text` why, for a log. */
bool post_ended(struct post *post, enum export_result *ret_result, uint64_t *ret_retry_after_ms,
                char *text, size_t text_size);

#endif
