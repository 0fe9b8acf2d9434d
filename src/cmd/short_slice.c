/* See short_slice.h, sched_setattr(2), and "sched_runtime" for SCHED_NORMAL in Linux 6.12's
 * Documentation/scheduler/sched-eevdf.rst. */
#include "cmd/short_slice.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SLICE_NS = 100000 }; /* the least that the kernel takes */

void short_slice_ask(void)
{
    struct sched_attr attributes = {.size = sizeof attributes};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0 ||
        attributes.sched_policy != SCHED_NORMAL)
        return;
    attributes.sched_runtime = SLICE_NS;
    attributes.sched_flags |= SCHED_FLAG_RESET_ON_FORK;
    syscall(SYS_sched_setattr, 0, &attributes, 0);
}
