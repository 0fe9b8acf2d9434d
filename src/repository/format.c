/* The table of formats; see format.h. */
#include "repository/format.h"

static const struct format formats[] = {
    {"python", ".py", RUNTIME_PYTHON, true},
    {"onnx", ".onnx", RUNTIME_NATIVE, false},
};

static bool accompanies_code(struct span name)
{
    return span_starts_with(name, SPAN("_")) || span_starts_with(name, SPAN("test_")) ||
           span_equal(name, SPAN("setup.py")) || span_equal(name, SPAN("conftest.py"));
}

const struct format *format_of_file(const char *name, struct span *ret_stem)
{
    struct span whole = span_of(name);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct span ending = span_of(formats[i].ending);
        if (whole.size <= ending.size ||
            !span_equal(span_after(whole, whole.size - ending.size), ending))
            continue;
        if (formats[i].runtime == RUNTIME_PYTHON && accompanies_code(whole))
            return NULL;
        *ret_stem = (struct span){whole.data, whole.size - ending.size};
        return &formats[i];
    }
    return NULL;
}

bool format_wins(const struct format *format, struct span stem, const struct format *other,
                 struct span other_stem)
{
    if (!format || !other)
        return format != NULL;
    bool named = span_equal(stem, SPAN("model")),
         other_named = span_equal(other_stem, SPAN("model"));
    return named != other_named ? named : format < other;
}
