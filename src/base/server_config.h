/* What a model's config says of a managed server: a program that speaks HTTP, which is started,
 * watched and stopped for its model. Crosses between processes as bytes, like the rest of a config
 * (base/pack.h). Pure. */
#ifndef TENSORD_BASE_SERVER_CONFIG_H
#define TENSORD_BASE_SERVER_CONFIG_H

#include "base/pack.h"

enum {
    SERVER_MAX_WORDS = 256,     /* of a command */
    SERVER_MAX_VARIABLES = 256, /* of its environment */
    SERVER_MAX_CONNECTIONS = 4096,
    SERVER_MAX_SECONDS = 7 * 24 * 3600,
};

struct server_config {
    struct span *command; /* its words, in which {port}, {socket} and {model} stand for where it is
                             to listen and what it is called */
    size_t command_count; /* 0: there is no server */
    struct parameter *environment; /* variables */
    size_t environment_count;
    struct span health;        /* the path that answers 2xx once it serves; empty: it serves as soon
                                  as it accepts connections */
    uint32_t port;             /* that it always listens on; 0: it is told one */
    uint32_t connections;      /* at once, and so requests, which others wait for */
    uint64_t start_timeout_s;  /* until it serves */
    uint64_t idle_after_s;     /* after the last request it is stopped; 0: never */
    uint64_t answer_timeout_s; /* without a byte of an answer */
    bool network;              /* it may reach other machines */
    bool keep_home;            /* its HOME stays when it ends */
};

/* Appends; a failure shows in buf_ok. */
void server_config_write(const struct server_config *config, struct buf *buf);

/* Reads what server_config_write wrote; a failure shows in unpack_end. */
void server_config_read(struct unpack *unpack, struct server_config *config);

/* A deep copy in the arena. False when there is no memory. */
bool server_config_copy(struct arena *arena, const struct server_config *from,
                        struct server_config *ret_copy);

/* The word with {port}, {socket} and {model} replaced, in the arena, terminated; NULL when there is
 * no memory. What stands for nothing here is left as it is. */
char *server_config_word(struct arena *arena, struct span word, struct span port,
                         struct span socket, struct span model);

/* Whether a word of the command has this placeholder, "{port}". */
bool server_config_mentions(const struct server_config *config, struct span placeholder);

#endif
