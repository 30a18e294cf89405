/* rawtls server KEY=VALUE...: records requests and answers any bytes. It prints "port N", then events, and
 * reads commands; each connection has a thread, so that it answers while the spec does something else.
 *
 * Commands:
 *   answer STEP...     the next answer: each request takes one, and waits for one if there is none
 *   connect STEP...    what happens to each new connection before its handshake; nothing without a step
 *   sync MS            wait for an event since the last sync, at most so long, then print "synced"
 *   quit
 * Steps:
 *   send:BASE64   trickle:CHUNK:GAP:BASE64   delay:MS   half   close   drop   reset
 *   stall         do nothing until the peer closes
 *   head          as the first step: the answer begins when the head is complete, the body unread
 *   body          read the body now, and record the request
 *   flood:KIND    without end, as the first thing that is written: see spec/support/rawtls_flood.c
 *   certificate   TLS 1.3: ask for the client's certificate now
 * Events (N counts connections):
 *   hello N BYTES (each ClientHello, from its type on) | tls N INFO... | failed N END REASON |
 *   request N MS HEAD BODY | partial N BYTES | refused N BYTES | certificate N DER | closed N END */
#include "rawtls.h"

#include "base/clock.h"
#include "http/chunked.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BYTES_MAX = 64 * 1024 * 1024, IDLE_MS = 60000, LINGER_MS = 500 };

struct answer {
    struct answer *next;
    char line[];
};

/* Shared by the threads, under the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more_answers = PTHREAD_COND_INITIALIZER;
static struct answer *answers;
static char *connect_steps;
static struct lest_buf events = { .max = BYTES_MAX };
static int wake_fd;
static int64_t started_ms;
static SSL_CTX *context;
static bool plain;   /* plain=1: HTTP without TLS */
static bool lenient; /* lenient=1: what is no request takes an answer, too, and the connection goes on */

/* One connection, in its thread. */
struct session {
    struct rawtls c;
    long number;
    struct lest_buf in;
    size_t head_len;
    enum http_framing framing;
    uint64_t body_len;
    bool recorded;
    bool finished; /* the client's Finished came, of whichever handshake */
};

static void emit(struct lest_buf *line)
{
    uint64_t one = 1;
    lest_buf_append_byte(line, '\n');
    pthread_mutex_lock(&lock);
    lest_buf_append(&events, line->data, line->len);
    pthread_mutex_unlock(&lock);
    lest_buf_free(line);
    if (write(wake_fd, &one, sizeof one) < 0)
        rawtls_die("eventfd");
}

static struct lest_buf event(const char *kind, const struct session *s)
{
    struct lest_buf line;
    lest_buf_init(&line, BYTES_MAX);
    lest_buf_append_fmt(&line, "%s %ld ", kind, s->number);
    return line;
}

static void emit_bytes(const char *kind, const struct session *s, const void *data, size_t len)
{
    struct lest_buf line = event(kind, s);
    rawtls_put_bytes(&line, data, len);
    emit(&line);
}

static void emit_end(const char *kind, const struct session *s, enum rawtls_end end)
{
    char reason[256] = "";
    struct lest_buf line = event(kind, s);
    if (end == RAWTLS_ALERT)
        ERR_error_string_n(ERR_peek_error(), reason, sizeof reason);
    lest_buf_append_fmt(&line, "%s %s", rawtls_end_names[end], reason);
    emit(&line);
}

static void on_message(int sent, int version, int type, const void *data, size_t len, SSL *ssl, void *arg)
{
    struct session *s = arg;
    int message = !sent && type == SSL3_RT_HANDSHAKE && len ? *(const unsigned char *)data : -1;
    (void)version, (void)ssl;
    if (message == SSL3_MT_CLIENT_HELLO)
        emit_bytes("hello", s, data, len);
    if (message == SSL3_MT_FINISHED)
        s->finished = true;
}

/* The next answer, removed; NULL if it is not there (or, with only_head, begins otherwise). */
static struct answer *take_answer(bool only_head)
{
    struct answer *answer;
    pthread_mutex_lock(&lock);
    while (!answers && !only_head)
        pthread_cond_wait(&more_answers, &lock);
    answer = answers;
    if (answer && only_head && strncmp(answer->line, "head", 4) != 0)
        answer = NULL;
    if (answer)
        answers = answer->next;
    pthread_mutex_unlock(&lock);
    return answer;
}

static void put_answer(const char *line)
{
    size_t len = strlen(line) + 1;
    struct answer *answer = malloc(sizeof *answer + len), **last = &answers;
    if (!answer)
        rawtls_die("memory");
    memcpy(answer->line, line, len);
    answer->next = NULL;
    pthread_mutex_lock(&lock);
    while (*last)
        last = &(*last)->next;
    *last = answer;
    pthread_cond_broadcast(&more_answers);
    pthread_mutex_unlock(&lock);
}

static enum rawtls_end read_more(struct session *s)
{
    return rawtls_read(&s->c, &s->in, 16384, rawtls_deadline(IDLE_MS));
}

/* Decode the body that follows the head in s->in, reading as needed; *used is how many bytes it took. */
static enum rawtls_end read_body(struct session *s, struct lest_buf *body, size_t *used)
{
    struct http_chunked decoder;
    struct http_refusal why;
    enum rawtls_end end;
    *used = 0;
    http_chunked_init(&decoder, BYTES_MAX);
    for (;;) {
        const char *data = (const char *)s->in.data + s->head_len + *used;
        size_t have = s->in.len - s->head_len - *used, consumed = 0;
        if (s->framing == HTTP_BODY_CHUNKED) {
            enum http_result result = http_chunked_feed(&decoder, data, have, &consumed, body, &why);
            *used += consumed;
            if (result != HTTP_MORE)
                return result == HTTP_DONE ? RAWTLS_OK : RAWTLS_ALERT;
        } else {
            size_t left = (size_t)s->body_len - *used;
            consumed = have < left ? have : left;
            lest_buf_append(body, data, consumed);
            *used += consumed;
            if (*used == s->body_len)
                return RAWTLS_OK;
        }
        if ((end = read_more(s)) != RAWTLS_OK)
            return end;
    }
}

/* Record the request at the start of s->in and take it off. */
static enum rawtls_end record(struct session *s)
{
    struct lest_buf body;
    size_t used;
    lest_buf_init(&body, BYTES_MAX);
    enum rawtls_end end = read_body(s, &body, &used);
    if (end == RAWTLS_OK) {
        struct lest_buf line = event("request", s);
        lest_buf_append_fmt(&line, "%lld ", (long long)(lest_clock_monotonic_ms() - started_ms));
        rawtls_put_bytes(&line, s->in.data, s->head_len);
        lest_buf_append_byte(&line, ' ');
        rawtls_put_bytes(&line, body.data, body.len);
        emit(&line);
        lest_buf_consume(&s->in, s->head_len + used);
        s->recorded = true;
    }
    lest_buf_free(&body);
    return end;
}

static void stall(struct session *s)
{
    struct lest_buf ignored;
    lest_buf_init(&ignored, 16384);
    while (rawtls_read(&s->c, &ignored, 16384, rawtls_deadline(IDLE_MS)) == RAWTLS_OK)
        lest_buf_free(&ignored);
    lest_buf_free(&ignored);
}

/* The client offered post_handshake_auth, or this fails. OpenSSL reads its certificate on the way to bytes
 * of HTTP, which need not come. */
static enum rawtls_end ask_certificate(struct session *s)
{
    ERR_clear_error();
    SSL_set_verify(s->c.ssl, SSL_VERIFY_PEER, NULL);
    if (SSL_verify_client_post_handshake(s->c.ssl) != 1)
        return RAWTLS_ALERT;
    s->finished = false;
    int64_t deadline = rawtls_deadline(5000);
    enum rawtls_end end = rawtls_handshake(&s->c, deadline);
    while (end == RAWTLS_OK && !s->finished && lest_clock_monotonic_ms() < deadline) {
        end = rawtls_read(&s->c, &s->in, 16384, rawtls_deadline(10));
        if (end == RAWTLS_TIMEOUT)
            end = RAWTLS_OK;
    }
    X509 *peer = SSL_get0_peer_certificate(s->c.ssl);
    unsigned char *der = NULL;
    int len = peer ? i2d_X509(peer, &der) : 0;
    emit_bytes("certificate", s, der, len > 0 ? (size_t)len : 0);
    OPENSSL_free(der);
    return end;
}

static enum rawtls_end send_step(struct session *s, const char *base64, size_t chunk, int64_t gap_ms)
{
    struct lest_buf data;
    size_t done;
    enum rawtls_end end;
    lest_buf_init(&data, BYTES_MAX);
    rawtls_bytes(base64, &data);
    if (chunk)
        end = rawtls_trickle(&s->c, data.data, data.len, chunk, gap_ms, &done);
    else
        end = rawtls_write(&s->c, data.data, data.len, rawtls_deadline(IDLE_MS), &done);
    lest_buf_free(&data);
    return end;
}

/* One step. Anything but RAWTLS_OK ends the connection. */
static enum rawtls_end run_step(struct session *s, char *step)
{
    char *argument = strchr(step, ':');
    if (argument)
        *argument++ = '\0';
    if (strcmp(step, "head") == 0)
        return RAWTLS_OK;
    if (strcmp(step, "body") == 0)
        return record(s);
    if (strcmp(step, "certificate") == 0)
        return ask_certificate(s);
    if (strcmp(step, "flood") == 0 && argument) {
        size_t sent;
        return rawtls_flood(&s->c, argument, NULL, rawtls_deadline(IDLE_MS), &sent);
    }
    if (strcmp(step, "send") == 0 && argument)
        return send_step(s, argument, 0, 0);
    if (strcmp(step, "trickle") == 0 && argument) {
        char *gap = strchr(argument, ':'), *data = gap ? strchr(gap + 1, ':') : NULL;
        if (!data)
            rawtls_die("trickle:CHUNK:GAP:BASE64");
        return send_step(s, data + 1, (size_t)atol(argument), atol(gap + 1));
    }
    if (strcmp(step, "delay") == 0 && argument) {
        rawtls_pause(atol(argument));
        return RAWTLS_OK;
    }
    if (strcmp(step, "half") == 0) {
        rawtls_half_close(&s->c);
        return RAWTLS_OK;
    }
    if (strcmp(step, "stall") == 0) {
        stall(s);
    } else if (strcmp(step, "close") == 0) {
        rawtls_half_close(&s->c);
        rawtls_linger(&s->c, LINGER_MS);
    } else if (strcmp(step, "reset") == 0) {
        rawtls_reset(&s->c);
    } else if (strcmp(step, "drop") == 0) {
        rawtls_linger(&s->c, LINGER_MS);
        rawtls_drop(&s->c);
    } else {
        rawtls_die("unknown step");
    }
    return RAWTLS_EOF;
}

static enum rawtls_end run_steps(struct session *s, char *line)
{
    char *words[RAWTLS_WORDS_MAX + 1];
    enum rawtls_end end = RAWTLS_OK;
    rawtls_split(line, words);
    for (size_t i = 0; words[i] && end == RAWTLS_OK; i++)
        end = run_step(s, words[i]);
    return end;
}

static enum rawtls_end read_head(struct session *s)
{
    struct http_request request;
    struct http_refusal why;
    s->recorded = false;
    for (;;) {
        switch (http_request_parse((const char *)s->in.data, s->in.len, NULL, &request, &why)) {
        case HTTP_DONE:
            s->head_len = request.head_len;
            s->framing = request.framing;
            s->body_len = request.body_len;
            return RAWTLS_OK;
        case HTTP_REFUSED:
            emit_bytes("refused", s, s->in.data, s->in.len);
            s->recorded = true;
            if (lenient)
                lest_buf_consume(&s->in, s->in.len);
            return lenient ? RAWTLS_OK : RAWTLS_ALERT;
        case HTTP_MORE: break;
        }
        enum rawtls_end end = read_more(s);
        if (end != RAWTLS_OK)
            return end;
    }
}

static enum rawtls_end serve_one(struct session *s)
{
    enum rawtls_end end = read_head(s);
    if (end != RAWTLS_OK)
        return end;
    struct answer *answer = take_answer(!s->recorded);
    if (!answer) {
        if ((end = record(s)) != RAWTLS_OK)
            return end;
        answer = take_answer(false);
    }
    end = run_steps(s, answer->line);
    free(answer);
    if (end == RAWTLS_OK && !s->recorded)
        end = record(s);
    return end;
}

static enum rawtls_end start_tls(struct session *s)
{
    s->c.ssl = SSL_new(context);
    if (!s->c.ssl)
        rawtls_die("no connection");
    SSL_set_fd(s->c.ssl, s->c.fd);
    SSL_set_accept_state(s->c.ssl);
    SSL_set_msg_callback(s->c.ssl, on_message);
    SSL_set_msg_callback_arg(s->c.ssl, s);
    enum rawtls_end end = rawtls_handshake(&s->c, rawtls_deadline(IDLE_MS));
    if (end != RAWTLS_OK) {
        emit_end("failed", s, end);
        return end;
    }
    struct lest_buf line = event("tls", s);
    rawtls_put_info(&line, s->c.ssl);
    emit(&line);
    return end;
}

static enum rawtls_end serve(struct session *s)
{
    enum rawtls_end end = RAWTLS_OK;
    pthread_mutex_lock(&lock);
    char *steps = connect_steps ? strdup(connect_steps) : NULL;
    pthread_mutex_unlock(&lock);
    if (steps)
        end = run_steps(s, steps);
    free(steps);
    if (end == RAWTLS_OK && !plain)
        end = start_tls(s);
    while (end == RAWTLS_OK)
        end = serve_one(s);
    if (s->in.len && !s->recorded)
        emit_bytes("partial", s, s->in.data, s->in.len);
    return end;
}

static void *connection_thread(void *arg)
{
    struct session *s = arg;
    enum rawtls_end end = serve(s);
    emit_end("closed", s, end);
    if (s->c.fd >= 0)
        rawtls_close(&s->c);
    lest_buf_free(&s->in);
    free(s);
    return NULL;
}

static void accept_one(int listener)
{
    static long count;
    int on = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    pthread_t thread;
    if (fd < 0)
        return;
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        rawtls_die("memory");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    s->c.fd = fd;
    s->number = ++count;
    lest_buf_init(&s->in, BYTES_MAX);
    if (pthread_create(&thread, NULL, connection_thread, s) != 0)
        rawtls_die("thread");
    pthread_detach(thread);
}

static int open_listener(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        rawtls_die("no listening socket");
    lest_buf_append_fmt(&events, "port %d\n", ntohs(address.sin_port));
    return fd;
}

/* The main thread's own: commands, and "sync". */
struct control {
    struct lest_buf in;
    bool quit;
    bool news; /* an event since the last sync */
    int64_t sync_deadline;
};

static void run_command(struct control *control, char *line)
{
    if (strncmp(line, "answer ", 7) == 0) {
        put_answer(line + 7);
    } else if (strncmp(line, "connect", 7) == 0) {
        pthread_mutex_lock(&lock);
        free(connect_steps);
        connect_steps = strdup(line + 7);
        pthread_mutex_unlock(&lock);
    } else if (strncmp(line, "sync ", 5) == 0) {
        control->sync_deadline = rawtls_deadline(atol(line + 5));
    } else if (strcmp(line, "quit") == 0) {
        control->quit = true;
    } else {
        rawtls_die("unknown command");
    }
}

static void read_commands(struct control *control)
{
    char *room = (char *)lest_buf_reserve(&control->in, 65536), *end;
    ssize_t n = room ? read(STDIN_FILENO, room, 65536) : 0;
    if (n <= 0) {
        control->quit = n == 0 || errno != EINTR;
        return;
    }
    control->in.len += (size_t)n;
    while (!control->quit && control->in.len &&
           (end = memchr(control->in.data, '\n', control->in.len)) != NULL) {
        *end = '\0';
        run_command(control, (char *)control->in.data);
        lest_buf_consume(&control->in, (size_t)((uint8_t *)end - control->in.data) + 1);
    }
}

/* Events wait in memory, so that no connection waits for the spec to read them. */
static bool write_events(void)
{
    pthread_mutex_lock(&lock);
    ssize_t n = events.len ? write(STDOUT_FILENO, events.data, events.len) : 0;
    if (n > 0)
        lest_buf_consume(&events, (size_t)n);
    bool waiting = events.len > 0;
    pthread_mutex_unlock(&lock);
    return waiting;
}

static void answer_sync(struct control *control)
{
    if (!control->sync_deadline || (!control->news && lest_clock_monotonic_ms() < control->sync_deadline))
        return;
    control->sync_deadline = 0;
    control->news = false;
    pthread_mutex_lock(&lock);
    lest_buf_append_str(&events, "synced\n");
    pthread_mutex_unlock(&lock);
}

void rawtls_server(char *const words[])
{
    struct control control = { .in = { .max = BYTES_MAX } };
    uint64_t count;
    started_ms = lest_clock_monotonic_ms();
    context = rawtls_context(true, words);
    plain = rawtls_word(words, "plain", NULL) != NULL;
    lenient = rawtls_word(words, "lenient", NULL) != NULL;
    wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int listener = open_listener();
    fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK);
    while (!control.quit) {
        answer_sync(&control);
        bool waiting = write_events();
        int64_t left = control.sync_deadline ? control.sync_deadline - lest_clock_monotonic_ms() : -1;
        struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
                                { .fd = listener, .events = POLLIN },
                                { .fd = wake_fd, .events = POLLIN },
                                { .fd = waiting ? STDOUT_FILENO : -1, .events = POLLOUT } };
        poll(fds, 4, control.sync_deadline ? (left > 0 ? (int)left : 0) : -1);
        if (fds[0].revents)
            read_commands(&control);
        if (fds[1].revents)
            accept_one(listener);
        if (fds[2].revents && read(wake_fd, &count, sizeof count) > 0)
            control.news = true;
        if (fds[3].revents & (POLLERR | POLLHUP))
            control.quit = true;
    }
    /* Threads may still run; the process ends with them and needs no cleaning up. */
    fflush(NULL);
    _exit(0);
}
