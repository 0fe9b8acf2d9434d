/* The sessions of a model: one in which an execution uses all processors, and, once several run at
 * once, one in which each uses its share of them. Threads that several executions share get in each
 * other's way: a sixth of the processors' time, for some models. A session's threads are fixed when
 * it is made, so that two are wanted; and both at hand, because an execution that runs alone is to
 * be fast a moment after many have run at once.
 *
 * The second one costs the memory of the first again, and the time to make it. So there is none for
 * large models, none where the config says how many threads there are, and none until executions
 * have often met. It is made by a thread of its own, while the first serves. */
#ifndef TENSORD_ENGINES_ONNX_SESSIONS_H
#define TENSORD_ENGINES_ONNX_SESSIONS_H

#include "onnx/library.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

struct onnx_sessions {
    struct onnx_library library;
    const struct ort_env *env;
    struct ort_session *wide;             /* all processors for one execution */
    _Atomic(struct ort_session *) narrow; /* a share of them; NULL: there is none (yet) */
    struct ort_session_options *options;  /* of the narrow one; NULL: there is to be none */
    char *path;                           /* of the model's file, which was this one: */
    struct stat file;
    atomic_uint met; /* executions that were not alone */
    bool making;     /* the thread has been started */
    pthread_t maker;
};

/* Loads the model's file into the wide session, for up to `slots` executions at once. Says what is
 * wrong. `env` stays open as long as the sessions. */
enum tensord_status onnx_sessions_open(struct onnx_sessions *sessions,
                                       const struct onnx_library *library,
                                       const struct ort_env *env,
                                       const struct tensord_source *source, const char *path,
                                       uint32_t slots);

/* The session for an execution that begins when `at_once` run, itself among them. Any thread. */
struct ort_session *onnx_sessions_choose(struct onnx_sessions *sessions, uint32_t at_once);

/* Waits for the one that is being made, and releases both. Nothing runs any more. Of sessions that
 * are zeros, or could not be opened, too. */
void onnx_sessions_close(struct onnx_sessions *sessions);

#endif
