/* The interpreter's lock; see python.h. Making a thread known to Python and forgetting it again
 * would cost more than the lock itself, so that a thread of the host's stays known. */
#include "python.h"

static _Thread_local PyThreadState *thread;

void gil_adopt_main(void)
{
    thread = PyThreadState_Get();
}

void gil_take(void)
{
    if (thread) {
        PyEval_RestoreThread(thread);
        return;
    }
    PyGILState_Ensure();
    thread = PyThreadState_Get();
}

void gil_give(void)
{
    thread = PyEval_SaveThread();
}
