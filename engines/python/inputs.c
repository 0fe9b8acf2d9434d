/* A request's tensors as the values that a model is called with; see python.h. */
#include "python.h"

#include <stdlib.h>
#include <string.h>

PyObject *tensor_shape(const struct tensord_tensor *tensor)
{
    PyObject *shape = PyTuple_New((Py_ssize_t)tensor->ndim);
    for (uint32_t i = 0; shape && i < tensor->ndim; i++) {
        PyObject *dim = PyLong_FromLongLong(tensor->shape[i]);
        if (!dim || PyTuple_SetItem(shape, (Py_ssize_t)i, dim) < 0) {
            Py_DECREF(shape);
            return NULL;
        }
    }
    return shape;
}

/* The elements of a BYTES tensor, whose lengths the front has checked; they are read once. */
PyObject *tensor_elements(const struct tensord_tensor *tensor)
{
    const char *at = tensor->data, *end = at + tensor->size_bytes;
    PyObject *list = PyList_New(0);
    while (list && end - at >= (ptrdiff_t)sizeof(uint32_t)) {
        uint32_t size;
        memcpy(&size, at, sizeof size);
        at += sizeof size;
        if (size > (size_t)(end - at)) {
            Py_DECREF(list);
            PyErr_SetString(PyExc_ValueError, "a BYTES input is malformed");
            return NULL;
        }
        PyObject *element = PyBytes_FromStringAndSize(at, (Py_ssize_t)size);
        if (!element || PyList_Append(list, element) < 0)
            Py_CLEAR(list);
        Py_XDECREF(element);
        at += size;
    }
    return list;
}

static PyObject *array_of_bytes(const struct tensord_tensor *input)
{
    PyObject *list = tensor_elements(input), *shape = list ? tensor_shape(input) : NULL;
    PyObject *array =
        shape ? PyObject_CallFunctionObjArgs(python_bridge.objects, list, shape, NULL) : NULL;
    Py_XDECREF(shape);
    Py_XDECREF(list);
    return array;
}

static PyObject *array_of(const struct run *run, const struct python_tensor *tensor,
                          const struct tensord_tensor *input)
{
    PyObject *view = view_new(input, run->lease, NULL, false),
             *shape = view ? tensor_shape(input) : NULL;
    PyObject *array =
        shape ? PyObject_CallFunctionObjArgs(run->model->ndarray, shape, tensor->dtype, view, NULL)
              : NULL;
    Py_XDECREF(shape);
    Py_XDECREF(view);
    return array;
}

static PyObject *value_of(const struct run *run, const struct python_tensor *tensor,
                          const struct tensord_tensor *input)
{
    bool is_bytes = input->datatype == TENSORD_BYTES;
    if (tensor->form == FORM_LIST)
        return tensor_elements(input);
    if (tensor->form == FORM_BUFFER)
        return view_new(input, run->lease, NULL, false);
    return is_bytes ? array_of_bytes(input) : array_of(run, tensor, input);
}

PyObject *inputs_take(const struct run *run)
{
    const struct python_model *model = run->model;
    const struct tensord_execution *execution = run->tensord;
    size_t next = 0;
    PyObject *values = PyTuple_New((Py_ssize_t)model->input_count);
    for (size_t i = 0; values && i < model->input_count; i++) {
        PyObject *value = Py_NewRef(Py_None);
        if (next < execution->input_count && execution->inputs[next].index == i) {
            Py_DECREF(value);
            value = value_of(run, &model->input_values[i], &execution->inputs[next++]);
        }
        if (!value || PyTuple_SetItem(values, (Py_ssize_t)i, value) < 0) {
            Py_DECREF(values);
            return NULL;
        }
    }
    return values;
}
