/* Listening sockets before there is a loop: opened, or taken over from whoever opened them. Plain
 * blocking code for the first process, which may still do what its children may not. */
#ifndef TENSORD_NET_LISTEN_SOCKET_H
#define TENSORD_NET_LISTEN_SOCKET_H

#include "base/error.h"
#include "base/span.h"

#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

/* What a socket is for. One row: the name, and whether connections speak TLS: always, never, or
 * (-1) when there is a certificate. The names go from process to process, and are the ones that a
 * systemd.socket(5) may give (FileDescriptorName=). A unix socket never speaks TLS. */
#define LISTEN_ROLES(ROW)                                                                          \
    ROW(MAIN, "main", -1)                                                                          \
    ROW(GRPC, "grpc", -1)                                                                          \
    ROW(METRICS, "metrics", -1)                                                                    \
    ROW(HTTP, "http", 0)                                                                           \
    ROW(HTTPS, "https", 1)

enum listen_role {
#define LISTEN_ENUM(role, name, tls) LISTEN_##role,
    LISTEN_ROLES(LISTEN_ENUM)
#undef LISTEN_ENUM
};

struct listen_socket {
    int fd; /* -1: closed */
    enum listen_role role;
    struct sockaddr_storage address; /* that it is bound to */
    /* Of the file that a unix socket was given here, so that no other is removed: the number of an
     * inode is soon used again. */
    bool has_file;
    dev_t device;
    ino_t inode;
    struct timespec changed;
};

enum { LISTEN_SOCKETS = 32 }; /* of one server, at most */

/* Listens on "HOST:PORT" (HOST a number, IPv6 in brackets, or localhost; port 0 chooses one) or
 * "unix:PATH". The file of a unix socket gets `unix_mode`, and never another one before; the file
 * of a server that is gone is replaced. False with a sentence that names the address and says what
 * to do. */
bool listen_socket_open(const char *address, enum listen_role role, mode_t unix_mode,
                        struct listen_socket *ret_socket, struct error *ret_error);

/* Takes over a descriptor that listens already, and makes it close-on-exec and non-blocking. False,
 * and the descriptor is left alone, when it is not a listening stream socket, TCP or unix. */
bool listen_socket_adopt(int fd, enum listen_role role, struct listen_socket *ret_socket,
                         struct error *ret_error);

/* Takes over the sockets that systemd hands to the process it starts (sd_listen_fds(3): LISTEN_PID,
 * LISTEN_FDS, LISTEN_FDNAMES; descriptors from 3 on), and removes those variables, so that children
 * do not take themselves for the ones meant. A name of LISTEN_ROLES is the socket's role, any other
 * is MAIN. None, and true, when the variables are absent or meant for another process. `sockets`
 * has room for LISTEN_SOCKETS. */
bool listen_socket_inherit(struct listen_socket *sockets, size_t *ret_count,
                           struct error *ret_error);

/* Whether the socket is what listen_socket_open would make for that address; port 0 is any port. */
bool listen_socket_is_at(const struct listen_socket *socket, const char *address);

/* Whether only this machine can reach it: a loopback address, or a unix socket. */
bool listen_socket_is_local(const struct listen_socket *socket);

/* Whether its connections speak TLS in a server that has a certificate, or has none. */
bool listen_socket_is_tls(const struct listen_socket *socket, bool has_certificate);

/* Writes where it listens as people type it: "http://127.0.0.1:8000", "https://[::1]:8000",
 * "unix:/run/tensord.sock". Returns text. */
char *listen_socket_format(const struct listen_socket *socket, bool is_tls, char *text,
                           size_t size);

/* Closes the descriptor, and leaves a unix socket's file, which other processes may serve. */
void listen_socket_close(struct listen_socket *socket);

/* From now on the file of an adopted unix socket counts as made here: whoever opened it has handed
 * over that duty, too. */
void listen_socket_own_file(struct listen_socket *socket);

/* Removes the file that listen_socket_open made, if it is still the same. */
void listen_socket_remove_file(struct listen_socket *socket);

/* A role's name, and the role of a name; false when there is none. */
const char *listen_role_name(enum listen_role role);
bool listen_role_of_name(struct span name, enum listen_role *ret_role);

#endif
