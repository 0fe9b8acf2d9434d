/* Unit tests of repository/model_server.h, and of the section that it reads. */
#include "repository/model_config.h"
#include "repository/model_server.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct model_config config;
    struct error error;
};

static int setup(void **state)
{
    static struct fixture fixture;
    arena_init(&fixture.arena, 4096, 1 << 20);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    arena_fini(&fixture->arena);
    return 0;
}

static bool read_config(struct fixture *fixture, const char *text)
{
    return model_config_read(MODEL_CONFIG_YAML, span_of(text), &fixture->arena, &fixture->config,
                             &fixture->error);
}

static void assert_words(const struct server_config *config, const char *const *words)
{
    size_t count = 0;
    for (; words[count]; count++) {
        assert_true(count < config->command_count);
        assert_string_equal(config->command[count].data, words[count]);
    }
    assert_int_equal(config->command_count, count);
}

static void a_command_alone_will_do(void **state)
{
    struct fixture *f = *state;
    assert_true(read_config(f, "server: vllm serve Qwen/Qwen3 --port {port}\n"));
    const struct server_config *server = &f->config.server;
    assert_words(server,
                 (const char *const[]){"vllm", "serve", "Qwen/Qwen3", "--port", "{port}", NULL});
    assert_int_equal(server->connections, 100);
    assert_int_equal(server->start_timeout_s, 600);
    assert_int_equal(server->answer_timeout_s, 600);
    assert_int_equal(server->idle_after_s, 0);
    assert_int_equal(server->health.size, 0);
    assert_false(server->network);
}

static void all_that_can_be_said(void **state)
{
    struct fixture *f = *state;
    assert_true(read_config(f, "server:\n"
                               "  command: uvicorn app:app --uds {socket}\n"
                               "  health: /healthz?full=1\n"
                               "  environment: {HF_HOME: /cache, DEBUG: ''}\n"
                               "  connections: 7\n"
                               "  start_timeout_s: 8\n"
                               "  idle_after_s: 9\n"
                               "  answer_timeout_s: 10\n"
                               "  network: true\n"
                               "  keep_home: true\n"));
    const struct server_config *server = &f->config.server;
    assert_true(span_equal(server->health, SPAN("/healthz?full=1")));
    assert_int_equal(server->environment_count, 2);
    assert_true(span_equal(server->environment[0].key, SPAN("HF_HOME")));
    assert_true(span_equal(server->environment[0].value, SPAN("/cache")));
    assert_int_equal(server->environment[1].value.size, 0);
    assert_int_equal(server->connections, 7);
    assert_int_equal(server->start_timeout_s, 8);
    assert_int_equal(server->idle_after_s, 9);
    assert_int_equal(server->answer_timeout_s, 10);
    assert_true(server->network && server->keep_home);
}

static void words_are_split_as_by_a_shell(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *command;
        const char *words[6];
    } cases[] = {
        {"  a\t b\nc ", {"a", "b", "c"}},
        {"a 'b c' \"d e\"", {"a", "b c", "d e"}},
        {"a'b'\"c\"d", {"abcd"}},
        {"a '' \"\"", {"a", "", ""}},
        {"a\\ b \\\"c \\\\", {"a b", "\"c", "\\"}},
        {"\"a\\\"b\\\\c\\d\" 'e\\f'", {"a\"b\\c\\d", "e\\f"}},
        {"sh -c 'exec x --port $PORT'", {"sh", "-c", "exec x --port $PORT"}},
        {"--json '{\"a\": 1}'", {"--json", "{\"a\": 1}"}},
        {"", {NULL}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct server_config config = {.command_count = 0};
        assert_true(model_server_split(span_of(cases[i].command), &f->arena, &config.command,
                                       &config.command_count, &f->error));
        assert_words(&config, cases[i].words);
    }
}

static void what_cannot_be_is_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"server: {health: /x}\n", "'server.command' is missing"},
        {"server: '  '\n", "'server.command' is missing"},
        {"server: \"'' {port}\"\n", "'server.command' is missing"},
        {"server: serve\n", "does not say where the program is to listen"},
        {"server: a {port} {socket}\n", "one of them"},
        {"server: \"a 'b {port}\"\n", "a quote in 'server.command' is not closed"},
        {"server: {command: 'a {port}', health: x}\n", "'server.health' must be a path"},
        {"server: {command: 'a {port}', health: '/a b'}\n", "'server.health' must be a path"},
        {"server: {command: 'a {port}', port: 65536}\n", "'server.port' must be at most 65535"},
        {"server: {command: 'a {port}', connections: 5000}\n", "must be at most 4096"},
        {"server: {command: 'a {port}', idle_after_s: 604801}\n", "must be at most 604800"},
        {"server: {command: 'a {port}', environment: {1X: a}}\n", "'1X' is no variable"},
        {"server: {command: 'a {port}', environment: {'': a}}\n", "'' is no variable"},
        {"server: {comand: 'a {port}'}\n", "unknown key 'comand'"},
        {"backend: onnx\nserver: a {port}\n", "'server' excludes 'backend'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(read_config(f, cases[i].text));
        if (!strstr(f->error.message, cases[i].sentence))
            fail_msg("%s: %s", cases[i].text, f->error.message);
    }
}

static void a_port_may_be_fixed(void **state)
{
    struct fixture *f = *state;
    assert_true(read_config(f, "server: {command: serve run app, port: 8000}\n"));
    assert_int_equal(f->config.server.port, 8000);
}

static void placeholders_are_replaced(void **state)
{
    struct fixture *f = *state;
    const struct span port = SPAN("80"), none = {NULL, 0}, model = SPAN("m");
    assert_string_equal(server_config_word(&f->arena, SPAN("--port={port}"), port, none, model),
                        "--port=80");
    assert_string_equal(
        server_config_word(&f->arena, SPAN("{model}{socket}{x}{port"), port, none, model),
        "m{socket}{x}{port");
    assert_string_equal(server_config_word(&f->arena, SPAN(""), port, none, model), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_command_alone_will_do, setup, teardown),
        cmocka_unit_test_setup_teardown(all_that_can_be_said, setup, teardown),
        cmocka_unit_test_setup_teardown(words_are_split_as_by_a_shell, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_port_may_be_fixed, setup, teardown),
        cmocka_unit_test_setup_teardown(placeholders_are_replaced, setup, teardown),
    };
    return cmocka_run_group_tests_name("model_server", tests, NULL, NULL);
}
