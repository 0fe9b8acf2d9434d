/* Web pages; see site.h. */
#include "auth/site.h"

#include "auth/glob.h"

#include <arpa/inet.h>

enum { HOST_BYTES = 256 };

/* ---- Host ---- */

/* The name of "name:port" or the number of "[::1]:port", in lower case and terminated, without the
 * dot that may end a name. False when it is too long. */
static bool host_of(struct span authority, char text[HOST_BYTES], struct span *ret_host)
{
    struct span rest = authority, host;
    if (authority.size && authority.data[0] == '[') {
        rest = span_after(rest, 1);
        host = span_split(&rest, ']');
    } else {
        host = span_split(&rest, ':');
    }
    if (host.size && host.data[host.size - 1] == '.')
        host.size--;
    if (host.size >= HOST_BYTES)
        return false;
    for (size_t i = 0; i < host.size; i++) {
        char c = host.data[i];
        text[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    text[host.size] = '\0';
    *ret_host = (struct span){text, host.size};
    return true;
}

static bool is_loopback_name(struct span host)
{
    static const struct span below = SPAN(".localhost"); /* RFC 6761 §6.3 */
    return span_equal(host, SPAN("localhost")) ||
           (host.size > below.size && span_equal(span_after(host, host.size - below.size), below));
}

/* 4, 6, or 0 when the text is no number; of an address only. */
static int address_family(const char *host, bool *ret_loopback)
{
    struct in_addr v4;
    struct in6_addr v6;
    *ret_loopback = false;
    if (inet_pton(AF_INET, host, &v4) == 1) {
        *ret_loopback = (ntohl(v4.s_addr) >> 24) == 127;
        return 4;
    }
    if (inet_pton(AF_INET6, host, &v6) != 1)
        return 0;
    *ret_loopback = IN6_IS_ADDR_LOOPBACK(&v6);
    return 6;
}

bool site_knows_host(const struct site *site, struct span authority)
{
    char text[HOST_BYTES];
    struct span host;
    bool loopback;
    if (!authority.size)
        return true;
    if (!host_of(authority, text, &host))
        return false;
    if (address_family(text, &loopback) != 0)
        return loopback || site->any_address || glob_list_match(site->hosts, host);
    return is_loopback_name(host) || glob_list_match(site->hosts, host);
}

/* ---- Origin ---- */

/* What follows "scheme://", up to a path. */
static struct span authority_of(struct span url)
{
    const char *start = url.size ? memmem(url.data, url.size, "://", 3) : NULL;
    if (!start)
        return (struct span){NULL, 0};
    struct span rest = span_after(url, (size_t)(start - url.data) + 3);
    return span_split(&rest, '/');
}

static bool is_own(struct span url, struct span authority)
{
    struct span from = authority_of(url);
    return from.size && span_equal_nocase(from, authority);
}

/* What a form, or a script that asks nobody, can send anywhere (CORS-safelisted). */
static bool is_simple_type(struct span content_type)
{
    struct span rest = content_type, type = span_trim(span_split(&rest, ';'));
    return span_equal_nocase(type, SPAN("application/x-www-form-urlencoded")) ||
           span_equal_nocase(type, SPAN("multipart/form-data")) ||
           span_equal_nocase(type, SPAN("text/plain"));
}

/* Old browsers send neither Origin nor Sec-Fetch-Site; then a form's type gives a page away. */
static bool is_form_of_page(const struct site_request *request)
{
    if (!is_simple_type(request->content_type))
        return false;
    if (request->referer.data)
        return !is_own(request->referer, request->authority);
    return span_starts_with(request->user_agent, SPAN("Mozilla/"));
}

enum site_verdict site_judge(const struct site *site, const struct site_request *request)
{
    struct span origin = request->origin, from = request->fetch_site;
    if (origin.data) {
        if (is_own(origin, request->authority))
            return SITE_OWN;
        return glob_list_match(site->origins, origin) ? SITE_LISTED : SITE_FOREIGN;
    }
    if (from.data)
        return span_equal(from, SPAN("same-origin")) || span_equal(from, SPAN("none"))
                   ? SITE_OWN
                   : SITE_FOREIGN;
    return is_form_of_page(request) ? SITE_FOREIGN : SITE_OWN;
}
