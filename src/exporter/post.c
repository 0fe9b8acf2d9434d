/* libcurl, loaded by name; see post.h. Its ABI (libcurl.so.4) is kept since 2006; of its functions
 * all that are used here are older than that, but curl_multi_poll (7.66). */
#include "exporter/post.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONNECT_TIMEOUT_MS = 5000, HEADER_BYTES = 8192 };

/* The functions, each with the type that the header declares. */
#define FUNCTIONS(ROW)                                                                             \
    ROW(global_init, curl_global_init)                                                             \
    ROW(easy_init, curl_easy_init)                                                                 \
    ROW(easy_cleanup, curl_easy_cleanup)                                                           \
    ROW(easy_set, curl_easy_setopt)                                                                \
    ROW(easy_get, curl_easy_getinfo)                                                               \
    ROW(easy_text, curl_easy_strerror)                                                             \
    ROW(list_append, curl_slist_append)                                                            \
    ROW(list_free, curl_slist_free_all)                                                            \
    ROW(multi_init, curl_multi_init)                                                               \
    ROW(multi_cleanup, curl_multi_cleanup)                                                         \
    ROW(multi_add, curl_multi_add_handle)                                                          \
    ROW(multi_remove, curl_multi_remove_handle)                                                    \
    ROW(multi_perform, curl_multi_perform)                                                         \
    ROW(multi_poll, curl_multi_poll)                                                               \
    ROW(multi_read, curl_multi_info_read)

#undef curl_easy_setopt
#undef curl_easy_getinfo

static struct {
#define MEMBER(name, symbol) __typeof__(symbol) *name;
    FUNCTIONS(MEMBER)
} curl; /* filled by load */

struct post {
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers;
};

static bool too_old(const char *symbol, struct error *ret_error)
{
    return error_set(ret_error, ERROR_UNAVAILABLE,
                     "libcurl is too old: it has no %s (7.66 has all that is needed)", symbol);
}

static bool load(struct error *ret_error)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return error_set(ret_error, ERROR_UNAVAILABLE,
                         "traces are sent by libcurl, which is not installed (libcurl.so.4)");
#define LOAD(name, symbol)                                                                         \
    curl.name = (__typeof__(symbol) *)dlsym(library, #symbol);                                     \
    if (!curl.name)                                                                                \
        return too_old(#symbol, ret_error);
    FUNCTIONS(LOAD)
    return true;
}

/* The collector's answer says nothing that its status does not. */
static size_t drop(char *data, size_t size, size_t count, void *context)
{
    return size * count;
}

static bool add_header(struct post *post, const char *line)
{
    struct curl_slist *list = curl.list_append(post->headers, line);
    if (list)
        post->headers = list;
    return list != NULL;
}

static bool make_headers(struct post *post, const struct export_config *config)
{
    char line[HEADER_BYTES];
    bool good = add_header(post, "Content-Type: application/x-protobuf") &&
                add_header(post, "Expect:"); /* no pause before a larger body */
    for (size_t i = 0; i < config->header_count && good; i++) {
        snprintf(line, sizeof line, "%.*s: %.*s", SPAN_ARGS(config->headers[i].key),
                 SPAN_ARGS(config->headers[i].value));
        good = add_header(post, line);
    }
    return good;
}

static bool set_options(struct post *post, const struct export_config *config)
{
    CURL *easy = post->easy;
    bool good =
        curl.easy_set(easy, CURLOPT_URL, config->url) == CURLE_OK &&
        curl.easy_set(easy, CURLOPT_HTTPHEADER, post->headers) == CURLE_OK &&
        curl.easy_set(easy, CURLOPT_POST, 1L) == CURLE_OK &&
        curl.easy_set(easy, CURLOPT_WRITEFUNCTION, drop) == CURLE_OK &&
        curl.easy_set(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        curl.easy_set(easy, CURLOPT_TIMEOUT_MS, (long)config->timeout_ms) == CURLE_OK &&
        curl.easy_set(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS) == CURLE_OK &&
        curl.easy_set(easy, CURLOPT_USERAGENT, "tensord/" TENSORD_VERSION) == CURLE_OK;
    if (config->certificate[0])
        good = good && curl.easy_set(easy, CURLOPT_CAINFO, config->certificate) == CURLE_OK;
    return good;
}

struct post *post_new(const struct export_config *config, struct error *ret_error)
{
    struct post *post = calloc(1, sizeof *post);
    if (!post) {
        error_no_memory(ret_error);
        return NULL;
    }
    if (!load(ret_error)) {
        free(post);
        return NULL;
    }
    if (curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) {
        post->multi = curl.multi_init();
        post->easy = curl.easy_init();
    }
    if (post->multi && post->easy && make_headers(post, config) && set_options(post, config))
        return post;
    post_free(post);
    error_set(ret_error, ERROR_UNAVAILABLE, "libcurl could not be prepared");
    return NULL;
}

void post_free(struct post *post)
{
    if (!post)
        return;
    if (post->easy)
        curl.easy_cleanup(post->easy);
    if (post->multi)
        curl.multi_cleanup(post->multi);
    curl.list_free(post->headers);
    free(post);
}

bool post_start(struct post *post, struct span body)
{
    return curl.easy_set(post->easy, CURLOPT_POSTFIELDS, body.data) == CURLE_OK &&
           curl.easy_set(post->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.size) ==
               CURLE_OK &&
           curl.multi_add(post->multi, post->easy) == CURLM_OK;
}

void post_wait(struct post *post, int fd, int wait_ms)
{
    struct curl_waitfd waited = {.fd = fd, .events = CURL_WAIT_POLLIN};
    int running;
    curl.multi_poll(post->multi, &waited, fd >= 0 ? 1 : 0, wait_ms, NULL);
    curl.multi_perform(post->multi, &running);
}

/* OTLP/HTTP: 429, 502, 503 and 504 are to be tried again, other errors are not. */
static enum export_result result_of(long status)
{
    if (status >= 200 && status < 300)
        return EXPORT_TAKEN;
    return status == 429 || status == 502 || status == 503 || status == 504 ? EXPORT_LATER
                                                                            : EXPORT_REFUSED;
}

bool post_ended(struct post *post, enum export_result *ret_result, uint64_t *ret_retry_after_ms,
                char *text, size_t text_size)
{
    int left;
    long status = 0;
    curl_off_t retry_after_s = 0;
    const CURLMsg *message = curl.multi_read(post->multi, &left);
    if (!message || message->msg != CURLMSG_DONE)
        return false;
    CURLcode code = message->data.result;
    curl.easy_get(post->easy, CURLINFO_RESPONSE_CODE, &status);
    curl.easy_get(post->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    curl.multi_remove(post->multi, post->easy);
    if (code == CURLE_OK)
        snprintf(text, text_size, "status %ld", status);
    else
        snprintf(text, text_size, "%s", curl.easy_text(code));
    *ret_result = code == CURLE_OK ? result_of(status) : EXPORT_LATER;
    *ret_retry_after_ms =
        retry_after_s > 0 && retry_after_s < 3600 ? (uint64_t)retry_after_s * 1000 : 0;
    return true;
}
