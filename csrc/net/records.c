#include "net/records.h"

#include <stddef.h>
#include <stdint.h>

/* OpenSSL throws away what comes after the peer's close_notify, and so ends the call that it is in. */
static void end(struct net_records *records, SSL *ssl, const char *why)
{
    records->why = why;
    SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN);
}

static void count(struct net_records *records, SSL *ssl)
{
    bool after = SSL_is_init_finished(ssl);
    if (++records->count[after] > (after ? NET_RECORDS_AFTER_MAX : NET_RECORDS_HANDSHAKE_MAX))
        end(records, ssl, "the peer sends too many TLS records without data");
}

struct bytes {
    const uint8_t *data;
    size_t len;
};

static size_t take_number(struct bytes *in, size_t width)
{
    size_t number = 0;
    for (; width && in->len; width--, in->len--)
        number = number << 8 | *in->data++;
    return number;
}

static void skip(struct bytes *in, size_t len)
{
    len = len < in->len ? len : in->len;
    in->data += len;
    in->len -= len;
}

/* Certificate (RFC 8446 4.4.2, RFC 5246 7.4.2), of which OpenSSL will check the form. */
static int count_certs(struct bytes message, bool tls13)
{
    int certs = 0;
    skip(&message, SSL3_HM_HEADER_LENGTH);
    if (tls13)
        skip(&message, take_number(&message, 1)); /* certificate_request_context */
    skip(&message, 3);
    for (; message.len; certs++) {
        skip(&message, take_number(&message, 3));
        if (tls13)
            skip(&message, take_number(&message, 2)); /* extensions */
    }
    return certs;
}

/* The bytes are OpenSSL's buffer, from which it parses the message next: without its own length the message
 * is malformed. OpenSSL documents nothing that refuses it before every certificate is parsed. This callback
 * returns nothing; SSL_CTX_set_max_cert_list() bounds bytes, and a short chain of large post-quantum
 * certificates needs as many as some hundred small ones; and what may fail a handshake (the callbacks of
 * verification and of security levels) is called when all have been parsed. */
static void spoil(const void *message)
{
    uint8_t *length = (uint8_t *)message + SSL3_HM_HEADER_LENGTH;
    length[0] = UINT8_MAX;
}

static void check_chain(struct net_records *records, SSL *ssl, const void *data, size_t len, bool tls13)
{
    if (len <= SSL3_HM_HEADER_LENGTH || *(const uint8_t *)data != SSL3_MT_CERTIFICATE ||
        count_certs((struct bytes){ data, len }, tls13) <= NET_RECORDS_CHAIN_MAX)
        return;
    end(records, ssl, "the peer's chain has too many certificates");
    spoil(data);
}

static void on_message(int sent, int version, int type, const void *data, size_t len, SSL *ssl, void *arg)
{
    struct net_records *records = arg;
    if (!records || !len)
        return;
    if (sent) {
        /* A TLS 1.2 handshake that is refused is not shown, but the alert that says so is. */
        if (type == SSL3_RT_ALERT)
            count(records, ssl);
        return;
    }
    switch (type) {
    case SSL3_RT_HEADER: /* of a record; in TLS 1.3 an encrypted one looks like data */
        records->taken++;
        /* fallthrough */
    case SSL3_RT_INNER_CONTENT_TYPE:
        if (*(const uint8_t *)data != SSL3_RT_APPLICATION_DATA)
            count(records, ssl);
        break;
    case SSL3_RT_HANDSHAKE:
        count(records, ssl);
        check_chain(records, ssl, data, len, version == TLS1_3_VERSION);
        break;
    }
}

void net_records_bound(SSL_CTX *ctx, struct net_records *records)
{
    SSL_CTX_set_max_cert_list(ctx, NET_RECORDS_CHAIN_LEN_MAX);
#ifdef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION /* OpenSSL 3.2 */
    /* A compressed chain (RFC 8879) is another message, whose certificates nobody could count beforehand. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
#endif
    SSL_CTX_set_msg_callback(ctx, on_message);
    SSL_CTX_set_msg_callback_arg(ctx, records);
}

void net_records_watch(SSL *ssl, struct net_records *records)
{
    SSL_set_msg_callback_arg(ssl, records);
}

void net_records_start_again(struct net_records *records)
{
    records->count[true] = 0;
}
