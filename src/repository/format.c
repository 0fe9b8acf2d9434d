/* The table of formats; see format.h. python/tensord/formats has a class for each that is Python's.
 */
#include "repository/format.h"

#define PYTHON_DATA RUNTIME_PYTHON, false
#define PYTHON_CODE RUNTIME_PYTHON, true

static const struct format formats[] = {
    {"mlflow", "MLmodel", FORMAT_MANIFEST, PYTHON_CODE, NULL},
    {"mlserver", "model-settings.json", FORMAT_MANIFEST, PYTHON_CODE, NULL},
    {"python", ".py", FORMAT_ENDING, PYTHON_CODE, NULL},
    {"onnx", ".onnx", FORMAT_ENDING, RUNTIME_NATIVE, false, NULL},
    {"torchserve", ".mar", FORMAT_ENDING, PYTHON_CODE, NULL},
    {"tensorflow", "saved_model.pb", FORMAT_MARKER, PYTHON_CODE, NULL},
    {"tensorflow", "model.savedmodel", FORMAT_MARKER, PYTHON_CODE, NULL},
    {"spacy", "config.cfg", FORMAT_MARKER, PYTHON_CODE, "[paths]"},
    {"sentence_transformers", "modules.json", FORMAT_MARKER, PYTHON_CODE, NULL},
    {"transformers", "pytorch_model.bin", FORMAT_MARKER, PYTHON_CODE, NULL},
    {"transformers", ".safetensors", FORMAT_ENDING, PYTHON_DATA, NULL},
    {"sklearn", ".pkl", FORMAT_ENDING, PYTHON_CODE, NULL},
    {"sklearn", ".pickle", FORMAT_ENDING, PYTHON_CODE, NULL},
    {"sklearn", ".joblib", FORMAT_ENDING, PYTHON_CODE, NULL},
    {"skops", ".skops", FORMAT_ENDING, PYTHON_DATA, NULL},
    {"xgboost", ".ubj", FORMAT_ENDING, PYTHON_DATA, NULL},
    {"xgboost", ".json", FORMAT_ENDING, PYTHON_DATA, "{\"learner\""},
    {"lightgbm", ".txt", FORMAT_ENDING, PYTHON_DATA, "tree\n"},
    {"catboost", ".cbm", FORMAT_ENDING, PYTHON_DATA, NULL},
    {"pytorch", ".pt", FORMAT_ENDING, PYTHON_CODE, NULL},
    {"pytorch", ".pth", FORMAT_ENDING, PYTHON_CODE, NULL},
    {"torch_export", ".pt2", FORMAT_ENDING, PYTHON_CODE, NULL},
    {"keras", ".keras", FORMAT_ENDING, PYTHON_CODE, NULL},
    {"tflite", ".tflite", FORMAT_ENDING, PYTHON_DATA, NULL},
    {"pmml", ".pmml", FORMAT_ENDING, PYTHON_DATA, NULL},
};

static bool accompanies_code(struct span name)
{
    return span_starts_with(name, SPAN("_")) || span_starts_with(name, SPAN("test_")) ||
           span_equal(name, SPAN("setup.py")) || span_equal(name, SPAN("conftest.py"));
}

static bool has_ending(const struct format *format, struct span name, struct span *ret_stem)
{
    struct span ending = span_of(format->file);
    if (format->kind != FORMAT_ENDING || name.size <= ending.size ||
        !span_equal(span_after(name, name.size - ending.size), ending))
        return false;
    *ret_stem = (struct span){name.data, name.size - ending.size};
    return true;
}

const struct format *format_named(struct span name)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (span_equal(span_of(formats[i].name), name))
            return &formats[i];
    }
    return NULL;
}

const struct format *format_of_file(const char *name, struct span *ret_stem)
{
    struct span stem;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (!has_ending(&formats[i], span_of(name), &stem))
            continue;
        if (span_equal(span_of(formats[i].file), SPAN(".py")) && accompanies_code(span_of(name)))
            return NULL;
        *ret_stem = stem;
        return &formats[i];
    }
    return NULL;
}

const struct format *format_of_entry(const char *name, struct span *ret_stem)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (formats[i].kind == FORMAT_ENDING ||
            !span_equal(span_of(formats[i].file), span_of(name)))
            continue;
        *ret_stem = (struct span){name, 0};
        return &formats[i];
    }
    return format_of_file(name, ret_stem);
}

/* How much a file says by the kind of its name. */
static int weight(const struct format *format, struct span stem)
{
    if (format->kind == FORMAT_MANIFEST)
        return 2;
    return format->kind == FORMAT_MARKER || span_equal(stem, SPAN("model")) ? 1 : 0;
}

bool format_wins(const struct format *format, struct span stem, const struct format *other,
                 struct span other_stem)
{
    if (!format || !other)
        return format != NULL;
    int own = weight(format, stem), others = weight(other, other_stem);
    return own != others ? own > others : format < other;
}
