/* The model that Python has loaded, as the host is told of it; see python.h. What tensord.worker
 * gives is duck-typed (tensord/worker/model.py), and read here once. */
#include "python.h"

#include <stdlib.h>
#include <string.h>

/* ---- the source, for Python ---- */

static bool set(PyObject *dict, const char *key, PyObject *value)
{
    bool good = value && PyDict_SetItemString(dict, key, value) == 0;
    Py_XDECREF(value);
    return good;
}

static PyObject *text_or_none(const char *text)
{
    return text ? PyUnicode_DecodeFSDefault(text) : Py_NewRef(Py_None);
}

static PyObject *parameters_of(const struct tensord_source *source)
{
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict && i < source->parameter_count; i++) {
        if (!set(dict, source->parameters[i].key, text_or_none(source->parameters[i].value)))
            Py_CLEAR(dict);
    }
    return dict;
}

static PyObject *shape_of(const struct tensord_tensor_info *info)
{
    PyObject *shape = PyList_New(0);
    for (uint32_t i = 0; shape && i < info->ndim; i++) {
        PyObject *dim = PyLong_FromLongLong(info->shape[i]);
        if (!dim || PyList_Append(shape, dim) < 0)
            Py_CLEAR(shape);
        Py_XDECREF(dim);
    }
    return shape;
}

/* [(name, datatype, shape, optional, form, any_rank)] */
static PyObject *tensors_of(const struct tensord_tensor_info *infos, size_t count)
{
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list && i < count; i++) {
        PyObject *row = Py_BuildValue("ssNOsO", infos[i].name, datatype_text(infos[i].datatype),
                                      shape_of(&infos[i]), infos[i].optional ? Py_True : Py_False,
                                      "array", infos[i].any_rank ? Py_True : Py_False);
        if (!row || PyList_Append(list, row) < 0)
            Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

static PyObject *dict_of(const struct tensord_source *source)
{
    PyObject *dict = PyDict_New();
    if (dict && set(dict, "path", text_or_none(source->path)) &&
        set(dict, "name", text_or_none(source->name)) &&
        set(dict, "version", PyLong_FromUnsignedLongLong(source->version)) &&
        set(dict, "engine", text_or_none(source->config_engine)) &&
        set(dict, "parameters", parameters_of(source)) &&
        set(dict, "inputs", tensors_of(source->inputs, source->input_count)) &&
        set(dict, "outputs", tensors_of(source->outputs, source->output_count)) &&
        set(dict, "max_batch_size", PyLong_FromLongLong(source->max_batch_size)) &&
        set(dict, "threads", PyLong_FromUnsignedLong(source->threads)) &&
        set(dict, "decoupled", PyBool_FromLong(source->decoupled)) &&
        set(dict, "device", text_or_none(source->device)))
        return dict;
    Py_XDECREF(dict);
    return NULL;
}

/* ---- what Python says of the model ---- */

static long number_of(PyObject *object, const char *name)
{
    PyObject *value = PyObject_GetAttrString(object, name);
    long number = value ? PyLong_AsLong(value) : -1;
    Py_XDECREF(value);
    return number;
}

static bool truth_of(PyObject *object, const char *name)
{
    PyObject *value = PyObject_GetAttrString(object, name);
    bool truth = value && PyObject_IsTrue(value) > 0;
    Py_XDECREF(value);
    return truth;
}

/* A copy that is never freed: the description lives as long as the process. */
static const char *text_of(PyObject *object, const char *name)
{
    PyObject *value = PyObject_GetAttrString(object, name);
    const char *text = value ? PyUnicode_AsUTF8AndSize(value, NULL) : NULL;
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        PyErr_NoMemory();
    Py_XDECREF(value);
    return copy;
}

static bool read_shape(PyObject *object, struct tensord_tensor_info *info)
{
    PyObject *list = PyObject_GetAttrString(object, "shape");
    PyObject *shape = list ? PySequence_Tuple(list) : NULL;
    Py_XDECREF(list);
    if (!shape)
        return false;
    Py_ssize_t ndim = PyTuple_Size(shape);
    if (ndim > TENSORD_MAX_DIMS)
        PyErr_Format(PyExc_ValueError, "tensor '%s' has too many dimensions", info->name);
    for (Py_ssize_t i = 0; i < ndim && !PyErr_Occurred(); i++)
        info->shape[i] = PyLong_AsLongLong(PyTuple_GetItem(shape, i));
    info->ndim = (uint32_t)ndim;
    Py_DECREF(shape);
    return !PyErr_Occurred();
}

static bool read_form(PyObject *object, struct python_tensor *value)
{
    static const char *const names[] = {"array", "buffer", "list"};
    const char *text = text_of(object, "form");
    bool known = false;
    for (size_t i = 0; text && i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            value->form = (enum value_form)i;
            known = true;
        }
    }
    if (text && !known)
        PyErr_Format(PyExc_ValueError, "there is no form '%s'", text);
    free((char *)(uintptr_t)text);
    return known;
}

static bool read_tensor(PyObject *object, struct tensord_tensor_info *info,
                        struct python_tensor *value)
{
    info->name = text_of(object, "name");
    const char *datatype = info->name ? text_of(object, "datatype") : NULL;
    if (!datatype)
        return false;
    info->datatype = datatype_of_text(datatype);
    if (info->datatype == TENSORD_INVALID)
        PyErr_Format(PyExc_ValueError, "tensor '%s': there is no datatype '%s'", info->name,
                     datatype);
    free((char *)(uintptr_t)datatype);
    info->optional = truth_of(object, "optional");
    info->any_rank = truth_of(object, "any_rank");
    value->info = Py_NewRef(object);
    value->name = PyObject_GetAttrString(object, "name");
    return !PyErr_Occurred() && read_shape(object, info) && read_form(object, value);
}

/* The list of that name. */
static bool read_tensors(PyObject *object, const char *name, struct tensord_tensor_info **ret_infos,
                         struct python_tensor **ret_values, size_t *ret_count)
{
    PyObject *list = PyObject_GetAttrString(object, name);
    PyObject *tensors = list ? PySequence_Tuple(list) : NULL;
    Py_XDECREF(list);
    if (!tensors)
        return false;
    size_t count = (size_t)PyTuple_Size(tensors);
    *ret_infos = calloc(count + 1, sizeof **ret_infos);
    *ret_values = calloc(count + 1, sizeof **ret_values);
    bool good = *ret_infos && *ret_values;
    if (!good)
        PyErr_NoMemory();
    for (size_t i = 0; good && i < count; i++)
        good = read_tensor(PyTuple_GetItem(tensors, (Py_ssize_t)i), &(*ret_infos)[i],
                           &(*ret_values)[i]);
    *ret_count = count;
    Py_DECREF(tensors);
    return good;
}

/* What makes numpy's arrays, when an input wants one: numpy is imported only then. */
static bool read_arrays(struct python_model *model)
{
    for (size_t i = 0; i < model->input_count; i++) {
        struct python_tensor *value = &model->input_values[i];
        model->takes_views |= value->form == FORM_BUFFER || value->form == FORM_ARRAY;
        if (value->form != FORM_ARRAY || model->inputs[i].datatype == TENSORD_BYTES)
            continue;
        if (!model->ndarray)
            model->ndarray = PyObject_CallNoArgs(python_bridge.ndarray);
        value->dtype = PyObject_CallFunction(python_bridge.dtype, "s",
                                             datatype_text(model->inputs[i].datatype));
        if (!model->ndarray || !value->dtype)
            return false;
    }
    return true;
}

/* A callable that the model may lack, or have as None: NULL then. */
static PyObject *optional_call(PyObject *object, const char *name)
{
    PyObject *value = PyObject_GetAttrString(object, name);
    if (!value)
        PyErr_Clear();
    if (value == Py_None)
        Py_CLEAR(value);
    return value;
}

static enum tensord_batching batching_of(PyObject *object)
{
    PyObject *value = PyObject_GetAttrString(object, "batching");
    enum tensord_batching batching = TENSORD_BATCHING_UNKNOWN;
    if (value && PyUnicode_Check(value))
        batching = TENSORD_BATCHING_OWN;
    else if (value && value != Py_None)
        batching = PyObject_IsTrue(value) > 0 ? TENSORD_BATCHING_YES : TENSORD_BATCHING_NO;
    Py_XDECREF(value);
    return batching;
}

static uint32_t at_least_zero(long number)
{
    return number > 0 && number <= INT32_MAX ? (uint32_t)number : 0;
}

static bool read_model(struct python_model *model, struct tensord_description *description)
{
    PyObject *object = model->object;
    model->call = optional_call(object, "call");
    model->execute = optional_call(object, "execute");
    model->start = optional_call(object, "start");
    model->cancel = optional_call(object, "cancel");
    if (!read_tensors(object, "inputs", &model->inputs, &model->input_values,
                      &model->input_count) ||
        !read_tensors(object, "outputs", &model->outputs, &model->output_values,
                      &model->output_count) ||
        !read_arrays(model))
        return false;
    description->platform = text_of(object, "platform");
    description->inputs = model->inputs;
    description->input_count = model->input_count;
    description->outputs = model->outputs;
    description->output_count = model->output_count;
    description->batching = batching_of(object);
    description->max_batch_size = at_least_zero(number_of(object, "max_batch_size"));
    description->concurrency = at_least_zero(number_of(object, "concurrency"));
    description->streams = model->streams = truth_of(object, "streams");
    return !PyErr_Occurred();
}

struct python_model *model_load(const struct tensord_source *source,
                                struct tensord_description *ret_description)
{
    struct python_model *model = calloc(1, sizeof *model);
    if (!model)
        return (struct python_model *)PyErr_NoMemory();
    PyObject *dict = dict_of(source);
    model->object = dict ? PyObject_CallFunctionObjArgs(python_bridge.load, dict, NULL) : NULL;
    Py_XDECREF(dict);
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): on failure the process is about to end */
    return model->object && read_model(model, ret_description) ? model : NULL;
}

void model_unload(struct python_model *model)
{
    PyObject *unload = optional_call(model->object, "unload");
    PyObject *nothing = unload ? PyObject_CallNoArgs(unload) : NULL;
    if (unload && !nothing)
        PyErr_Print();
    Py_XDECREF(nothing);
    Py_XDECREF(unload);
}
