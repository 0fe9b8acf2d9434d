/* Tensors as buffers; see python.h. numpy makes its arrays over them and keeps them alive. */
#include "python.h"

#include <stdlib.h>
#include <string.h>

struct view {
    PyObject_HEAD void *data;
    void *owned;         /* freed with the view */
    struct lease *lease; /* or NULL */
    Py_ssize_t size_bytes, item_bytes;
    int ndim;
    bool writable;
    char format[2];
    Py_ssize_t shape[TENSORD_MAX_DIMS], strides[TENSORD_MAX_DIMS];
};

PyObject *view_type;

static int get_buffer(PyObject *self, Py_buffer *buffer, int flags)
{
    struct view *view = (struct view *)self;
    if ((flags & PyBUF_WRITABLE) && !view->writable) {
        buffer->obj = NULL;
        PyErr_SetString(PyExc_BufferError, "the inputs of a request are read-only");
        return -1;
    }
    *buffer = (Py_buffer){
        .buf = view->data,
        .obj = self,
        .len = view->size_bytes,
        .itemsize = view->item_bytes,
        .readonly = !view->writable,
        .ndim = flags & PyBUF_ND ? view->ndim : 1,
        .format = flags & PyBUF_FORMAT ? view->format : NULL,
        .shape = flags & PyBUF_ND ? view->shape : NULL,
        .strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? view->strides : NULL,
    };
    Py_INCREF(self);
    return 0;
}

/* The last view of an execution that has ended gives its memory back. */
static void leave(struct lease *lease)
{
    lease->views--;
    if (lease->views > 0 || !lease->ended)
        return;
    if (python_host) /* else all ends */
        python_host->release(lease->kept);
    free(lease);
}

bool lease_end(struct lease *lease)
{
    if (!lease)
        return false;
    lease->ended = true;
    if (lease->views > 0)
        return true;
    free(lease);
    return false;
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    struct view *view = (struct view *)self;
    free(view->owned);
    if (view->lease)
        leave(view->lease);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyType_Slot slots[] = {
    {Py_bf_getbuffer, get_buffer},
    {Py_tp_dealloc, dealloc},
    {Py_tp_doc, "The bytes of a tensor, by the buffer protocol."},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "tensord.Buffer",
    .basicsize = sizeof(struct view),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

bool view_type_make(PyObject *module)
{
    view_type = PyType_FromSpec(&spec);
    return view_type && PyModule_AddObjectRef(module, "Buffer", view_type) == 0;
}

/* The elements of BYTES have no shape in memory: they are seen as plain bytes. */
static void take_shape(struct view *view, const struct tensord_tensor *tensor)
{
    Py_ssize_t count = 1;
    bool plain = tensor->datatype == TENSORD_BYTES;
    view->ndim = plain ? 1 : (int)tensor->ndim;
    for (int i = 0; i < view->ndim; i++) {
        view->shape[i] = plain ? view->size_bytes : (Py_ssize_t)tensor->shape[i];
        count *= view->shape[i];
    }
    view->item_bytes = count > 0 ? view->size_bytes / count : 1;
    Py_ssize_t stride = view->item_bytes;
    for (int i = view->ndim - 1; i >= 0; i--) {
        view->strides[i] = stride;
        stride *= view->shape[i];
    }
}

static void *copy_of(const struct tensord_tensor *tensor)
{
    void *copy = malloc(tensor->size_bytes ? tensor->size_bytes : 1);
    if (!copy)
        PyErr_NoMemory();
    else if (tensor->size_bytes)
        memcpy(copy, tensor->data, tensor->size_bytes);
    return copy;
}

PyObject *view_new(const struct tensord_tensor *tensor, struct lease *lease, void *owned,
                   bool writable)
{
    if (!lease && !owned && !(owned = copy_of(tensor)))
        return NULL;
    struct view *view = PyObject_New(struct view, (PyTypeObject *)view_type);
    if (!view) {
        free(owned);
        return NULL;
    }
    view->data = owned ? owned : tensor->data;
    view->owned = owned;
    view->lease = owned ? NULL : lease;
    if (view->lease)
        lease->views++;
    view->size_bytes = (Py_ssize_t)tensor->size_bytes;
    view->writable = writable;
    view->format[0] = view_format(tensor->datatype);
    view->format[1] = '\0';
    take_shape(view, tensor);
    return (PyObject *)view;
}
