/* The table of settings: one row says a setting's name, type, default, bounds, unit and the
 * sentence for --help. A setting is given as a flag (--port 8000, --port=8000) or in the
 * environment (TENSORD_PORT); flags win. */
#ifndef TENSORD_SETTINGS_SETTINGS_H
#define TENSORD_SETTINGS_SETTINGS_H

#include "base/error.h"

#include <stdio.h>

/* TEXT(name, default, what it is, help)
 * CHOICE(name, default, "a|b|c", help)
 * NUMBER(name, default, lowest, highest, unit, help)
 * SWITCH(name, help): off unless given. */
#define SETTINGS(TEXT, CHOICE, NUMBER, SWITCH)                                                     \
    TEXT(host, "127.0.0.1", "ADDRESS",                                                             \
         "Where to listen; beyond loopback anybody who reaches it may use it")                     \
    NUMBER(port, 8000, 0, 65535, "",                                                               \
           "Port for everything: HTTP/1.1, HTTP/2 and gRPC; 0 takes a free one")                   \
    NUMBER(                                                                                        \
        grpc_port, 8001, 0, 65535, "",                                                             \
        "A second port, where Triton's gRPC clients look; 0 closes it; skipped when it is taken")  \
    NUMBER(metrics_port, 8002, 0, 65535, "",                                                       \
           "A third port, where Triton's metrics are looked for; 0 closes it; skipped when it is " \
           "taken")                                                                                \
    TEXT(listen, "", "ADDRESS",                                                                    \
         "Listen here instead of --host and --port: HOST:PORT or unix:PATH")                       \
    TEXT(server_id, "tensord", "NAME", "The server's name in its metadata")                        \
    CHOICE(                                                                                        \
        load, "all", "all|explicit|lazy",                                                          \
        "Load every model at once, only when told to by the API, or when the first request comes") \
    NUMBER(rescan_ms, 15000, 100, 86400000, "ms", "Look for changed models at least this often")   \
    TEXT(onnxruntime, "", "PATH",                                                                  \
         "ONNX Runtime's library, its package folder, or a Python environment")                    \
    TEXT(engine_dir, "", "PATH",                                                                   \
         "Folder of engine plug-ins; by default the one beside the program")                       \
    CHOICE(sandbox, "auto", "off|auto|strict",                                                     \
           "Sandbox of front and workers; strict: all layers or none")                             \
    NUMBER(threads, 0, 0, 1024, "", "Threads of one execution; 0: what suits the machine")         \
    NUMBER(max_connections, 20000, 1, 1000000, "", "Open connections; more wait")                  \
    NUMBER(max_json_mib, 64, 1, 2047, "MiB", "Longest JSON body")                                  \
    NUMBER(max_body_mib, 0, 0, 1048576, "MiB",                                                     \
           "Longest body with binary tensors; 0: what memory allows")                              \
    NUMBER(memory_limit_mib, 0, 0, 1048576, "MiB",                                                 \
           "Tensors of one model version that are in use at once; 0: a quarter of the machine")    \
    NUMBER(queue_limit, 4096, 1, 1000000, "", "Requests that wait for one model")                  \
    NUMBER(header_timeout_ms, 10000, 100, 3600000, "ms", "Time for a started request head")        \
    NUMBER(body_timeout_ms, 10000, 100, 3600000, "ms",                                             \
           "Time in which a started body must bring 1 KiB/s")                                      \
    NUMBER(unsent_timeout_ms, 30000, 100, 3600000, "ms",                                           \
           "Time for which a client may leave output unread")                                      \
    NUMBER(idle_timeout_ms, 3600000, 1000, 86400000, "ms",                                         \
           "Time for which a connection may be idle")                                              \
    TEXT(example, "", "FILE", "Write an example request for the first model here, as JSON")        \
    CHOICE(log_level, "info", "debug|info|warning|error", "Least important lines that are logged") \
    CHOICE(log_format, "auto", "auto|text|json", "auto: text on a terminal, JSON lines otherwise")

struct settings {
#define SETTING_TEXT(name, ...) const char *name;
#define SETTING_NUMBER(name, ...) int64_t name;
#define SETTING_SWITCH(name, ...) bool name;
    SETTINGS(SETTING_TEXT, SETTING_TEXT, SETTING_NUMBER, SETTING_SWITCH)
#undef SETTING_TEXT
#undef SETTING_NUMBER
#undef SETTING_SWITCH
};

/* Defaults, then the environment, then the flags in arguments. The one argument that is no flag (a
 * path) goes to *ret_operand, NULL when there is none. Texts point into arguments and the
 * environment. False with a sentence that names the flag, suggests the nearest one, and says what
 * is allowed. */
bool settings_read(struct settings *ret_settings, int count, char *const *arguments,
                   const char **ret_operand, struct error *ret_error);

/* Writes the table as help text. */
void settings_help(FILE *to);

#endif
