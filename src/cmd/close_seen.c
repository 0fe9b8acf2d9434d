/* Only in builds with ThreadSanitizer, which must see every close: libuv, which is built without,
 * closes by a system call that it does not see, and the next descriptor of that number would be
 * taken for the same one, shared between threads. */
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ARGUMENTS = 6 };

__attribute__((visibility("default"), no_sanitize("thread"))) long syscall(long number, ...)
{
    static long (*next)(long number, ...);
    long a[ARGUMENTS];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < ARGUMENTS; i++)
        a[i] = va_arg(arguments, long); /* those that were not given are not looked at */
    va_end(arguments);
    if (number == SYS_close)
        return close((int)a[0]);
    if (!next)
        next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
