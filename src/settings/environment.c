/* Settings from the environment, and variables that look like settings but are none.
 *
 * Kubernetes sets variables for each Service of a pod's namespace: one named "tensord" makes
 * TENSORD_PORT=tcp://10.0.0.1:8000, TENSORD_SERVICE_HOST and more. They are not meant for us. */
#include "settings/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "TENSORD_"

static bool is_service_address(const char *value)
{
    return strncmp(value, "tcp://", 6) == 0 || strncmp(value, "udp://", 6) == 0 ||
           strncmp(value, "sctp://", 7) == 0;
}

static bool is_service_variable(const char *name, const char *value)
{
    const char *port = strstr(name, "_PORT_");
    return is_service_address(value) || strstr(name, "_SERVICE_HOST") ||
           strstr(name, "_SERVICE_PORT") || (port && port[6] >= '0' && port[6] <= '9');
}

bool setting_read_environment(struct settings *settings, struct error *ret_error)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *row = &setting_rows[i];
        char name[SETTING_NAME_BYTES];
        const char *value =
            row->type == SETTING_SECTION ? NULL : getenv(setting_variable(row, name));
        if (!value || !*value || (row->type == SETTING_NUMBER && is_service_address(value)))
            continue;
        if (!setting_store(settings, row, span_of(value), SETTING_ENVIRONMENT, name, ret_error))
            return false;
    }
    return true;
}

/* The name in the table that a variable's name would have, "grpc_port" for "TENSORD_GRPC_PORT"; of
 * the variable, what follows the prefix, up to "=". */
static struct span table_name(const char *variable, char name[SETTING_NAME_BYTES])
{
    size_t size = 0;
    for (; variable[size] && variable[size] != '=' && size < SETTING_NAME_BYTES; size++) {
        char c = variable[size];
        name[size] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    return (struct span){name, size};
}

static bool is_exact(const struct setting *row, struct span variable)
{
    char name[SETTING_NAME_BYTES];
    return row && span_equal(variable, span_of(setting_variable(row, name)));
}

/* Variables of clients, and those from one role to another, which are no settings. */
static bool is_other(struct span variable)
{
    return span_starts_with(variable, SPAN(PREFIX "_")) ||
           span_equal(variable, SPAN(PREFIX "TOKEN")) || span_equal(variable, SPAN(PREFIX "URL")) ||
           span_equal(variable, SPAN(PREFIX "CA"));
}

void settings_check_environment(void (*warn)(void *context, const char *sentence), void *context)
{
    for (char **entry = environ; entry && *entry; entry++) {
        char name[SETTING_NAME_BYTES], text[SETTING_NAME_BYTES], sentence[300];
        struct span value = span_of(*entry), variable = span_split(&value, '=');
        if (!span_starts_with(variable, SPAN(PREFIX)) || !value.data || is_other(variable))
            continue;
        struct span wanted = table_name(*entry + strlen(PREFIX), name);
        const struct setting *row = setting_find(wanted);
        if (is_exact(row, variable) || is_service_variable(*entry, value.data))
            continue;
        row = row ? row : setting_nearest(wanted);
        snprintf(sentence, sizeof sentence, "no setting is called %.*s%s%s%s",
                 (int)(variable.size > 100 ? 100 : variable.size), variable.data,
                 row ? "; did you mean " : "", row ? setting_variable(row, text) : "",
                 row ? "?" : "");
        warn(context, sentence);
    }
}
