/* Addresses: text to struct sockaddr and back. */
#include "net/address.h"

#include "base/span.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/un.h>
#include <uv.h>

static bool parse_unix(const char *text, struct span path, struct sockaddr_storage *ret_address,
                       socklen_t *ret_size, struct error *ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path.size == 0 || path.size >= sizeof address.sun_path)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "address '%s': the path must have 1 to %zu characters", text,
                         sizeof address.sun_path - 1);
    if (path.data[0] == '@')
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "address '%s': abstract unix sockets are open to every user; name a file",
                         text);
    memcpy(address.sun_path, path.data, path.size);
    memcpy(ret_address, &address, sizeof address);
    *ret_size = sizeof address;
    return true;
}

/* The host without brackets, terminated; false when it is too long or half bracketed. */
static bool copy_host(struct span host, char *ret_text, size_t size, bool *ret_is_ipv6)
{
    *ret_is_ipv6 = span_starts_with(host, SPAN("["));
    if (*ret_is_ipv6) {
        if (host.size < 2 || host.data[host.size - 1] != ']')
            return false;
        host = (struct span){host.data + 1, host.size - 2};
    } else if (span_equal_nocase(host, SPAN("localhost"))) {
        host = SPAN("127.0.0.1");
    }
    if (host.size >= size || memchr(host.data, '[', host.size))
        return false;
    memcpy(ret_text, host.data, host.size);
    ret_text[host.size] = '\0';
    return true;
}

static bool parse_ip(struct span host, int port, struct sockaddr_storage *ret_address,
                     socklen_t *ret_size)
{
    char text[INET6_ADDRSTRLEN + 20]; /* an address and the name of an interface */
    bool is_ipv6;
    if (!copy_host(host, text, sizeof text, &is_ipv6))
        return false;
    if (is_ipv6) {
        *ret_size = sizeof(struct sockaddr_in6);
        return uv_ip6_addr(text, port, (struct sockaddr_in6 *)ret_address) == 0;
    }
    *ret_size = sizeof(struct sockaddr_in);
    return uv_ip4_addr(text, port, (struct sockaddr_in *)ret_address) == 0;
}

bool address_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_size,
                   struct error *ret_error)
{
    struct span whole = span_of(text);
    struct sockaddr_storage address = {0};
    socklen_t size;
    uint64_t port;
    if (span_starts_with(whole, SPAN("unix:")))
        return parse_unix(text, span_after(whole, strlen("unix:")), ret_address, ret_size,
                          ret_error);
    const char *colon = strrchr(text, ':');
    if (!colon)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "address '%s' is not HOST:PORT or unix:PATH", text);
    if (!span_to_u64(span_of(colon + 1), &port) || port > UINT16_MAX)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "address '%s': the port must be a number from 0 to 65535", text);
    if (!parse_ip((struct span){text, (size_t)(colon - text)}, (int)port, &address, &size))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "address '%s': the host must be a numeric address (IPv6 in brackets) or "
                         "localhost",
                         text);
    *ret_address = address;
    *ret_size = size;
    return true;
}

static bool in6_equal(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b)
{
    return a->sin6_port == b->sin6_port && a->sin6_scope_id == b->sin6_scope_id &&
           memcmp(&a->sin6_addr, &b->sin6_addr, sizeof a->sin6_addr) == 0;
}

static bool in_equal(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
    return a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
}

bool address_equal(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET)
        return in_equal((const struct sockaddr_in *)a, (const struct sockaddr_in *)b);
    if (a->ss_family == AF_INET6)
        return in6_equal((const struct sockaddr_in6 *)a, (const struct sockaddr_in6 *)b);
    return a->ss_family == AF_UNIX && strncmp(((const struct sockaddr_un *)a)->sun_path,
                                              ((const struct sockaddr_un *)b)->sun_path,
                                              sizeof((struct sockaddr_un *)0)->sun_path) == 0;
}

bool address_is_loopback(const struct sockaddr_storage *address)
{
    enum { IN_LOOPBACK = 127 }; /* 127.0.0.0/8, RFC 1122 §3.2.1.3 */
    if (address->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == IN_LOOPBACK;
    if (address->ss_family != AF_INET6)
        return false;
    const struct in6_addr *ip = &((const struct sockaddr_in6 *)address)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(ip) || (IN6_IS_ADDR_V4MAPPED(ip) && ip->s6_addr[12] == IN_LOOPBACK);
}

unsigned address_port(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)address)->sin_port);
    if (address->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    return 0;
}

void address_set_port(struct sockaddr_storage *address, unsigned port)
{
    if (address->ss_family == AF_INET)
        ((struct sockaddr_in *)address)->sin_port = htons((uint16_t)port);
    if (address->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = htons((uint16_t)port);
}

void address_format(const struct sockaddr_storage *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->ss_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, host, sizeof host);
        snprintf(text, size, "%s:%u", host, address_port(address));
    } else if (address->ss_family == AF_INET6) {
        const struct in6_addr *ip = &((const struct sockaddr_in6 *)address)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(ip);
        inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? &ip->s6_addr[12] : ip->s6_addr, host,
                  sizeof host);
        snprintf(text, size, mapped ? "%s:%u" : "[%s]:%u", host, address_port(address));
    } else {
        snprintf(text, size, "unix");
    }
}
