/* Addresses to listen on, as people write them. */
#ifndef TENSORD_NET_ADDRESS_H
#define TENSORD_NET_ADDRESS_H

#include "base/error.h"

#include <sys/socket.h>

/* Reads "HOST:PORT" or "unix:PATH". HOST is a number ("127.0.0.1", "[::1]", "[fe80::1%eth0]") or
 * localhost, which is 127.0.0.1: names are not looked up, for that may block. Abstract unix sockets
 * ("unix:@NAME") are refused: no file mode guards them. */
bool address_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_size,
                   struct error *ret_error);

/* Writes "127.0.0.1:5000", "[::1]:5000" or "unix", cut to fit. An IPv4 address inside an IPv6 one
 * is written as IPv4. */
void address_format(const struct sockaddr_storage *address, char *text, size_t size);

/* Whether both are the same family, host and port, or the same path. */
bool address_equal(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

/* Whether it is one of 127.0.0.0/8 or ::1, also as an IPv4 address inside an IPv6 one. */
bool address_is_loopback(const struct sockaddr_storage *address);

/* The port, 0 for a unix socket. */
unsigned address_port(const struct sockaddr_storage *address);

/* Gives an IP address another port; a unix socket has none. */
void address_set_port(struct sockaddr_storage *address, unsigned port);

#endif
