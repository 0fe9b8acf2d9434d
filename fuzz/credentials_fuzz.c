/* Credentials and what tells web pages: the first byte chooses what the others are. What is found
 * lies inside what was given. */
#include "auth/credentials.h"
#include "auth/date.h"
#include "auth/glob.h"
#include "auth/secret.h"
#include "auth/site.h"

#include <assert.h>

static bool inside(struct span part, const char *start, size_t size)
{
    return part.data >= start && part.size <= size && part.data + part.size <= start + size;
}

static void check_authorization(struct span value)
{
    char room[CREDENTIALS_BYTES];
    struct span secret = {NULL, 0};
    struct error error = {0};
    if (!credentials_parse(value, room, &secret, &error)) {
        assert(!secret.data);
        assert(error.code == ERROR_UNAUTHENTICATED || error.code == ERROR_INVALID_ARGUMENT);
        return;
    }
    assert(secret.size > 0);
    assert(inside(secret, value.data, value.size) || inside(secret, room, sizeof room));
    if (secret_valid(secret))
        assert(secret.size == SECRET_BYTES);
}

/* A name that is known to a site that allows nothing more is one of loopback's, and is so for every
 * site. */
static void check_host(struct span authority)
{
    struct site none = {0}, all = {.hosts = SPAN("*"), .any_address = true};
    if (site_knows_host(&none, authority))
        assert(site_knows_host(&all, authority));
}

/* A line; an empty one is a field that is not there. */
static struct span next_field(struct span *fields)
{
    struct span line = span_split(fields, '\n');
    return line.size ? line : (struct span){NULL, 0};
}

static void check_fields(struct span fields)
{
    struct site site = {.origins = SPAN("https://a.example,http://*.b.example")};
    struct site_request request = {.authority = span_split(&fields, '\n')};
    request.origin = next_field(&fields);
    request.fetch_site = next_field(&fields);
    request.referer = next_field(&fields);
    request.user_agent = next_field(&fields);
    request.content_type = fields;
    enum site_verdict verdict = site_judge(&site, &request);
    if (verdict == SITE_LISTED)
        assert(glob_list_match(site.origins, request.origin));
    site.origins = SPAN("");
    assert(site_judge(&site, &request) != SITE_LISTED);
}

static void check_date(struct span text)
{
    int64_t date_s = -1;
    char again[DATE_TEXT_BYTES];
    if (!date_parse_end(text, 1000, &date_s, NULL) || date_s == DATE_NEVER)
        return;
    assert(date_s >= 0);
    int64_t same_s;
    assert(date_parse(span_of(date_format(date_s, again)), &same_s, NULL) && same_s == date_s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span text = {(const char *)data + 1, size - 1};
    switch (data[0]) {
    case 'a':
        check_authorization(text);
        break;
    case 'q':
        query_has_secret(text);
        break;
    case 'h':
        check_host(text);
        break;
    case 'f':
        check_fields(text);
        break;
    case 'd':
        check_date(text);
        break;
    default:
        break;
    }
    return 0;
}
