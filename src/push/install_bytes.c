/* Questions and answers of the installer; see install_bytes.h. */
#include "push/install_bytes.h"

#include "base/pack.h"

/* What bytes are. An answer takes its question's place: who ends before that has answered nothing.
 */
enum mark { QUESTION = 1, ANSWER, MARKS };

static void read_mark(struct unpack *unpack, enum mark wanted)
{
    if (unpack_number(unpack, MARKS - 1) != wanted)
        unpack->failed = true;
}

static void write_manifest(const struct manifest *manifest, struct buf *buf)
{
    pack_number(buf, manifest->has_version);
    pack_number(buf, manifest->version);
    pack_number(buf, manifest->count);
    for (size_t i = 0; i < manifest->count; i++) {
        pack_string(buf, manifest->files[i].path);
        pack_string(buf, span_of(manifest->files[i].digest.text));
        pack_number(buf, manifest->files[i].size_bytes);
    }
}

static void read_manifest(struct unpack *unpack, struct manifest *manifest)
{
    manifest->has_version = unpack_bool(unpack);
    manifest->version = unpack_number(unpack, INT64_MAX);
    manifest->files =
        unpack_array(unpack, INSTALL_MAX_BYTES, sizeof *manifest->files, &manifest->count);
    for (size_t i = 0; i < manifest->count && !unpack->failed; i++) {
        struct manifest_file *file = &manifest->files[i];
        file->path = unpack_string(unpack);
        if (!digest_parse(unpack_string(unpack), &file->digest))
            unpack->failed = true;
        file->size_bytes = unpack_number(unpack, INT64_MAX);
    }
}

void install_question_write(const struct install_question *question, struct buf *buf)
{
    pack_number(buf, QUESTION);
    pack_number(buf, question->kind);
    pack_string(buf, question->blobs);
    pack_string(buf, question->name);
    pack_number(buf, question->may_bring_code);
    write_manifest(&question->manifest, buf);
}

bool install_question_read(struct span bytes, struct arena *arena,
                           struct install_question *ret_question)
{
    struct unpack unpack = {.rest = bytes, .arena = arena};
    struct install_question question = {0};
    read_mark(&unpack, QUESTION);
    question.kind = (enum install_kind)unpack_number(&unpack, INSTALL_KINDS - 1);
    question.blobs = unpack_string(&unpack);
    question.name = unpack_string(&unpack);
    question.may_bring_code = unpack_bool(&unpack);
    read_manifest(&unpack, &question.manifest);
    if (!unpack_end(&unpack))
        return false;
    *ret_question = question;
    return true;
}

void install_answer_write(const struct install_answer *answer, struct buf *buf)
{
    pack_number(buf, ANSWER);
    pack_number(buf, answer->error.code);
    pack_string(buf, span_of(answer->error.message));
    pack_number(buf, answer->version);
    pack_number(buf, answer->unchanged);
    write_manifest(&answer->listed, buf);
}

bool install_answer_read(struct span bytes, struct arena *arena, struct install_answer *ret_answer)
{
    struct unpack unpack = {.rest = bytes, .arena = arena};
    struct install_answer answer = {.error.code = ERROR_OK};
    read_mark(&unpack, ANSWER);
    enum error_code code = (enum error_code)unpack_number(&unpack, ERROR_CODE_COUNT - 1);
    struct span message = unpack_string(&unpack);
    if (code != ERROR_OK)
        error_set(&answer.error, code, "%.*s", SPAN_ARGS(message));
    answer.version = unpack_number(&unpack, INT64_MAX);
    answer.unchanged = unpack_bool(&unpack);
    read_manifest(&unpack, &answer.listed);
    if (!unpack_end(&unpack))
        return false;
    *ret_answer = answer;
    return true;
}
