/* The extension module _channel: the worker's end of the channel, for a worker that is a Python
 * interpreter. It links the host that native workers run, so that the channel, its rules and the
 * sandbox exist once. */
#include "python.h"

#include "worker/host.h"
#include "worker/worker_main.h"

#include <string.h>

struct python_bridge python_bridge;

static bool read_bridge(PyObject *bridge)
{
    const struct {
        const char *name;
        PyObject **place;
    } rows[] = {
#define BRIDGE_ROW(name) {#name, &python_bridge.name},
        PYTHON_BRIDGE(BRIDGE_ROW)
#undef BRIDGE_ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        *rows[i].place = PyObject_GetAttrString(bridge, rows[i].name);
        if (!*rows[i].place)
            return false;
    }
    return true;
}

static int run(const struct worker_context *context)
{
    return host_run_engine(context->spec, context->fds, &python_engine, context->files);
}

/* main(mode, engine_dir, bridge) -> exit status */
static PyObject *run_main(PyObject *module, PyObject *arguments)
{
    char *words[2];
    PyObject *bridge;
    if (!PyArg_ParseTuple(arguments, "ssO", &words[0], &words[1], &bridge) || !read_bridge(bridge))
        return NULL;
    gil_adopt_main();
    gil_give();
    int status = worker_main(2, words, run);
    gil_take();
    return PyLong_FromLong(status);
}

/* log(level, line) */
static PyObject *log_line(PyObject *module, PyObject *arguments)
{
    int level;
    const char *line;
    if (!PyArg_ParseTuple(arguments, "is", &level, &line))
        return NULL;
    if (python_host)
        python_host->log((enum tensord_log_level)level, "%s", line);
    return Py_NewRef(Py_None);
}

/* current() -> Request | None */
static PyObject *current(PyObject *module, PyObject *nothing)
{
    struct run *mine = run_current();
    return mine ? run_handle(mine) : Py_NewRef(Py_None);
}

/* is_shared(object) -> bool */
static PyObject *is_shared(PyObject *module, PyObject *object)
{
    Py_buffer buffer;
    const struct run *mine = run_current();
    if (PyObject_GetBuffer(object, &buffer, PyBUF_FULL_RO) < 0)
        return NULL;
    bool shared = mine && run_owns(mine, buffer.buf, (size_t)buffer.len);
    PyBuffer_Release(&buffer);
    return PyBool_FromLong(shared);
}

/* copied_bytes() -> int */
static PyObject *copied_bytes(PyObject *module, PyObject *nothing)
{
    return PyLong_FromUnsignedLongLong(run_copied_bytes);
}

static PyMethodDef functions[] = {
    {"main", run_main, METH_VARARGS, "Serves until the front says stop."},
    {"log", log_line, METH_VARARGS, "log(level, line): 0 debug to 3 error."},
    {"is_shared", is_shared, METH_O,
     "Whether its bytes lie in the memory of the request that this thread executes."},
    {"copied_bytes", copied_bytes, METH_NOARGS,
     "Bytes of outputs that had to be copied since the worker started."},
    {"current", current, METH_NOARGS, "The request that this thread executes, or None."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_channel",
    .m_doc = "The worker's end of tensord's channel.",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__channel(void);

PyMODINIT_FUNC PyInit__channel(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module && view_type_make(module) && execution_type_make(module))
        return module;
    Py_XDECREF(module);
    return NULL;
}
