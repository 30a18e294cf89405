#include "net/stream.h"

#include "pki/error.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct net_stream *s = arg;
    s->ready(s->arg);
}

void net_stream_init(struct net_stream *s, struct event_base *base, int fd, void (*ready)(void *arg),
                     void *arg)
{
    *s = (struct net_stream){ .ready = ready, .arg = arg, .fd = fd };
    event_assign(&s->read_event, base, fd, EV_READ | EV_PERSIST, on_event, s);
    event_assign(&s->write_event, base, fd, EV_WRITE | EV_PERSIST, on_event, s);
}

void net_stream_secure(struct net_stream *s, SSL *ssl)
{
    s->ssl = ssl;
    net_records_watch(ssl, &s->records);
    SSL_set_fd(ssl, s->fd); /* without memory for it the handshake will fail */
}

/* What OpenSSL says about the result of an operation. Its queue was emptied before. */
static enum net_io judge(struct net_stream *s, int result)
{
    if (s->records.why)
        return NET_IO_FAILED;
    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_NONE: return NET_IO_DONE;
    case SSL_ERROR_WANT_READ: s->wants_read = true; return NET_IO_WAIT;
    case SSL_ERROR_WANT_WRITE: s->wants_write = true; return NET_IO_WAIT;
    case SSL_ERROR_WANT_ASYNC: return NET_IO_WAIT; /* net/identity.h */
    case SSL_ERROR_ZERO_RETURN: return NET_IO_END;
    default: return NET_IO_FAILED;
    }
}

/* The same of a system call, which is tried again as it is. */
static enum net_io judge_plain(ssize_t done, bool *wants)
{
    if (done > 0)
        return NET_IO_DONE;
    if (done == 0)
        return NET_IO_END;
    *wants = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    return *wants ? NET_IO_WAIT : NET_IO_FAILED;
}

enum net_io net_stream_peek(struct net_stream *s, void *out, size_t size, size_t *got)
{
    ssize_t there = recv(s->fd, out, size, MSG_PEEK);
    *got = there > 0 ? (size_t)there : 0;
    return judge_plain(there, &s->wants_read);
}

enum net_io net_stream_skip(struct net_stream *s, void *scratch, size_t count)
{
    ssize_t taken;
    do
        taken = recv(s->fd, scratch, count, 0);
    while (taken < 0 && errno == EINTR);
    return taken == (ssize_t)count ? NET_IO_DONE : NET_IO_FAILED;
}

enum net_io net_stream_handshake(struct net_stream *s)
{
    if (!s->ssl)
        return NET_IO_DONE;
    pki_error_clear();
    return judge(s, SSL_do_handshake(s->ssl));
}

enum net_io net_stream_read(struct net_stream *s, void *out, size_t size, size_t *got)
{
    *got = 0;
    if (!s->ssl) {
        ssize_t done = recv(s->fd, out, size, 0);
        *got = done > 0 ? (size_t)done : 0;
        return judge_plain(done, &s->wants_read);
    }
    pki_error_clear();
    return judge(s, SSL_read_ex(s->ssl, out, size, got));
}

enum net_io net_stream_write(struct net_stream *s, const void *data, size_t len, size_t *done)
{
    *done = 0;
    if (!s->ssl) {
        ssize_t put = send(s->fd, data, len, MSG_NOSIGNAL);
        *done = put > 0 ? (size_t)put : 0;
        return judge_plain(put, &s->wants_write);
    }
    pki_error_clear();
    return judge(s, SSL_write_ex(s->ssl, data, len, done));
}

static void set(struct event *event, bool *on, bool wanted)
{
    if (*on == wanted)
        return;
    if (wanted ? event_add(event, NULL) == 0 : event_del(event) == 0)
        *on = wanted;
}

static void leave_edge(struct net_stream *s)
{
    if (!s->edge)
        return;
    set(&s->read_event, &s->read_on, false);
    s->edge = false;
    event_assign(&s->read_event, event_get_base(&s->read_event), s->fd, EV_READ | EV_PERSIST, on_event, s);
}

void net_stream_watch(struct net_stream *s)
{
    leave_edge(s);
    set(&s->read_event, &s->read_on, s->wants_read);
    set(&s->write_event, &s->write_on, s->wants_write);
    s->wants_read = s->wants_write = false;
}

void net_stream_watch_reset(struct net_stream *s)
{
    s->wants_read = s->wants_write = false;
    if (s->edge)
        return;
    set(&s->read_event, &s->read_on, false);
    set(&s->write_event, &s->write_on, false);
    /* Level-triggered, the end that was already read would wake the loop without pause. */
    s->edge = true;
    event_assign(&s->read_event, event_get_base(&s->read_event), s->fd, EV_READ | EV_PERSIST | EV_ET,
                 on_event, s);
    set(&s->read_event, &s->read_on, true);
}

bool net_stream_is_reset(const struct net_stream *s)
{
    struct pollfd p = { .fd = s->fd, .events = 0 };
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP)) != 0;
}

/* TCP shows the same for a client that only ended its own side and for one that has gone. When something is
 * sent, the kernel of a client that has gone answers with a reset. A KeyUpdate (RFC 8446 4.6.3) is such a
 * thing: a client that still listens takes it and does nothing. */
bool net_stream_probe(struct net_stream *s)
{
    if (!s->ssl)
        return false;
    pki_error_clear();
    if (SSL_version(s->ssl) != TLS1_3_VERSION || !SSL_key_update(s->ssl, SSL_KEY_UPDATE_NOT_REQUESTED))
        return false;
    bool sent = SSL_do_handshake(s->ssl) == 1;
    pki_error_clear();
    return sent;
}

void net_stream_shutdown(struct net_stream *s)
{
    pki_error_clear();
    if (s->ssl && SSL_is_init_finished(s->ssl))
        SSL_shutdown(s->ssl);
    pki_error_clear();
    shutdown(s->fd, SHUT_WR);
}

enum net_io net_stream_discard(struct net_stream *s, size_t *left)
{
    char scratch[16 * 1024];
    while (*left) {
        ssize_t got = recv(s->fd, scratch, *left < sizeof scratch ? *left : sizeof scratch, 0);
        if (got == 0)
            return NET_IO_END;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            s->wants_read = errno == EAGAIN || errno == EWOULDBLOCK;
            return s->wants_read ? NET_IO_WAIT : NET_IO_FAILED;
        }
        *left -= (size_t)got;
    }
    return NET_IO_DONE;
}

void net_stream_close(struct net_stream *s)
{
    set(&s->read_event, &s->read_on, false);
    set(&s->write_event, &s->write_on, false);
    SSL_free(s->ssl);
    s->ssl = NULL;
    close(s->fd);
    s->fd = -1;
}
