/* What a model gave as tensors; see python.h. A value whose bytes are what the schema says is sent
 * as it lies; anything else is first made so by the bridge. */
#include "python.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- shapes ---- */

static void format_shape(const int64_t *shape, uint32_t ndim, char *text, size_t size)
{
    size_t at = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < ndim && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%lld", i ? ", " : "", (long long)shape[i]);
}

static bool check_shape(const struct tensord_tensor_info *info, const struct output *output)
{
    bool fits = info->any_rank || info->ndim == output->ndim;
    char declared[160], given[160];
    for (uint32_t i = 0; fits && !info->any_rank && i < info->ndim; i++)
        fits = info->shape[i] < 0 || info->shape[i] == output->shape[i];
    if (fits)
        return true;
    format_shape(info->shape, info->ndim, declared, sizeof declared);
    format_shape(output->shape, output->ndim, given, sizeof given);
    PyErr_Format(PyExc_ValueError, "output '%s' has the shape [%s], the model declares [%s]",
                 info->name, given, declared);
    return false;
}

/* ---- numbers ---- */

/* A letter for all that are the same bytes: sizes of C's types differ between machines. */
static bool format_fits(enum tensord_datatype datatype, const Py_buffer *buffer)
{
    const char *format = buffer->format ? buffer->format : "B";
    char expected = view_format(datatype);
    if (strchr("@=<", format[0]) && format[0])
        format++;
    if (!format[0] || format[1])
        return false;
    if (format[0] == expected)
        return true;
    if (datatype == TENSORD_INT64 || datatype == TENSORD_UINT64)
        return buffer->itemsize == 8 && format[0] == (datatype == TENSORD_INT64 ? 'l' : 'L');
    return false;
}

/* Takes the value's buffer, when it is what the schema says. Not an exception: another way may do.
 */
static bool take_buffer(PyObject *value, const struct tensord_tensor_info *info,
                        struct output *output)
{
    if (!PyObject_CheckBuffer(value))
        return false;
    if (PyObject_GetBuffer(value, &output->buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0) {
        output->buffer.obj = NULL;
        PyErr_Clear();
        return false;
    }
    const Py_buffer *buffer = &output->buffer;
    if (!format_fits(info->datatype, buffer) || buffer->ndim > TENSORD_MAX_DIMS) {
        PyBuffer_Release(&output->buffer);
        output->buffer.obj = NULL;
        return false;
    }
    output->ndim = (uint32_t)buffer->ndim;
    for (uint32_t i = 0; i < output->ndim; i++)
        output->shape[i] = buffer->shape[i];
    output->data = buffer->buf;
    output->size_bytes = (size_t)buffer->len;
    return true;
}

/* ---- BYTES ---- */

static bool size_of_list(PyObject *list, size_t *ret_size)
{
    size_t size = 0;
    for (Py_ssize_t i = 0; i < PyList_Size(list); i++) {
        Py_ssize_t bytes = PyBytes_Size(PyList_GetItem(list, i)); /* refuses what is no bytes */
        if (bytes < 0)
            return false;
        if ((size_t)bytes > UINT32_MAX) {
            PyErr_SetString(PyExc_ValueError, "an element of BYTES is longer than 4 GiB");
            return false;
        }
        size += sizeof(uint32_t) + (size_t)bytes;
    }
    *ret_size = size;
    return true;
}

static bool pack_list(PyObject *list, struct output *output)
{
    if (!size_of_list(list, &output->size_bytes))
        return false;
    char *at = output->owned = malloc(output->size_bytes ? output->size_bytes : 1);
    output->data = at;
    if (!at)
        return PyErr_NoMemory() != NULL;
    for (Py_ssize_t i = 0; i < PyList_Size(list); i++) {
        PyObject *element = PyList_GetItem(list, i);
        uint32_t size = (uint32_t)PyBytes_Size(element);
        memcpy(at, &size, sizeof size);
        memcpy(at + sizeof size, PyBytes_AsString(element), size);
        at += sizeof size + size;
    }
    return true;
}

/* (shape, list of bytes), whose product the shape must be. */
static bool take_bytes(PyObject *pair, struct output *output)
{
    PyObject *shape, *list;
    int64_t count = 1;
    if (!PyArg_ParseTuple(pair, "O!O!", &PyTuple_Type, &shape, &PyList_Type, &list))
        return false;
    if (PyTuple_Size(shape) > TENSORD_MAX_DIMS) {
        PyErr_SetString(PyExc_ValueError, "an output has too many dimensions");
        return false;
    }
    output->ndim = (uint32_t)PyTuple_Size(shape);
    for (uint32_t i = 0; i < output->ndim; i++) {
        output->shape[i] = PyLong_AsLongLong(PyTuple_GetItem(shape, (Py_ssize_t)i));
        if (output->shape[i] < 0 || __builtin_mul_overflow(count, output->shape[i], &count))
            return PyErr_Occurred() ? false : (PyErr_BadInternalCall(), false);
    }
    if (count != PyList_Size(list)) {
        PyErr_SetString(PyExc_ValueError, "a BYTES output has not as many elements as its shape");
        return false;
    }
    return pack_list(list, output);
}

/* ---- values ---- */

static bool take_value(const struct python_model *model, size_t index, PyObject *value,
                       struct output *output)
{
    const struct tensord_tensor_info *info = &model->outputs[index];
    *output = (struct output){.index = (uint32_t)index, .datatype = info->datatype};
    bool is_bytes = info->datatype == TENSORD_BYTES;
    if (!is_bytes && take_buffer(value, info, output))
        return check_shape(info, output);
    PyObject *coerced = PyObject_CallFunctionObjArgs(python_bridge.coerce, value,
                                                     model->output_values[index].info, NULL);
    bool taken =
        coerced && (is_bytes ? take_bytes(coerced, output) : take_buffer(coerced, info, output));
    if (!taken && !PyErr_Occurred())
        PyErr_Format(PyExc_TypeError, "output '%s' is not %s", info->name,
                     datatype_text(info->datatype));
    Py_XDECREF(coerced);
    return taken && check_shape(info, output);
}

static bool is_wanted(uint64_t wanted, size_t index)
{
    return index >= 64 || (wanted >> index & 1);
}

/* The value of an output in what the model gave; borrowed. NULL with an exception, or without one
 * when a dict leaves it out. */
static PyObject *find_value(const struct python_model *model, PyObject *result, size_t index)
{
    if (PyDict_Check(result) && !model->call) {
        return PyDict_GetItemWithError(result, model->output_values[index].name);
    }
    if (model->output_count == 1 && !(model->call == NULL && PyTuple_Check(result)))
        return result;
    if (!PyTuple_Check(result) || PyTuple_Size(result) != (Py_ssize_t)model->output_count) {
        PyErr_Format(PyExc_TypeError, "the model has %zu outputs and did not give a tuple of them",
                     model->output_count);
        return NULL;
    }
    return PyTuple_GetItem(result, (Py_ssize_t)index);
}

/* Outputs by names that the model has not would get lost. */
static bool check_names(const struct python_model *model, PyObject *result)
{
    PyObject *name, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(result, &position, &name, &value)) {
        size_t i = 0;
        while (i < model->output_count &&
               PyUnicode_Compare(name, model->output_values[i].name) != 0)
            i++;
        if (PyErr_Occurred())
            return false;
        if (i == model->output_count) {
            PyErr_Format(PyExc_KeyError, "the model gave an output %R that it does not declare",
                         name);
            return false;
        }
    }
    return true;
}

/* What lies in the execution's own memory stays there without the value. */
static void drop_if_owned(const struct run *run, struct output *output)
{
    if (!output->buffer.obj || !run_owns(run, output->data, output->size_bytes)) {
        run_copied_bytes += output->size_bytes;
        return;
    }
    PyBuffer_Release(&output->buffer);
    output->buffer.obj = NULL;
}

bool outputs_take(const struct run *run, PyObject *result, struct output *outputs,
                  size_t *ret_count)
{
    const struct python_model *model = run->model;
    uint64_t wanted = run->tensord->wanted_outputs;
    size_t count = 0;
    *ret_count = 0;
    if (PyDict_Check(result) && !model->call && !check_names(model, result))
        return false;
    for (size_t i = 0; i < model->output_count; i++) {
        PyObject *value = is_wanted(wanted, i) ? find_value(model, result, i) : NULL;
        if (!value && PyErr_Occurred())
            return false;
        if (!value)
            continue;
        *ret_count = count + 1; /* it is to be dropped even if it fails half-way */
        if (!take_value(model, i, value, &outputs[count]))
            return false;
        drop_if_owned(run, &outputs[count++]);
    }
    return true;
}

void outputs_drop(struct output *outputs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(outputs[i].owned);
        if (outputs[i].buffer.obj)
            PyBuffer_Release(&outputs[i].buffer);
    }
}
