/* Web pages: a browser lets any page send requests to any address, this server's too. What a page
 * of another site sends is recognised by fields that pages cannot set, and refused. Pure.
 *
 * Two attacks are met here. Requests across sites show in Origin and Sec-Fetch-Site. DNS rebinding,
 * where a site's own name is made to point here and its pages then count as ours, shows in Host. */
#ifndef TENSORD_AUTH_SITE_H
#define TENSORD_AUTH_SITE_H

#include "base/span.h"

/* Who is let in; lists of patterns (auth/glob.h), separated by commas. */
struct site {
    struct span hosts;   /* names, besides those of loopback; "*": all */
    struct span origins; /* as in "https://app.example.com", whose pages may use the server */
    bool any_address;    /* listens beyond loopback: Host may be any number, which no name server
                          * can point elsewhere */
};

/* The fields of a request that tell. Those that it lacks have data NULL. */
struct site_request {
    struct span authority; /* Host, or :authority */
    struct span origin, fetch_site, referer, user_agent, content_type;
};

/* True when the server answers for that name: localhost and names below it, loopback's addresses,
 * what `site` adds. The port does not count. A request without a name (HTTP/1.0) comes from no
 * browser. */
bool site_knows_host(const struct site *site, struct span authority);

enum site_verdict {
    SITE_OWN,     /* from no page, or from one of this server */
    SITE_LISTED,  /* from a page of site->origins: answers need CORS fields */
    SITE_FOREIGN, /* from any other page */
};

/* Where the request comes from. */
enum site_verdict site_judge(const struct site *site, const struct site_request *request);

#endif
