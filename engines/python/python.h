/* What the files of the extension share: Python's limited interface of 3.11, so that one build
 * serves 3.11 and later, and the host. */
#ifndef TENSORD_ENGINES_PYTHON_PYTHON_H
#define TENSORD_ENGINES_PYTHON_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "tensord/engine.h"

/* What tensord.worker.bridge offers to this extension: callables, by name. */
#define PYTHON_BRIDGE(ROW)                                                                         \
    ROW(load)    /* (source: dict) -> Model */                                                     \
    ROW(failed)  /* (exception, execution | None) -> (status, sentence) */                         \
    ROW(coerce)  /* (value, info: TensorInfo) -> buffer, or (shape, list[bytes]) for BYTES */      \
    ROW(flush)   /* () -> None: of what was printed */                                             \
    ROW(dtype)   /* (datatype: str) -> numpy.dtype */                                              \
    ROW(ndarray) /* () -> numpy.ndarray */                                                         \
    ROW(objects) /* (values: list[bytes], shape) -> numpy array of objects */

struct python_bridge {
#define PYTHON_BRIDGE_MEMBER(name) PyObject *name;
    PYTHON_BRIDGE(PYTHON_BRIDGE_MEMBER)
#undef PYTHON_BRIDGE_MEMBER
};

extern struct python_bridge python_bridge;
extern const struct tensord_host *python_host;

/* ---- gil.c: the interpreter's lock ---- */

/* Takes the lock; a thread of the host's becomes one of Python's at its first time, and stays one.
 */
void gil_take(void);
void gil_give(void);

/* The thread that runs the interpreter's main program, which has the lock. */
void gil_adopt_main(void);

/* ---- view.c: tensors as buffers ---- */

/* The type of views, whose buffers are C-contiguous, with format and shape. Owned by the module. */
extern PyObject *view_type;
bool view_type_make(PyObject *module);

/* The memory of an execution as far as views look at it. It may outlive the execution. */
struct lease {
    size_t views;              /* that are alive */
    bool ended;                /* the execution has ended: the last view frees the lease */
    struct tensord_kept *kept; /* then: what the host keeps for it */
};

/* The execution has ended, or is about to: frees the lease, or leaves it to the last view and
 * returns true; the host is to keep the memory then. Accepts NULL. */
bool lease_end(struct lease *lease);

/* A view of the tensor's memory. It is the lease's; without a lease (NULL) the view has a copy, or,
 * when that is given as `owned`, malloc'd, that. NULL with an exception. */
PyObject *view_new(const struct tensord_tensor *tensor, struct lease *lease, void *owned,
                   bool writable);

/* The character of the struct module that stands for the datatype; '\0' for none. */
char view_format(enum tensord_datatype datatype);

/* ---- datatype.c ---- */

/* "FP32". */
const char *datatype_text(enum tensord_datatype datatype);
/* TENSORD_INVALID when there is none of that name. */
enum tensord_datatype datatype_of_text(const char *text);

/* ---- model.c: the object that serves, described ---- */

enum value_form {
    FORM_ARRAY,  /* a numpy array; of BYTES, one of bytes objects */
    FORM_BUFFER, /* a view */
    FORM_LIST,   /* of BYTES: a list of bytes, whatever the shape */
};

/* An input or output. */
struct python_tensor {
    PyObject *info;  /* TensorInfo */
    PyObject *name;  /* str */
    PyObject *dtype; /* numpy.dtype, of an input in FORM_ARRAY that is not BYTES */
    enum value_form form;
};

struct python_model {
    PyObject *object;  /* Model */
    PyObject *call;    /* its fast way in; NULL: there is none */
    PyObject *execute; /* the general one */
    PyObject *start;   /* of one that answers later; NULL: it does not */
    PyObject *cancel;  /* NULL: it cannot */
    PyObject *ndarray; /* numpy.ndarray; NULL when no input needs it */
    bool streams;
    bool takes_views; /* some input is handed as a view */
    struct tensord_tensor_info *inputs, *outputs;
    struct python_tensor *input_values, *output_values;
    size_t input_count, output_count;
};

/* Loads what the source names and describes it. NULL with an exception. */
struct python_model *model_load(const struct tensord_source *source,
                                struct tensord_description *ret_description);

/* Lets the object unload itself; an exception is written to the log. */
void model_unload(struct python_model *model);

/* ---- execution.c: one execution as Python sees it ---- */

/* An execution from its start to its final answer; guarded by the interpreter's lock. */
struct run {
    struct tensord_execution *tensord; /* NULL after the final answer */
    struct python_model *model;
    struct lease *lease; /* NULL: nothing of its memory may be kept */
    struct room *rooms;  /* memory for outputs that was handed out */
    PyObject *handle;    /* borrowed: its struct handle; NULL: none was asked for */
    unsigned busy;       /* threads that are in a call of the host's for it, without the lock */
    bool on_heap;
};

extern PyObject *execution_type;
bool execution_type_make(PyObject *module);

/* The Python object of a run, made when it is first asked for. A new reference; NULL with an
 * exception. */
PyObject *run_handle(struct run *run);

/* The run of this thread's execution; NULL when it has none. */
struct run *run_current(void);
void run_set_current(struct run *run);

/* Answers with what the model gave, a value, a tuple of them or a dict by names; None, where that
 * is nothing, without outputs. Takes the reference. False with an
 * exception, and then no final answer has been given. *ret_wanted: whether anybody wants more. */
bool run_answer(struct run *run, PyObject *result, bool final, bool *ret_wanted);

/* Makes the lease, if the host lets its memory be kept. */
void run_lease(struct run *run);

/* A writable view of room for an output of the run, or NULL without an exception when there is
 * none. */
PyObject *run_room(struct run *run, const struct tensord_tensor *tensor);

/* Whether the bytes lie in memory that is the execution's own until its final answer. */
bool run_owns(const struct run *run, const void *data, size_t size_bytes);

/* Bytes of outputs that were not where the front could read them, since the process began. */
extern uint64_t run_copied_bytes;

/* Answers that the current exception was raised, which is cleared. */
void run_fail(struct run *run);
/* The same for the run of a handle, if it has not ended. */
void run_fail_handle(PyObject *handle);

/* ---- call.c ---- */

/* A call to another model: (model, version, [(name, datatype, shape, buffer)]) to
 * [(name, datatype, shape, buffer or list of bytes)]. NULL with an exception. */
PyObject *run_call(struct run *run, PyObject *arguments);

/* ---- pump.c: what a model prints ---- */

/* From now on what is written to descriptors 1 and 2 becomes lines of the log, until pump_stop,
 * which waits a moment for what is still on its way. */
void pump_start(void);
void pump_stop(void);

/* ---- inputs.c, outputs.c ---- */

/* A tuple of the dimensions; a list of the elements of a BYTES tensor. NULL with an exception. */
PyObject *tensor_shape(const struct tensord_tensor *tensor);
PyObject *tensor_elements(const struct tensord_tensor *tensor);

/* The values of the inputs in the order of the description, None for those left out. */
PyObject *inputs_take(const struct run *run);

/* An output that is to be sent, and what keeps its bytes. */
struct output {
    uint32_t index;
    enum tensord_datatype datatype;
    uint32_t ndim;
    int64_t shape[TENSORD_MAX_DIMS];
    const void *data;
    size_t size_bytes;
    Py_buffer buffer; /* buffer.obj NULL: none */
    void *owned;      /* malloc'd, or NULL */
};

/* Takes the outputs out of what the model gave; those that nobody wants are left out. Room for
 * model->output_count of them. False with an exception; outputs_drop in any case. */
bool outputs_take(const struct run *run, PyObject *result, struct output *outputs,
                  size_t *ret_count);
void outputs_drop(struct output *outputs, size_t count);

/* ---- engine.c ---- */

/* The engine that runs Python; load decides some of its flags. */
extern struct tensord_engine python_engine;

#endif
