/* Unit tests of repository/model_server.h, and of the section that it reads. */
#include "repository/model_server.h"

#include "repository/config_fixture.h"

static void assert_words(const struct server_config *server, const char *const *words)
{
    size_t count = 0;
    for (; words[count]; count++) {
        assert_true(count < server->command_count);
        assert_string_equal(server->command[count].data, words[count]);
    }
    assert_int_equal(server->command_count, count);
}

static void a_command_alone_will_do(void **state)
{
    accepts_yaml("server: vllm serve Qwen/Qwen3 --port {port}\n");
    const struct server_config *server = &config.server;
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
    accepts_yaml("server:\n"
                 "  command: uvicorn app:app --uds {socket}\n"
                 "  health: /healthz?full=1\n"
                 "  environment: {HF_HOME: /cache, DEBUG: ''}\n"
                 "  connections: 7\n"
                 "  start_timeout_s: 8\n"
                 "  idle_after_s: 9\n"
                 "  answer_timeout_s: 10\n"
                 "  network: true\n"
                 "  keep_home: true\n");
    const struct server_config *server = &config.server;
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
        struct server_config server = {.command_count = 0};
        assert_true(model_server_split(span_of(cases[i].command), &arena, &server.command,
                                       &server.command_count, &error));
        assert_words(&server, cases[i].words);
    }
}

static void what_cannot_be_is_refused(void **state)
{
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
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuses_yaml(cases[i].text, cases[i].sentence);
}

static void a_port_may_be_fixed(void **state)
{
    accepts_yaml("server: {command: serve run app, port: 8000}\n");
    assert_int_equal(config.server.port, 8000);
}

static void placeholders_are_replaced(void **state)
{
    const struct span port = SPAN("80"), none = {NULL, 0}, model = SPAN("m");
    assert_string_equal(server_config_word(&arena, SPAN("--port={port}"), port, none, model),
                        "--port=80");
    assert_string_equal(
        server_config_word(&arena, SPAN("{model}{socket}{x}{port"), port, none, model),
        "m{socket}{x}{port");
    assert_string_equal(server_config_word(&arena, SPAN(""), port, none, model), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(a_command_alone_will_do),       ARENA_TEST(all_that_can_be_said),
        ARENA_TEST(words_are_split_as_by_a_shell), ARENA_TEST(what_cannot_be_is_refused),
        ARENA_TEST(a_port_may_be_fixed),           ARENA_TEST(placeholders_are_replaced),
    };
    return cmocka_run_group_tests_name("model_server", tests, NULL, NULL);
}
