/* Unit tests of worker/spawn_message.h: there and back, and everything else refused. */
#include "worker/spawn_message.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct spawn_message examples[] = {
    {.type = SPAWN_START, .id = 1, .text = {"/srv/models", 11}},
    {.type = SPAWN_START, .id = 2, .text = {"/srv", 4}, .interpreter = {"/usr/bin/python3", 16}},
    {.type = SPAWN_START,
     .id = 3,
     .text = {"/srv", 4},
     .model = {"/srv/a.onnx", 11},
     .limits = {2048, 64, 100, 250, 1U << 31 | 1, 32, {{UINT64_C(1) << 63, [15] = 5}}}},
    {.type = SPAWN_KILL, .id = UINT64_MAX},
    {.type = SPAWN_STARTED, .id = 7, .number = 4711},
    {.type = SPAWN_NOT_STARTED, .id = 258, .text = {"no memory", 9}},
    {.type = SPAWN_ENDED, .id = 9, .number = -1},
    {.type = SPAWN_ENDED, .id = 9, .number = 9, .text = {"used 9 MiB", 10}},
    {.type = SPAWN_READY},
    {.type = SPAWN_SETTLED},
    {.type = SPAWN_ALIVE},
    {.type = SPAWN_RETIRE},
    {.type = SPAWN_TASK, .id = 10, .number = 1, .text = {"/srv/models", 11}},
    {.type = SPAWN_EXPORT, .id = 3},
    {.type = SPAWN_SERVER, .id = 4, .text = {"/srv", 4}, .network = true},
    {.type = SPAWN_SERVER, .id = 5, .text = {"/srv", 4}, .interpreter = {"/usr/bin/python3", 16}},
};
enum { EXAMPLES = sizeof examples / sizeof *examples };

static void comes_back_as_it_was(void **state)
{
    for (size_t i = 0; i < EXAMPLES; i++) {
        char packet[SPAWN_MESSAGE_MAX_BYTES];
        struct spawn_message back;
        size_t size = spawn_message_write(&examples[i], packet);
        assert_true(spawn_message_read((struct span){packet, size}, &back));
        assert_int_equal(back.type, examples[i].type);
        assert_int_equal(back.id, examples[i].id);
        assert_int_equal(back.number, examples[i].number);
        assert_true(span_equal(back.text, examples[i].text));
        assert_true(span_equal(back.interpreter, examples[i].interpreter));
        assert_int_equal(back.network, examples[i].network);
        assert_true(span_equal(back.model, examples[i].model));
        assert_memory_equal(&back.limits, &examples[i].limits, sizeof back.limits);
    }
}

static void refuses_a_cut_or_longer_packet(void **state)
{
    for (size_t i = 0; i < EXAMPLES; i++) {
        char packet[SPAWN_MESSAGE_MAX_BYTES + 1] = {0};
        struct spawn_message back = {.id = 12345};
        size_t size = spawn_message_write(&examples[i], packet);
        for (size_t cut = 0; cut <= size + 1; cut++) {
            if (cut == size)
                continue;
            char *exact = malloc(cut ? cut : 1); /* so that a sanitizer sees reads beyond */
            memcpy(exact, packet, cut);
            assert_false(spawn_message_read((struct span){exact, cut}, &back));
            free(exact);
        }
        assert_int_equal(back.id, 12345);
    }
}

static bool reads(const struct spawn_message *message)
{
    char packet[SPAWN_MESSAGE_MAX_BYTES];
    struct spawn_message back;
    size_t size = spawn_message_write(message, packet);
    return spawn_message_read((struct span){packet, size}, &back);
}

static void refuses_what_a_type_does_not_have(void **state)
{
    static char longest[SPAWN_TEXT_MAX_BYTES];
    memset(longest, 'x', sizeof longest);
    assert_true(reads(
        &(struct spawn_message){.type = SPAWN_START, .id = 1, .text = {longest, sizeof longest}}));
    assert_false(reads(&(struct spawn_message){.type = SPAWN_START, .id = 0, .text = SPAN("/m")}));
    assert_false(reads(&(struct spawn_message){.type = SPAWN_START, .id = 1, .text = SPAN("")}));
    assert_false(
        reads(&(struct spawn_message){.type = SPAWN_START, .id = 1, .text = SPAN("/m\0/etc")}));
    assert_true(reads(&(struct spawn_message){.type = SPAWN_START,
                                              .id = 1,
                                              .text = SPAN("/m"),
                                              .interpreter = {longest, sizeof longest}}));
    assert_false(reads(&(struct spawn_message){
        .type = SPAWN_START, .id = 1, .text = SPAN("/m"), .model = SPAN("/m\0/n")}));
    assert_false(reads(&(struct spawn_message){
        .type = SPAWN_START, .id = 1, .text = SPAN("/m"), .interpreter = SPAN("/p\0q")}));
    assert_false(reads(&(struct spawn_message){
        .type = SPAWN_START, .id = 1, .text = SPAN("/m"), .network = true}));
    assert_false(reads(&(struct spawn_message){.type = SPAWN_SERVER, .id = 1, .text = SPAN("")}));
    assert_false(reads(&(struct spawn_message){.type = SPAWN_KILL, .id = 1, .text = SPAN("/m")}));
    assert_false(
        reads(&(struct spawn_message){.type = SPAWN_KILL, .id = 1, .number = 3, .text = SPAN("")}));
    assert_false(reads(&(struct spawn_message){.type = SPAWN_EXPORT, .id = 0, .text = SPAN("")}));
    assert_false(reads(&(struct spawn_message){.type = SPAWN_EXPORT, .id = 1, .text = SPAN("/m")}));
    assert_false(reads(&(struct spawn_message){.type = 0, .id = 1, .text = SPAN("")}));
    assert_false(reads(&(struct spawn_message){.type = SPAWN_TYPE_END, .id = 1, .text = SPAN("")}));
}

static int status_of_child(int signal, int code)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        if (signal)
            kill(getpid(), signal);
        _exit(code);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void says_how_a_process_ended(void **state)
{
    char text[64];
    assert_string_equal(spawn_status_text(status_of_child(0, 3), text, sizeof text),
                        "exited with status 3");
    assert_string_equal(spawn_status_text(status_of_child(SIGKILL, 0), text, sizeof text),
                        "killed by signal 9 (Killed)");
    assert_string_equal(spawn_status_text(SIGSEGV, text, sizeof text),
                        "killed by signal 11 (Segmentation fault)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(refuses_a_cut_or_longer_packet),
        cmocka_unit_test(refuses_what_a_type_does_not_have),
        cmocka_unit_test(says_how_a_process_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
