/* The engine whose models are objects of Python; see python.h. It is no library of its own: the
 * extension links it with the host, and the process is the interpreter. */
#include "python.h"

#include <stdlib.h>
#include <string.h>

const struct tensord_host *python_host;

static int match(const struct tensord_source *source)
{
    return 100; /* the spawner has chosen already */
}

/* ---- loading ---- */

/* The host is about to go; what was printed is still told. With the interpreter's lock. */
static void say_farewell(void)
{
    PyObject *nothing = PyObject_CallNoArgs(python_bridge.flush);
    if (!nothing)
        PyErr_Clear();
    Py_XDECREF(nothing);
    gil_give();
    pump_stop();
    gil_take();
    python_host = NULL;
}

static enum tensord_status load_failed(void)
{
    PyObject *type, *exception, *traceback;
    long status = TENSORD_INTERNAL;
    const char *sentence = "the model cannot be loaded";
    PyErr_Fetch(&type, &exception, &traceback);
    PyErr_NormalizeException(&type, &exception, &traceback);
    if (traceback && exception)
        PyException_SetTraceback(exception, traceback);
    PyObject *said = PyObject_CallFunctionObjArgs(python_bridge.failed,
                                                  exception ? exception : Py_None, Py_None, NULL);
    if (!said || !PyArg_ParseTuple(said, "ls", &status, &sentence))
        PyErr_Clear();
    return python_host->reason((enum tensord_status)status, "%s", sentence);
}

static enum tensord_status load(const struct tensord_host *host,
                                const struct tensord_source *source,
                                struct tensord_description *ret_description, void **ret_model)
{
    python_host = host;
    pump_start();
    gil_take();
    struct python_model *model = model_load(source, ret_description);
    enum tensord_status status = model ? TENSORD_OK : load_failed();
    if (model && model->start)
        python_engine.flags |= TENSORD_ENGINE_ASYNC;
    if (!model)
        say_farewell();
    gil_give();
    *ret_model = model;
    return status;
}

static void unload(void *model)
{
    gil_take();
    model_unload(model);
    say_farewell();
    gil_give();
}

/* ---- executing ---- */

/* {name: value} of the inputs that are there. */
static PyObject *by_name(const struct python_model *model, PyObject *values)
{
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict && i < model->input_count; i++) {
        PyObject *value = PyTuple_GetItem(values, (Py_ssize_t)i);
        if (value != Py_None && PyDict_SetItem(dict, model->input_values[i].name, value) < 0)
            Py_CLEAR(dict);
    }
    return dict;
}

/* function(inputs by name, request) */
static PyObject *call_general(struct run *run, PyObject *function, PyObject *values)
{
    PyObject *dict = by_name(run->model, values), *handle = dict ? run_handle(run) : NULL;
    PyObject *result = handle ? PyObject_CallFunctionObjArgs(function, dict, handle, NULL) : NULL;
    Py_XDECREF(handle);
    Py_XDECREF(dict);
    return result;
}

static PyObject *call(struct run *run, PyObject *values)
{
    if (run->model->call)
        return PyObject_CallObject(run->model->call, values);
    return call_general(run, run->model->execute, values);
}

/* Each item is an answer; the end is the last. Takes the reference. */
static void stream(struct run *run, PyObject *items)
{
    PyObject *item;
    bool wanted = true;
    while (wanted && (item = PyIter_Next(items))) {
        if (!run_answer(run, item, false, &wanted))
            break;
    }
    PyObject *type, *exception, *traceback;
    PyErr_Fetch(&type, &exception, &traceback);
    Py_DECREF(items); /* it ends here, and lets go of the inputs */
    PyErr_Restore(type, exception, traceback);
    if (!run->tensord)
        return; /* there was no room for an answer */
    if (PyErr_Occurred() || !run_answer(run, Py_NewRef(Py_None), true, &wanted))
        run_fail(run);
}

static void execute_now(struct run *run, PyObject *values)
{
    bool wanted;
    run_set_current(run);
    PyObject *result = call(run, values);
    Py_DECREF(values);
    if (result && run->model->streams && PyIter_Check(result))
        stream(run, result);
    else if (!result || !run_answer(run, result, true, &wanted))
        run_fail(run);
    run_set_current(NULL);
}

/* Hands it to a model that answers later, maybe before this returns. */
static void begin(struct run *run, PyObject *values)
{
    PyObject *handle = run_handle(run);
    PyObject *nothing =
        handle ? PyObject_CallFunctionObjArgs(run->model->start, values, handle, NULL) : NULL;
    if (!nothing && !handle)
        run_fail(run);
    else if (!nothing)
        run_fail_handle(handle);
    Py_DECREF(values);
    Py_XDECREF(nothing);
    Py_XDECREF(handle);
}

static void execute_later(struct python_model *model, struct tensord_execution *execution)
{
    struct run *run = malloc(sizeof *run);
    if (!run) {
        python_host->fail(execution, TENSORD_UNAVAILABLE);
        return;
    }
    gil_take();
    *run = (struct run){.tensord = execution, .model = model, .on_heap = true};
    execution->engine_data = run;
    run_lease(run);
    PyObject *values = inputs_take(run);
    if (values)
        begin(run, values);
    else
        run_fail(run);
    gil_give();
}

static void execute(void *context, struct tensord_execution *execution)
{
    struct python_model *model = context;
    struct run run = {.tensord = execution, .model = model};
    if (model->start) {
        execute_later(model, execution);
        return;
    }
    gil_take();
    run_lease(&run);
    PyObject *values = inputs_take(&run);
    if (values)
        execute_now(&run, values);
    else
        run_fail(&run);
    gil_give();
}

/* The execution stays while this runs; its run, until it is forgotten under the lock. */
static void cancel(void *context, struct tensord_execution *execution)
{
    struct python_model *model = context;
    if (!model->cancel)
        return;
    gil_take();
    struct run *run = execution->engine_data;
    PyObject *handle = run ? run_handle(run) : NULL;
    PyObject *nothing = handle ? PyObject_CallFunctionObjArgs(model->cancel, handle, NULL) : NULL;
    if (handle && !nothing)
        PyErr_Print();
    Py_XDECREF(nothing);
    Py_XDECREF(handle);
    gil_give();
}

struct tensord_engine python_engine = {
    .abi = TENSORD_ENGINE_ABI,
    .size = sizeof(python_engine),
    .name = "python",
    .match = match,
    .load = load,
    .execute = execute,
    .cancel = cancel,
    .unload = unload,
};
