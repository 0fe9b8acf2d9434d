/* Where a server listens: from the settings, and from whoever started it. The first process opens
 * the sockets, so that the front needs no right to do so, and hands them to the front by number. */
#ifndef TENSORD_CMD_LISTENING_H
#define TENSORD_CMD_LISTENING_H

#include "net/listen_socket.h"
#include "settings/settings.h"
#include "worker/spawner.h"

struct listening {
    struct listen_socket sockets[LISTEN_SOCKETS];
    size_t count;
    size_t inherited; /* the first ones were taken over */
};

/* Takes over the sockets of a socket activation, or of the program that this one replaces, and
 * opens what the settings want beside them:
 *
 * - each of --listen, unless a socket that was taken over is there already;
 * - the usual ports, when nothing was taken over and --listen is not given; one of the second ports
 *   (gRPC, metrics) that is taken is left out with a warning;
 * - a port that was asked for by name, in any case, and then it must be free.
 *
 * False with a sentence, also when tokens would go over a network in the clear and --insecure is
 * not given; then nothing that was opened here is open. */
bool listening_open(struct listening *ret_listening, const struct settings *settings,
                    struct error *ret_error);

/* Whether listening_open would succeed in a program that took over the sockets that this process
 * has been given; tries it, and leaves all as it was. True when it has been given none. */
bool listening_check(const struct settings *settings, struct error *ret_error);

/* Whether others than this machine can reach one of the sockets. */
bool listening_is_exposed(const struct listening *listening);

/* Takes over the sockets that another process of this program has handed over
 * (SPAWNER_SOCKETS_VARIABLE), none if there are none. */
bool listening_inherit(struct listening *ret_listening, struct error *ret_error);

/* The sockets as listening_inherit of the process that gets them understands them. */
void listening_hand_over(const struct listening *listening,
                         struct spawner_socket ret_sockets[LISTEN_SOCKETS]);

/* Removes the files of unix sockets that were opened here. */
void listening_remove_files(struct listening *listening);

#endif
