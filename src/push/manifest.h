/* Manifests: which files, by their digests, a version of a model consists of. Pure. */
#ifndef TENSORD_PUSH_MANIFEST_H
#define TENSORD_PUSH_MANIFEST_H

#include "base/arena.h"
#include "base/error.h"
#include "push/digest.h"

enum {
    MANIFEST_MAX_FILES = 50000,
    MANIFEST_MAX_PATH_BYTES = 1024,
    MANIFEST_MAX_PART_BYTES = 255,
    MANIFEST_MAX_PARTS = 8, /* what a walk of a model's files goes down (base/tree.c) */
};

struct manifest_file {
    struct span path; /* within the model's folder: "weights/a.bin" */
    struct digest digest;
    uint64_t size_bytes;
};

struct manifest {
    struct manifest_file *files;
    size_t count;
    bool has_version; /* else the next one */
    uint64_t version;
};

/* Reads {"version": n|null, "files": [{"path", "sha256", "size"}, …]}, of at most max_files files,
 * into the arena; the text must live as long. Nothing of what manifest_check asks is sure yet.
 * Other members are errors. False with a sentence. */
bool manifest_read(struct span json, size_t max_files, struct arena *arena,
                   struct manifest *ret_manifest, struct error *ret_error);

/* Puts the files in order of their paths, a folder's before its longer namesakes, and checks them:
 * there is at least one; paths are relative and of sound parts; none comes twice or is a folder as
 * well; sizes add up to something. False (INVALID_ARGUMENT) with the path in the sentence. */
bool manifest_check(struct manifest *manifest, struct error *ret_error);

/* All sizes together; a checked manifest's. */
uint64_t manifest_size_bytes(const struct manifest *manifest);

/* Whether a model may be called so when it comes from elsewhere: a sound name for a folder among
 * those of other models, which does not change what the repository is taken for. False
 * (INVALID_ARGUMENT). */
bool model_name_check(struct span name, struct error *ret_error);

/* The number that a folder of a version has as its name. False when it is no such name. */
bool version_number_of(struct span name, uint64_t *ret_number);

/* A manifest of a whole model: files lie in folders of versions, "3/model.onnx", and beside those
 * only configs. */
bool manifest_is_of_versions(const struct manifest *manifest);

/* The highest version of such a manifest. */
uint64_t manifest_last_version(const struct manifest *manifest);

#endif
