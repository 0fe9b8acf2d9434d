/* Calls of a running model to other models; see python.h. The interpreter's lock is given up while
 * the answer is waited for. */
#include "python.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TENSORS = TENSORD_MAX_DIMS }; /* as many as the channel takes */

struct made_call {
    struct tensord_call call;
    struct tensord_tensor inputs[MAX_TENSORS], outputs[MAX_TENSORS];
    const char *input_names[MAX_TENSORS], *output_names[MAX_TENSORS];
    Py_buffer buffers[MAX_TENSORS];
    size_t buffer_count;
};

/* (name, datatype, shape, buffer) */
static bool take_input(struct made_call *made, PyObject *row)
{
    size_t at = made->call.input_count;
    struct tensord_tensor *tensor = &made->inputs[at];
    const char *datatype;
    PyObject *shape, *value;
    if (!PyArg_ParseTuple(row, "ssO!O", &made->input_names[at], &datatype, &PyTuple_Type, &shape,
                          &value))
        return false;
    tensor->datatype = datatype_of_text(datatype);
    tensor->ndim = (uint32_t)PyTuple_Size(shape);
    if (tensor->datatype == TENSORD_INVALID || tensor->ndim > TENSORD_MAX_DIMS) {
        PyErr_SetString(PyExc_ValueError, "an input of a call has no sound datatype or shape");
        return false;
    }
    for (uint32_t i = 0; i < tensor->ndim; i++)
        tensor->shape[i] = PyLong_AsLongLong(PyTuple_GetItem(shape, (Py_ssize_t)i));
    if (PyErr_Occurred() || PyObject_GetBuffer(value, &made->buffers[at], PyBUF_C_CONTIGUOUS) < 0)
        return false;
    made->buffer_count++;
    made->call.input_count++;
    tensor->data = made->buffers[at].buf;
    tensor->size_bytes = (size_t)made->buffers[at].len;
    return true;
}

static bool take_inputs(struct made_call *made, PyObject *rows)
{
    Py_ssize_t count = PyList_Size(rows);
    if (count > MAX_TENSORS) {
        PyErr_Format(PyExc_ValueError, "a call may have %d inputs", MAX_TENSORS);
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!take_input(made, PyList_GetItem(rows, i)))
            return false;
    }
    return true;
}

/* [(name, datatype, shape, buffer or list of bytes)]; the buffers are copies, which outlive the
 * request. */
static PyObject *outputs_of(const struct made_call *made)
{
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list && i < made->call.ret_output_count; i++) {
        const struct tensord_tensor *tensor = &made->outputs[i];
        PyObject *value = tensor->datatype == TENSORD_BYTES ? tensor_elements(tensor)
                                                            : view_new(tensor, NULL, NULL, true);
        PyObject *row =
            value ? Py_BuildValue("ssNN", made->output_names[i], datatype_text(tensor->datatype),
                                  tensor_shape(tensor), value)
                  : NULL;
        if (!row || PyList_Append(list, row) < 0)
            Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

static PyObject *make(struct run *run, struct made_call *made)
{
    run->busy++;
    gil_give();
    bool good = python_host->call(run->tensord, &made->call);
    gil_take();
    PyObject *outputs = good ? outputs_of(made) : NULL;
    run->busy--;
    if (!good)
        PyErr_SetString(PyExc_RuntimeError, made->call.error);
    return outputs;
}

PyObject *run_call(struct run *run, PyObject *arguments)
{
    PyObject *rows, *outputs = NULL;
    long long version;
    struct made_call *made = calloc(1, sizeof *made);
    if (!made)
        return PyErr_NoMemory();
    made->call.inputs = made->inputs;
    made->call.input_names = made->input_names;
    made->call.ret_outputs = made->outputs;
    made->call.ret_output_names = made->output_names;
    made->call.output_capacity = MAX_TENSORS;
    if (PyArg_ParseTuple(arguments, "sLO!", &made->call.model, &version, &PyList_Type, &rows) &&
        take_inputs(made, rows)) {
        made->call.version = version;
        outputs = make(run, made);
    }
    for (size_t i = 0; i < made->buffer_count; i++)
        PyBuffer_Release(&made->buffers[i]);
    free(made);
    return outputs;
}
