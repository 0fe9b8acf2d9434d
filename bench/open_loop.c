/* An open loop over HTTP/1.1: requests are sent when they are due, whether or not others have been
 * answered, at times that are drawn before the first is sent (as a Poisson process, from a fixed
 * seed). Latency counts from when a request was due. Closed loops send less when the server is slow
 * and so hide what happens under overload.
 * open_loop PORT REQUEST RATE SECONDS DEADLINE_MS CONNECTIONS
 * REQUEST is a file of a whole request, with its head. Prints one line:
 * due, answered (200), of those in time, refused (503), let in but not executed (503, and says so),
 * other answers, never sent for want of a connection, then ms: the median and the 99th percentile
 * of answers, the median, the 99th percentile and the largest of refusals, and by how much the
 * generator itself was late at most. */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 4096, HEAD_BYTES = 8192, DRAIN_S = 10, EVENTS = 64 };

struct conn {
    int fd;
    double due;  /* of its request */
    bool busy;   /* it has one */
    size_t sent; /* bytes of it; all when there is none */
    char head[HEAD_BYTES];
    size_t head_bytes;
    int status;         /* 0: the head is not complete */
    bool expired;       /* the body says so */
    uint64_t body_left; /* of the answer */
};

struct latencies {
    float *ms;
    size_t count;
};

static struct conn conns[MAX_CONNECTIONS];
static struct conn *idle[MAX_CONNECTIONS];
static size_t idle_count, busy_count;
static int poll_fd;
static uint16_t port;
static char *request;
static size_t request_bytes;
static struct latencies answers, refusals;
static size_t expired, others, unsent, in_time;
static double deadline_ms;

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void read_request(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        die(path);
    fseek(file, 0, SEEK_END);
    request_bytes = (size_t)ftell(file);
    rewind(file);
    request = malloc(request_bytes);
    if (!request || fread(request, 1, request_bytes, file) != request_bytes)
        die(path);
    fclose(file);
}

static int connected_socket(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return fd;
}

static void connect_conn(struct conn *conn)
{
    conn->fd = connected_socket();
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = conn};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, conn->fd, &event) != 0)
        die("epoll_ctl");
    conn->sent = request_bytes;
}

/* ---- one request ---- */

static void add(struct latencies *to, double ms)
{
    to->ms[to->count++] = (float)ms;
}

static void become_idle(struct conn *conn)
{
    conn->busy = false;
    busy_count--;
    idle[idle_count++] = conn;
}

static void answered(struct conn *conn)
{
    double ms = (now_s() - conn->due) * 1e3;
    if (conn->status == 200) {
        add(&answers, ms);
        in_time += ms <= deadline_ms;
    } else if (conn->status == 503 && conn->expired) {
        expired++;
    } else if (conn->status == 503) {
        add(&refusals, ms);
    } else {
        others++;
    }
    become_idle(conn);
}

/* The rest of its request, as much as goes; false: the connection is broken. */
static bool send_more(struct conn *conn)
{
    while (conn->sent < request_bytes) {
        ssize_t count = send(conn->fd, request + conn->sent, request_bytes - conn->sent,
                             MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0)
            return errno == EAGAIN;
        conn->sent += (size_t)count;
    }
    return true;
}

/* The server has closed it: one that was not used for a while, perhaps as a request was on its way,
 * which is then sent again; or in the middle of an answer. */
static void reopen(struct conn *conn)
{
    close(conn->fd);
    connect_conn(conn);
    if (conn->busy && conn->head_bytes == 0) {
        conn->sent = 0;
        if (send_more(conn))
            return;
    }
    if (conn->busy) {
        others++;
        become_idle(conn);
    }
}

static void begin(double due)
{
    if (idle_count == 0) {
        unsent++;
        return;
    }
    struct conn *conn = idle[--idle_count];
    conn->due = due;
    conn->sent = conn->head_bytes = 0;
    conn->status = 0;
    conn->busy = true;
    busy_count++;
    if (!send_more(conn))
        reopen(conn);
}

static uint64_t length_of(const char *head)
{
    const char *field = strcasestr(head, "\r\ncontent-length:");
    return field ? strtoull(field + 17, NULL, 10) : 0;
}

/* The head is complete once its blank line has come; what is behind that is body. That of a refusal
 * is sent with its head. */
static void take_head(struct conn *conn)
{
    conn->head[conn->head_bytes] = '\0';
    const char *end = strstr(conn->head, "\r\n\r\n");
    if (!end)
        return;
    conn->status = (int)strtol(conn->head + 9, NULL, 10);
    conn->expired = strstr(end, "Request timeout expired") != NULL ||
                    strstr(end, "has waited, and would") != NULL;
    conn->body_left = length_of(conn->head) - (conn->head_bytes - (size_t)(end + 4 - conn->head));
}

static void receive(struct conn *conn)
{
    static char body[1 << 16];
    for (;;) {
        bool in_head = conn->status == 0;
        char *to = in_head ? conn->head + conn->head_bytes : body;
        size_t room = in_head ? HEAD_BYTES - 1 - conn->head_bytes : sizeof body;
        ssize_t count = recv(conn->fd, to, room, MSG_DONTWAIT);
        if (count < 0 && errno == EAGAIN)
            return;
        if (count <= 0) {
            reopen(conn);
            return;
        }
        if (in_head) {
            conn->head_bytes += (size_t)count;
            take_head(conn);
        } else {
            conn->body_left -= (uint64_t)count;
        }
        if (conn->status && conn->body_left == 0) {
            answered(conn);
            return;
        }
    }
}

/* Connections are accepted in the order of their coming: all have been once one that is opened now
 * gets an answer, whatever it is. What is measured is more requests than can be served, not a
 * thousand connections at once. */
static void await_accepted(void)
{
    static const char ask[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    char byte;
    int fd = connected_socket();
    if (send(fd, ask, sizeof ask - 1, MSG_NOSIGNAL) < 0 || recv(fd, &byte, 1, 0) != 1)
        die("await_accepted");
    close(fd);
}

/* ---- all of them ---- */

/* Until the time, or while requests are under way. */
static void wait_until(double until)
{
    struct epoll_event events[EVENTS];
    double left = until - now_s();
    struct timespec timeout = {0};
    if (left > 0)
        timeout = (struct timespec){(time_t)left, (long)((left - (double)(time_t)left) * 1e9)};
    int count = epoll_pwait2(poll_fd, events, EVENTS, &timeout, NULL);
    for (int i = 0; i < count; i++) {
        struct conn *conn = events[i].data.ptr;
        if (events[i].events & EPOLLOUT && !send_more(conn))
            reopen(conn);
        else if (events[i].events & EPOLLIN && conn->sent == request_bytes)
            receive(conn);
    }
}

/* Times at which requests are due, seconds from the start. */
static double *draw_times(double rate, double seconds, size_t *ret_count)
{
    size_t capacity = (size_t)(rate * seconds * 1.5) + 100, count = 0;
    double *times = calloc(capacity, sizeof *times), at = 0;
    unsigned short seed[3] = {1, 2, 3};
    while (count < capacity && (at += -log(1 - erand48(seed)) / rate) < seconds)
        times[count++] = at;
    *ret_count = count;
    return times;
}

static int compare(const void *a, const void *b)
{
    return (*(const float *)a > *(const float *)b) - (*(const float *)a < *(const float *)b);
}

static double share_of(struct latencies *of, double share)
{
    qsort(of->ms, of->count, sizeof *of->ms, compare);
    return of->count ? (double)of->ms[(size_t)((double)(of->count - 1) * share)] : 0;
}

int main(int count, char **arguments)
{
    if (count != 7)
        return 2;
    double seconds = strtod(arguments[4], NULL), behind_ms = 0;
    size_t due_count, connections = strtoul(arguments[6], NULL, 10);
    double *times = draw_times(strtod(arguments[3], NULL), seconds, &due_count);
    read_request(arguments[2]);
    deadline_ms = strtod(arguments[5], NULL);
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    answers.ms = calloc(due_count, sizeof *answers.ms);
    refusals.ms = calloc(due_count, sizeof *refusals.ms);
    port = (uint16_t)strtoul(arguments[1], NULL, 10);
    if (connections > MAX_CONNECTIONS || poll_fd < 0 || !times || !answers.ms || !refusals.ms)
        return 2;
    for (size_t i = 0; i < connections; i++) {
        connect_conn(&conns[i]);
        idle[idle_count++] = &conns[i];
    }
    await_accepted();
    sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
    double start = now_s();
    for (size_t i = 0; i < due_count; i++) {
        double due = start + times[i];
        while (now_s() < due)
            wait_until(due);
        double late_ms = (now_s() - due) * 1e3;
        behind_ms = late_ms > behind_ms ? late_ms : behind_ms;
        begin(due);
        wait_until(0);
    }
    while (busy_count > 0 && now_s() < start + seconds + DRAIN_S)
        wait_until(now_s() + 0.1);
    printf("%zu %zu %zu %zu %zu %zu %zu %.2f %.2f %.2f %.2f %.2f %.2f\n", due_count, answers.count,
           in_time, refusals.count, expired, others + busy_count, unsent, share_of(&answers, 0.5),
           share_of(&answers, 0.99), share_of(&refusals, 0.5), share_of(&refusals, 0.99),
           share_of(&refusals, 1), behind_ms);
    return 0;
}
