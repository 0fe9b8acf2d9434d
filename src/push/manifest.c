/* Manifests; see manifest.h. */
#include "push/manifest.h"

#include "base/utf8.h"
#include "codec/json.h"
#include "repository/model_config.h"
#include "telemetry/metrics.h"

#include <stdlib.h>

enum { MAX_NAME_BYTES = 255, SHOWN_BYTES = 200 };

/* ---- reading ---- */

static void take_digest(struct json *json, struct digest *ret_digest)
{
    struct span text;
    if (json_string(json, &text) && !digest_parse(text, ret_digest))
        json_fail(json, "a sha256 is 64 hexadecimal digits in lower case");
}

static void read_file(struct json *json, struct manifest_file *file)
{
    enum { PATH = 1, DIGEST = 2, SIZE = 4 };
    unsigned seen = 0;
    struct span key;
    json_enter_object(json);
    while (json_next_key(json, &key)) {
        unsigned member = span_equal(key, SPAN("path"))     ? PATH
                          : span_equal(key, SPAN("sha256")) ? DIGEST
                          : span_equal(key, SPAN("size"))   ? SIZE
                                                            : 0;
        if (!member || (seen & member))
            json_fail(json, "a file has path, sha256 and size, each once");
        else if (member == PATH)
            json_string(json, &file->path);
        else if (member == DIGEST)
            take_digest(json, &file->digest);
        else
            json_u64(json, &file->size_bytes);
        seen |= member;
    }
    if (json_ok(json) && seen != (PATH | DIGEST | SIZE))
        json_fail(json, "a file has path, sha256 and size, each once");
}

static void read_files(struct json *json, size_t max_files, struct manifest *manifest)
{
    size_t capacity = 0;
    json_enter_array(json);
    while (json_next_element(json)) {
        if (manifest->count == max_files) {
            limit_hit(LIMIT_max_push_files);
            json_fail(json, "more than %zu files", max_files);
        } else if (!arena_grow(json->arena, (void **)&manifest->files, manifest->count, &capacity,
                               sizeof *manifest->files)) {
            json_fail(json, "out of memory");
        }
        if (!json_ok(json))
            return;
        manifest->files[manifest->count] = (struct manifest_file){0};
        read_file(json, &manifest->files[manifest->count++]);
    }
}

static void read_version(struct json *json, struct manifest *manifest)
{
    if (json_peek(json) == JSON_NULL) {
        json_null(json);
        return;
    }
    manifest->has_version = json_u64(json, &manifest->version);
    if (manifest->has_version && (manifest->version == 0 || manifest->version > INT64_MAX))
        json_fail(json, "a version is a number from 1 on");
}

bool manifest_read(struct span text, size_t max_files, struct arena *arena,
                   struct manifest *ret_manifest, struct error *ret_error)
{
    struct manifest manifest = {0};
    struct json json;
    struct span key;
    bool version = false, files = false;
    json_init(&json, text, JSON_MAX_DEPTH, arena, ret_error);
    json_enter_object(&json);
    while (json_next_key(&json, &key)) {
        if (span_equal(key, SPAN("version")) && !version) {
            version = true;
            read_version(&json, &manifest);
        } else if (span_equal(key, SPAN("files")) && !files) {
            files = true;
            read_files(&json, max_files, &manifest);
        } else {
            json_fail(&json, "a manifest has version and files, each once");
        }
    }
    if (!json_end(&json))
        return false;
    *ret_manifest = manifest;
    return true;
}

/* ---- checking ---- */

static bool refuse(struct span path, const char *why, struct error *ret_error)
{
    int shown = path.size < SHOWN_BYTES ? (int)path.size : SHOWN_BYTES;
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "the path '%.*s' %s", shown,
                     path.data ? path.data : "", why);
}

static bool has_control(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < ' ' || c == 0x7f)
            return true;
    }
    return false;
}

static bool check_path(struct span path, struct error *ret_error)
{
    struct span rest = path;
    size_t parts = 0;
    if (!path.size || path.size > MANIFEST_MAX_PATH_BYTES)
        return refuse(path, path.size ? "is too long" : "is empty", ret_error);
    if (has_control(path) || !utf8_valid(path) || memchr(path.data, '\\', path.size))
        return refuse(path, "has a backslash, a control character or bytes that are no text",
                      ret_error);
    while (rest.data) {
        struct span part = span_split(&rest, '/');
        if (!part.size || span_equal(part, SPAN(".")) || span_equal(part, SPAN("..")))
            return refuse(path, "is not one of plain names with single slashes between them",
                          ret_error);
        if (part.size > MANIFEST_MAX_PART_BYTES)
            return refuse(path, "has a name of more than 255 bytes", ret_error);
        parts++;
    }
    return parts <= MANIFEST_MAX_PARTS || refuse(path, "goes down too deep", ret_error);
}

/* A slash comes before every other character, so that what lies in a folder follows it at once. */
static int compare_paths(struct span a, struct span b)
{
    size_t shorter = a.size < b.size ? a.size : b.size, at = 0;
    while (at < shorter && a.data[at] == b.data[at])
        at++;
    int left = at == a.size ? -2 : a.data[at] == '/' ? -1 : (unsigned char)a.data[at];
    int right = at == b.size ? -2 : b.data[at] == '/' ? -1 : (unsigned char)b.data[at];
    return left - right;
}

static int compare_files(const void *a, const void *b)
{
    return compare_paths(((const struct manifest_file *)a)->path,
                         ((const struct manifest_file *)b)->path);
}

bool manifest_check(struct manifest *manifest, struct error *ret_error)
{
    uint64_t sum = 0;
    if (!manifest->count)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "a model has at least one file");
    for (size_t i = 0; i < manifest->count; i++) {
        if (!check_path(manifest->files[i].path, ret_error))
            return false;
        if (__builtin_add_overflow(sum, manifest->files[i].size_bytes, &sum) || sum > INT64_MAX)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "no file is as large as that");
    }
    qsort(manifest->files, manifest->count, sizeof *manifest->files, compare_files);
    for (size_t i = 1; i < manifest->count; i++) {
        struct span before = manifest->files[i - 1].path, path = manifest->files[i].path;
        if (span_equal(before, path))
            return refuse(path, "comes twice", ret_error);
        if (span_starts_with(path, before) && path.data[before.size] == '/')
            return refuse(before, "is a file and a folder", ret_error);
    }
    return true;
}

uint64_t manifest_size_bytes(const struct manifest *manifest)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < manifest->count; i++)
        sum += manifest->files[i].size_bytes;
    return sum;
}

/* ---- names and versions ---- */

bool version_number_of(struct span name, uint64_t *ret_number)
{
    return span_to_u64(name, ret_number) && *ret_number <= INT64_MAX;
}

static bool is_config(struct span name)
{
    for (size_t i = 0; model_config_names[i]; i++) {
        if (span_equal(name, span_of(model_config_names[i])))
            return true;
    }
    return false;
}

bool model_name_check(struct span name, struct error *ret_error)
{
    uint64_t number;
    const char *why = NULL;
    if (!name.size || name.size > MAX_NAME_BYTES)
        why = "has 1 to 255 bytes";
    else if (has_control(name) || !utf8_valid(name) || memchr(name.data, '/', name.size) ||
             memchr(name.data, '\\', name.size))
        why = "has no slash, backslash or control character, and is UTF-8";
    else if (name.data[0] == '.')
        why = "does not start with a dot";
    else if (version_number_of(name, &number))
        why = "is not a number alone, as versions are";
    else if (is_config(name) || span_starts_with(name, SPAN("model.")) ||
             span_equal(name, SPAN("lost+found")))
        why = "is not one that files have beside models";
    return !why || error_set(ret_error, ERROR_INVALID_ARGUMENT, "the name of a model %s", why);
}

/* The version in whose folder the path lies. */
static bool version_of(struct span path, uint64_t *ret_number)
{
    struct span rest = path, first = span_split(&rest, '/');
    return rest.data && version_number_of(first, ret_number);
}

bool manifest_is_of_versions(const struct manifest *manifest)
{
    bool some = false;
    for (size_t i = 0; i < manifest->count; i++) {
        uint64_t number;
        struct span path = manifest->files[i].path;
        if (version_of(path, &number))
            some = true;
        else if (!is_config(path))
            return false;
    }
    return some;
}

uint64_t manifest_last_version(const struct manifest *manifest)
{
    uint64_t last = 0, number;
    for (size_t i = 0; i < manifest->count; i++) {
        if (version_of(manifest->files[i].path, &number) && number > last)
            last = number;
    }
    return last;
}
