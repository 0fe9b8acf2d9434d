/* One execution as Python sees it; see python.h. */
#include "python.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct handle {
    PyObject_HEAD struct run *run; /* NULL after the final answer */
};

enum { BUSY_POLL_NS = 1000000, REASON_BYTES = 500 };

PyObject *execution_type;
static _Thread_local struct run *current;

struct run *run_current(void)
{
    return current;
}

void run_set_current(struct run *run)
{
    current = run;
}

static struct run *run_of(PyObject *self)
{
    struct run *run = ((struct handle *)self)->run;
    if (!run)
        PyErr_SetString(PyExc_RuntimeError, "the request has been answered");
    return run;
}

/* ---- what Python may ask ---- */

static PyObject *get_literals(PyObject *self, void *context)
{
    const struct run *run = run_of(self);
    PyObject *literals = run ? PySet_New(NULL) : NULL;
    size_t count = literals && run->tensord->literal_parameters ? run->tensord->parameter_count : 0;
    for (size_t i = 0; literals && i < count; i++) {
        if (!run->tensord->literal_parameters[i])
            continue;
        const char *text = run->tensord->parameters[i].key;
        PyObject *key = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
        if (!key || PySet_Add(literals, key) < 0)
            Py_CLEAR(literals);
        Py_XDECREF(key);
    }
    return literals;
}

static PyObject *get_parameters(PyObject *self, void *context)
{
    const struct run *run = run_of(self);
    PyObject *parameters = run ? PyDict_New() : NULL;
    for (size_t i = 0; parameters && i < run->tensord->parameter_count; i++) {
        const struct tensord_parameter *row = &run->tensord->parameters[i];
        PyObject *value =
            PyUnicode_DecodeUTF8(row->value, (Py_ssize_t)strlen(row->value), "replace");
        if (!value || PyDict_SetItemString(parameters, row->key, value) < 0)
            Py_CLEAR(parameters);
        Py_XDECREF(value);
    }
    return parameters;
}

static PyObject *get_id(PyObject *self, void *context)
{
    const struct run *run = run_of(self);
    const char *id = run ? run->tensord->id : NULL;
    return id ? PyUnicode_DecodeUTF8(id, (Py_ssize_t)strlen(id), "replace") : NULL;
}

/* Seconds of CLOCK_MONOTONIC, as time.monotonic() gives them; None: there is none. */
static PyObject *get_deadline(PyObject *self, void *context)
{
    const struct run *run = run_of(self);
    if (!run)
        return NULL;
    if (run->tensord->deadline_ns == UINT64_MAX)
        return Py_NewRef(Py_None);
    return PyFloat_FromDouble((double)run->tensord->deadline_ns / 1e9);
}

/* True, too, when it has been answered: nobody wants more. */
static PyObject *is_cancelled(PyObject *self, PyObject *nothing)
{
    const struct run *run = ((struct handle *)self)->run;
    return PyBool_FromLong(!run || python_host->cancelled(run->tensord));
}

static PyObject *answer(PyObject *self, PyObject *arguments)
{
    PyObject *result;
    int final;
    bool wanted = false;
    struct run *run = run_of(self);
    if (!run || !PyArg_ParseTuple(arguments, "Op", &result, &final) ||
        !run_answer(run, Py_NewRef(result), final != 0, &wanted))
        return NULL;
    return PyBool_FromLong(wanted);
}

/* Ends it with the exception that is given, if it has not ended. */
static PyObject *fail(PyObject *self, PyObject *exception)
{
    struct run *run = ((struct handle *)self)->run;
    if (run) {
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
        run_fail(run);
    }
    return Py_NewRef(Py_None);
}

/* empty(datatype, shape, size_bytes) -> Buffer | None: room for an output. */
static PyObject *empty(PyObject *self, PyObject *arguments)
{
    const char *datatype;
    PyObject *shape;
    Py_ssize_t size;
    struct run *run = run_of(self);
    if (!run || !PyArg_ParseTuple(arguments, "sO!n", &datatype, &PyTuple_Type, &shape, &size))
        return NULL;
    struct tensord_tensor tensor = {.datatype = datatype_of_text(datatype),
                                    .ndim = (uint32_t)PyTuple_Size(shape),
                                    .size_bytes = (size_t)size};
    if (tensor.datatype == TENSORD_INVALID || tensor.ndim > TENSORD_MAX_DIMS || size <= 0)
        return Py_NewRef(Py_None);
    for (uint32_t i = 0; i < tensor.ndim; i++)
        tensor.shape[i] = PyLong_AsLongLong(PyTuple_GetItem(shape, (Py_ssize_t)i));
    if (PyErr_Occurred())
        return NULL;
    PyObject *view = run_room(run, &tensor);
    return view || PyErr_Occurred() ? view : Py_NewRef(Py_None);
}

static PyObject *call(PyObject *self, PyObject *arguments)
{
    struct run *run = run_of(self);
    return run ? run_call(run, arguments) : NULL;
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    struct run *run = ((struct handle *)self)->run;
    if (run)
        run->handle = NULL;
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"cancelled", is_cancelled, METH_NOARGS,
     "True once the client has gone or the deadline has passed."},
    {"answer", answer, METH_VARARGS,
     "answer(outputs, final) -> bool: sends them; False: nobody wants more."},
    {"call", call, METH_VARARGS, "call(model, version, inputs) -> outputs: asks another model."},
    {"empty", empty, METH_VARARGS,
     "empty(datatype, shape, size_bytes) -> Buffer | None: room for an output."},
    {"fail", fail, METH_O, "fail(exception): ends the request with an error."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef members[] = {
    {"parameters", get_parameters, NULL, "The request's own parameters: a dict of strings.", NULL},
    {"literals", get_literals, NULL,
     "The keys of those parameters that are numbers, bools or null, written as JSON does.", NULL},
    {"id", get_id, NULL, "The client's name of the request; empty when it has none.", NULL},
    {"deadline", get_deadline, NULL,
     "When an answer is due, as time.monotonic() tells it; or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_methods, methods},
    {Py_tp_getset, members},
    {Py_tp_dealloc, dealloc},
    {Py_tp_doc, "A request that is being executed."},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "tensord.Request",
    .basicsize = sizeof(struct handle),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

bool execution_type_make(PyObject *module)
{
    execution_type = PyType_FromSpec(&spec);
    return execution_type && PyModule_AddObjectRef(module, "Request", execution_type) == 0;
}

PyObject *run_handle(struct run *run)
{
    if (run->handle)
        return Py_NewRef(run->handle);
    struct handle *handle = PyObject_New(struct handle, (PyTypeObject *)execution_type);
    if (!handle)
        return NULL;
    handle->run = run;
    run->handle = (PyObject *)handle;
    return run->handle;
}

/* ---- memory ---- */

/* A piece of room for outputs that a model was handed. */
struct room {
    struct room *next;
    const void *data;
    size_t size_bytes;
};

static void lease(struct run *run)
{
    if (!run->lease && python_host->may_keep(run->tensord))
        run->lease = calloc(1, sizeof *run->lease);
}

uint64_t run_copied_bytes;

void run_lease(struct run *run)
{
    if (run->model->takes_views)
        lease(run);
}

static bool within(const void *data, size_t size, const void *whole, size_t whole_size)
{
    uintptr_t at = (uintptr_t)data, start = (uintptr_t)whole;
    return at >= start && at - start <= whole_size && size <= whole_size - (at - start);
}

bool run_owns(const struct run *run, const void *data, size_t size_bytes)
{
    for (size_t i = 0; i < run->tensord->input_count; i++) {
        const struct tensord_tensor *input = &run->tensord->inputs[i];
        if (within(data, size_bytes, input->data, input->size_bytes))
            return true;
    }
    for (const struct room *room = run->rooms; room; room = room->next) {
        if (within(data, size_bytes, room->data, room->size_bytes))
            return true;
    }
    return false;
}

/* Forgets rooms that the host has given again, in whole or in part: what lay there was sent. */
static void forget_rooms_within(struct run *run, const void *data, size_t size)
{
    struct room **at = &run->rooms;
    while (*at) {
        struct room *room = *at;
        if (!within(room->data, 1, data, size) && !within(data, 1, room->data, room->size_bytes)) {
            at = &room->next;
            continue;
        }
        *at = room->next;
        free(room);
    }
}

PyObject *run_room(struct run *run, const struct tensord_tensor *tensor)
{
    struct tensord_tensor made = *tensor;
    lease(run);
    struct room *room = run->lease ? malloc(sizeof *room) : NULL;
    if (!room)
        return NULL;
    run->busy++;
    gil_give();
    made.data = python_host->room(run->tensord, made.size_bytes);
    gil_take();
    run->busy--;
    if (!made.data) {
        free(room);
        return NULL;
    }
    forget_rooms_within(run, made.data, made.size_bytes);
    *room = (struct room){run->rooms, made.data, made.size_bytes};
    run->rooms = room;
    return view_new(&made, run->lease, NULL, true);
}

/* ---- answers ---- */

/* Nobody finds the run any more. Threads that are still in a call for it are waited for: the host
 * frees the execution with its final answer. */
static void forget(struct run *run)
{
    if (run->handle)
        ((struct handle *)run->handle)->run = NULL;
    run->handle = NULL;
    run->tensord->engine_data = NULL;
    while (run->rooms) {
        struct room *next = run->rooms->next;
        free(run->rooms);
        run->rooms = next;
    }
    struct lease *lease = run->lease;
    run->lease = NULL;
    if (lease_end(lease))
        lease->kept = python_host->keep(run->tensord);
    while (run->busy > 0) {
        gil_give();
        nanosleep(&(struct timespec){.tv_nsec = BUSY_POLL_NS}, NULL);
        gil_take();
    }
}

static void end(struct run *run)
{
    run->tensord = NULL;
    if (run->on_heap)
        free(run);
}

/* Without the interpreter's lock: sends the outputs. */
static bool send(struct run *run, const struct output *outputs, size_t count, bool final,
                 bool *ret_wanted)
{
    struct tensord_execution *tensord = run->tensord;
    for (size_t i = 0; i < count; i++) {
        const struct output *output = &outputs[i];
        if (!python_host->output_bytes(tensord, output->index, output->datatype, output->shape,
                                       output->ndim, output->data, output->size_bytes))
            return false;
    }
    *ret_wanted = python_host->respond(tensord, final);
    return true;
}

/* Sends them, or the reason why there is no room for them, which ends the run as well. */
static void send_or_fail(struct run *run, const struct output *outputs, size_t count, bool final,
                         bool *ret_wanted)
{
    struct tensord_execution *tensord = run->tensord;
    if (final)
        forget(run);
    run->busy++;
    gil_give();
    bool sent = send(run, outputs, count, final, ret_wanted);
    gil_take();
    run->busy--;
    if (!sent) {
        *ret_wanted = false;
        if (!final)
            forget(run);
        gil_give();
        python_host->fail(tensord, TENSORD_UNAVAILABLE);
        gil_take();
    }
    if (!sent || final)
        end(run);
}

bool run_answer(struct run *run, PyObject *result, bool final, bool *ret_wanted)
{
    struct output few[4], *outputs = few;
    size_t count = 0, most = run->model->output_count;
    if (most > sizeof few / sizeof *few)
        outputs = malloc(most * sizeof *outputs);
    if (!outputs) {
        Py_DECREF(result);
        return PyErr_NoMemory() != NULL;
    }
    bool nothing = result == Py_None && (run->model->streams || run->model->output_count == 0);
    bool taken = nothing || outputs_take(run, result, outputs, &count);
    Py_DECREF(result);
    if (taken)
        send_or_fail(run, outputs, count, final, ret_wanted);
    outputs_drop(outputs, count);
    if (outputs != few)
        free(outputs);
    return taken;
}

/* The status and the sentence for the current exception, which is cleared. */
static enum tensord_status explain(struct run *run, char reason[REASON_BYTES])
{
    PyObject *type, *exception, *traceback;
    long status = TENSORD_INTERNAL;
    PyErr_Fetch(&type, &exception, &traceback);
    PyErr_NormalizeException(&type, &exception, &traceback);
    if (traceback && exception)
        PyException_SetTraceback(exception, traceback);
    PyObject *handle = run_handle(run);
    PyObject *said = PyObject_CallFunctionObjArgs(
        python_bridge.failed, exception ? exception : Py_None, handle ? handle : Py_None, NULL);
    const char *sentence = "the model raised an exception that cannot be told";
    snprintf(reason, REASON_BYTES, "%s", sentence);
    if (said && PyArg_ParseTuple(said, "ls", &status, &sentence))
        snprintf(reason, REASON_BYTES, "%s", sentence);
    PyErr_Clear();
    Py_XDECREF(said);
    Py_XDECREF(handle);
    Py_XDECREF(type);
    Py_XDECREF(exception);
    Py_XDECREF(traceback);
    return status > TENSORD_OK && status <= TENSORD_CANCELLED ? (enum tensord_status)status
                                                              : TENSORD_INTERNAL;
}

void run_fail_handle(PyObject *handle)
{
    struct run *run = ((struct handle *)handle)->run;
    if (run)
        run_fail(run);
    else
        PyErr_Clear();
}

void run_fail(struct run *run)
{
    char reason[REASON_BYTES];
    struct tensord_execution *tensord = run->tensord;
    enum tensord_status status = explain(run, reason);
    forget(run);
    gil_give();
    python_host->reason(status, "%s", reason);
    python_host->fail(tensord, status);
    gil_take();
    end(run);
}
