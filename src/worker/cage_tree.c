/* Processes beneath one; see cage_tree.h. */
#include "worker/cage_tree.h"

#include "base/span.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 80, ROUNDS = 1000, ROUND_NS = 1000000 };

static void add_children(struct cage_tree *tree, const char *process, const char *thread)
{
    char path[PATH_BYTES], word[21];
    uint64_t pid;
    snprintf(path, sizeof path, "/proc/%.20s/task/%.20s/children", process, thread);
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    while (tree->count < CAGE_TREE_MOST && fscanf(file, "%20s", word) == 1 &&
           span_to_u64(span_of(word), &pid))
        tree->pids[tree->count++] = (pid_t)pid;
    fclose(file);
}

/* Each thread has children of its own. */
static void add_children_of_all(struct cage_tree *tree, const char *process)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "/proc/%.20s/task", process);
    DIR *folder = opendir(path);
    if (!folder)
        return;
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            add_children(tree, process, entry->d_name);
    closedir(folder);
}

void cage_tree_look(struct cage_tree *tree)
{
    char process[16];
    tree->count = 0;
    add_children_of_all(tree, "self");
    for (size_t i = 0; i < tree->count; i++) {
        snprintf(process, sizeof process, "%d", (int)tree->pids[i]);
        add_children_of_all(tree, process);
    }
}

/* From the outermost on: what is orphaned by that becomes a child of this process, and is found in
 * the next round. */
void cage_tree_end(void)
{
    static struct cage_tree tree;
    for (int round = 0; round < ROUNDS; round++) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
        cage_tree_look(&tree);
        if (tree.count == 0)
            return;
        for (size_t i = 0; i < tree.count; i++)
            kill(tree.pids[i], SIGKILL);
        nanosleep(&(struct timespec){.tv_nsec = ROUND_NS}, NULL);
    }
}
