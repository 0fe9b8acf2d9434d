/* What warden.c and warden_prepare.c share. */
#ifndef TENSORD_WORKER_WARDEN_INTERNAL_H
#define TENSORD_WORKER_WARDEN_INTERNAL_H

#include "worker/spec_map.h"
#include "worker/warden.h"

/* The numbers of its descriptors, when it has closed all others. */
enum { FD_CONTROL = 3, FD_OUTPUT, FD_SPEC, FD_READY, FD_COUNT };

struct warden {
    const struct spawner_child *child;
    const struct spawner_worker *worker;
    bool own_network, own_processes;
    struct arena arena;
    struct worker_spec spec;
    char **words;
    const char *home;
    uint16_t port; /* 0: it listens on the socket */
    pid_t command;
};

/* Reads what it is to start, chooses where that listens and lives, and shuts itself in. False: it
 * cannot be started, with the reason. */
bool warden_prepare(struct warden *warden, struct error *ret_error);

/* Makes its environment variables those of the command. */
void warden_make_environment(const struct warden *warden);

#endif
