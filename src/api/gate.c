/* The gate; see gate.h. */
#include "api/gate.h"

#include "api/call.h"
#include "api/cors.h"
#include "auth/credentials.h"

#include <time.h>

/* ---- what the request says of itself ---- */

struct fields {
    struct span authorization, origin, fetch_site, referer, user_agent, content_type;
    struct span forwarded; /* a proxy handed the request on */
    bool twice;            /* a field came twice that may not */
};

static const struct {
    struct span name;
    size_t offset;
    bool once;
} known_fields[] = {
    {SPAN("authorization"), offsetof(struct fields, authorization), true},
    {SPAN("origin"), offsetof(struct fields, origin), true},
    {SPAN("sec-fetch-site"), offsetof(struct fields, fetch_site), true},
    {SPAN("referer"), offsetof(struct fields, referer), false},
    {SPAN("user-agent"), offsetof(struct fields, user_agent), false},
    {SPAN("content-type"), offsetof(struct fields, content_type), false},
    {SPAN("forwarded"), offsetof(struct fields, forwarded), false},
    {SPAN("x-forwarded-for"), offsetof(struct fields, forwarded), false},
    {SPAN("x-real-ip"), offsetof(struct fields, forwarded), false},
    {SPAN("via"), offsetof(struct fields, forwarded), false},
};

static void take_field(struct fields *fields, const struct http_field *field)
{
    for (size_t i = 0; i < sizeof known_fields / sizeof *known_fields; i++) {
        if (!span_equal(field->name, known_fields[i].name))
            continue;
        struct span *value = (struct span *)(void *)((char *)fields + known_fields[i].offset);
        fields->twice = fields->twice || (value->data && known_fields[i].once);
        *value = field->value;
        return;
    }
}

static struct fields read_fields(const struct http_request *request)
{
    struct fields fields = {0};
    for (size_t i = 0; i < request->field_count; i++)
        take_field(&fields, &request->fields[i]);
    return fields;
}

/* ---- Host and Origin ---- */

static bool check_form(const struct http_request *request, const struct fields *fields,
                       struct error *ret_error)
{
    if (fields->twice)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "Authorization, Origin and Sec-Fetch-Site may come only once");
    if (query_has_secret(request->query))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "a token in the address is not accepted, since addresses are kept in many "
                         "places; send it as: Authorization: Bearer TOKEN");
    return true;
}

/* No browser reaches a unix socket, and there Host names nothing. */
static bool check_host(const struct gate *gate, const struct api_call *call,
                       struct error *ret_error)
{
    struct span authority = call->exchange->request.authority;
    return conn_origin(http_conn(call->exchange))->place == CONN_UNIX ||
           site_knows_host(&gate->site, authority) ||
           error_set(ret_error, ERROR_MISDIRECTED,
                     "this server does not answer for '%.*s'; if it should, start it with "
                     "--allowed-host",
                     (int)(authority.size < 256 ? authority.size : 256), authority.data);
}

static enum gate_answer check_site(const struct gate *gate, struct api_call *call,
                                   const struct fields *fields, struct error *ret_error)
{
    const struct http_request *request = &call->exchange->request;
    const struct site_request from = {
        .authority = request->authority,
        .origin = fields->origin,
        .fetch_site = fields->fetch_site,
        .referer = fields->referer,
        .user_agent = fields->user_agent,
        .content_type = fields->content_type,
    };
    switch (site_judge(&gate->site, &from)) {
    case SITE_OWN:
        return GATE_OPEN;
    case SITE_LISTED:
        if (!cors_allow(call->exchange, fields->origin))
            break;
        return cors_is_preflight(request) ? GATE_PREFLIGHT : GATE_OPEN;
    case SITE_FOREIGN:
        error_set(ret_error, ERROR_PERMISSION_DENIED,
                  "pages of other sites may not use this server; to let one, start it with "
                  "--cors-origin");
        return GATE_CLOSED;
    }
    error_no_memory(ret_error);
    return GATE_CLOSED;
}

/* ---- who ---- */

/* RFC 6750 §3. Basic is not offered: browsers would ask people for a password. */
static void challenge(struct api_call *call, const char *reason)
{
    struct http_exchange *exchange = call->exchange;
    call_add_field(call, SPAN("www-authenticate"),
                   arena_printf(&exchange->arena, "Bearer realm=\"tensord\"%s", reason));
}

static bool take_token(const struct gate *gate, struct api_call *call, struct span authorization,
                       struct error *ret_error)
{
    char room[CREDENTIALS_BYTES];
    struct span secret;
    if (!credentials_parse(authorization, room, &secret, ret_error))
        return false;
    struct token *token = token_table_find(&gate->tokens, secret);
    if (!token)
        return error_set(ret_error, ERROR_UNAUTHENTICATED, "the token is unknown or was revoked");
    if (!token_record_current(&token->record, time(NULL)))
        return error_set(ret_error, ERROR_UNAUTHENTICATED, "the token has expired");
    call->token = token_ref(token);
    call->scopes = token->record.scopes;
    call->caller = (struct caller){CALLER_TOKEN, token->record.id, token->record.weight};
    return true;
}

/* Who shows no token is known by the connection. A proxy on this machine makes all its clients look
 * local, so what it handed on is not. */
static void take_connection(const struct gate *gate, struct api_call *call,
                            const struct fields *fields)
{
    const struct conn_origin *origin = conn_origin(http_conn(call->exchange));
    call->caller = (struct caller){.kind = CALLER_NOBODY};
    call->scopes = gate->remote_scopes;
    if (origin->place == CONN_UNIX) {
        call->caller = (struct caller){.kind = CALLER_USER, .id = origin->uid};
        if (origin->uid == gate->owner || origin->uid == 0)
            call->scopes = scope_bit(SCOPE_ADMIN);
    } else if (origin->place == CONN_LOOPBACK && !fields->forwarded.data) {
        call->caller = (struct caller){.kind = CALLER_LOCAL};
        call->scopes = gate->local_scopes;
    }
}

/* ---- what they may do ---- */

/* Tells what a caller may not do, and how to ask for it. */
static bool refuse_scope(struct api_call *call, enum scope scope, struct error *ret_error)
{
    if (!call->token) {
        challenge(call, "");
        return error_set(
            ret_error, ERROR_UNAUTHENTICATED,
            "this needs a token with the scope '%s' (Authorization: Bearer TOKEN); tensord "
            "token create makes one",
            scope_name(scope));
    }
    challenge(call, ", error=\"insufficient_scope\"");
    return error_set(ret_error, ERROR_PERMISSION_DENIED, "the token lacks the scope '%s'",
                     scope_name(scope));
}

static void retry_after(struct api_call *call, uint64_t wait_ns)
{
    uint64_t wait_s = (wait_ns + CLOCK_NS_PER_S - 1) / CLOCK_NS_PER_S;
    call_add_field(
        call, SPAN("retry-after"),
        arena_printf(&call->exchange->arena, "%llu", (unsigned long long)(wait_s ? wait_s : 1)));
}

static bool take_quota(const struct api_call *call, uint64_t *ret_wait_ns, struct error *ret_error)
{
    uint64_t now_ns = loop_now_ns(http_loop(call->exchange));
    struct token *token = call->token;
    const struct quota_limits *limits = &token->record.limits;
    char rate[QUOTA_RATE_TEXT_BYTES];
    switch (quota_take(&token->quota, limits, now_ns, ret_wait_ns)) {
    case QUOTA_GIVEN:
        return true;
    case QUOTA_RATE:
        limit_hit(LIMIT_token_rate);
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                         "the token's rate of requests is used up (rate=%s)",
                         quota_rate_format(limits, rate));
    case QUOTA_CONCURRENCY:
        limit_hit(LIMIT_token_concurrency);
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                         "as many requests as the token may have are running (concurrency=%llu)",
                         (unsigned long long)limits->concurrency);
    }
    return true;
}

static bool admit(struct api_call *call, struct error *ret_error)
{
    uint64_t wait_ns = 0;
    call->admitted = take_quota(call, &wait_ns, ret_error);
    if (!call->admitted)
        retry_after(call, wait_ns);
    return call->admitted;
}

static bool check_caller(struct gate *gate, struct api_call *call, const struct fields *fields,
                         enum scope scope, struct error *ret_error)
{
    if (!fields->authorization.data) {
        take_connection(gate, call, fields);
    } else if (!take_token(gate, call, fields->authorization, ret_error)) {
        if (ret_error->code == ERROR_UNAUTHENTICATED)
            challenge(call, ", error=\"invalid_token\"");
        return false;
    }
    if (!scope_allows(call->scopes, scope))
        return refuse_scope(call, scope, ret_error);
    return !call->token || admit(call, ret_error);
}

enum gate_answer gate_ask(struct gate *gate, struct api_call *call, enum scope scope,
                          struct error *ret_error)
{
    const struct http_request *request = &call->exchange->request;
    struct fields fields = read_fields(request);
    if (!check_form(request, &fields, ret_error) || !check_host(gate, call, ret_error))
        return GATE_CLOSED;
    enum gate_answer answer = check_site(gate, call, &fields, ret_error);
    if (answer != GATE_OPEN || scope == SCOPE_OPEN)
        return answer;
    if (check_caller(gate, call, &fields, scope, ret_error))
        return GATE_OPEN;
    if (scope >= SCOPE_DEPLOY)
        audit_call(&gate->audit, call, "refused", request->path, ret_error);
    return GATE_CLOSED;
}

bool gate_holds(const struct gate *gate, const struct api_call *call, enum scope scope,
                struct error *ret_error)
{
    const struct token *token = call->token;
    if (!token)
        return true;
    if (!token_table_holds(&gate->tokens, token))
        return error_set(ret_error, ERROR_UNAUTHENTICATED, "the token was revoked");
    if (!token_record_current(&token->record, time(NULL)))
        return error_set(ret_error, ERROR_UNAUTHENTICATED, "the token has expired");
    if (!scope_allows(token->record.scopes, scope))
        return error_set(ret_error, ERROR_PERMISSION_DENIED, "the token lacks the scope '%s'",
                         scope_name(scope));
    return !call->model.data || call_may_use(call, call->model) ||
           error_set(ret_error, ERROR_PERMISSION_DENIED,
                     "the token may not use the model any more");
}

bool gate_take(struct gate *gate, struct api_call *call, enum scope scope, struct error *ret_error)
{
    uint64_t wait_ns;
    if (!call->token)
        return true;
    if (!gate_holds(gate, call, scope, ret_error))
        return false;
    bool paid = call->admitted;
    call->admitted = false;
    return paid || take_quota(call, &wait_ns, ret_error);
}

void gate_give_back(struct api_call *call)
{
    if (call->token)
        quota_release(&call->token->quota);
}

void gate_leave(struct api_call *call)
{
    if (call->admitted)
        quota_release(&call->token->quota);
    token_unref(call->token);
    call->token = NULL;
    call->admitted = false;
}
