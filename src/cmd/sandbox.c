/* `tensord sandbox`: says which layers the sandbox has on this machine, for this user, and what is
 * missing. Found out by trying, as `tensord serve` does at its start. */
#include "cmd/commands.h"
#include "worker/cage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int sandbox_run(int count, char **arguments)
{
    char text[200], lack[320];
    struct error error;
    if (count > 0)
        return command_complain("sandbox", "it takes no arguments");
    signal(SIGCHLD, SIG_DFL);
    unsigned own = cage_find_namespaces(lack, sizeof lack);
    printf("front:    %s\n", sandbox_describe(SANDBOX_AUTO, 0, text, sizeof text));
    printf("workers:  %s\n", sandbox_describe(SANDBOX_AUTO, own, text, sizeof text));
    bool whole = !lack[0] && sandbox_check(SANDBOX_STRICT, &error);
    if (lack[0])
        printf("missing:  %s\n", lack);
    else if (!whole)
        printf("missing:  %s\n", error.message);
    return whole ? EXIT_SUCCESS : EXIT_FAILURE;
}
