/* The user's own server on this machine: its admin token lies in the state folder, and is sent to
 * no other. Any user may listen on a port that is free, and wait there for somebody's token. */
#ifndef TENSORD_CMD_OWN_SERVER_H
#define TENSORD_CMD_OWN_SERVER_H

#include "auth/secret.h"

/* The admin's secret, when the socket is connected over loopback to a port on which nobody but this
 * user or root listens, and the state folder has one. */
bool own_server_token(int fd, char ret_secret[SECRET_BYTES + 1]);

#endif
