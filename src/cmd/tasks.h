/* What the front may have done in a process of its own: places in the spawner's table of tasks
 * (worker/spawner.h), which serve.c fills. */
#ifndef TENSORD_CMD_TASKS_H
#define TENSORD_CMD_TASKS_H

enum task {
    TASK_LOOK,    /* at the repository: repository/look.c */
    TASK_INSTALL, /* a model in it, or remove one: push/install.c */
    TASK_STAGE,   /* the files of a load, elsewhere: push/install.c */
    TASK_PLAN,    /* an environment: python/tensord/environments/plan.py */
    TASK_BUILD,   /* an environment, or tidy up: python/tensord/environments/build.py */
    TASK_REGION,  /* a client's shared memory is opened: regions/region_open.c */
    TASK_COUNT
};

#endif
