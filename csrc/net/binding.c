#include "net/binding.h"

#include "base/base64.h"

#include <string.h>

/* RFC 5929 3.1: the first Finished of the handshake, which is the client's in a full one, and the server's
 * where a session is resumed. */
static size_t tls_unique(const SSL *ssl, uint8_t *out, size_t size)
{
    bool own = !SSL_is_server(ssl) != (SSL_session_reused(ssl) != 0);
    size_t len = own ? SSL_get_finished(ssl, out, size) : SSL_get_peer_finished(ssl, out, size);
    return len <= size ? len : 0;
}

/* RFC 9266 2: no context, which with TLS 1.3 is an empty one. */
static size_t tls_exporter(SSL *ssl, uint8_t *out)
{
    enum { EXPORTER_LEN = 32 };
    static const char label[] = "EXPORTER-Channel-Binding";
    return SSL_export_keying_material(ssl, out, EXPORTER_LEN, label, sizeof label - 1, NULL, 0, 0) == 1
               ? EXPORTER_LEN
               : 0;
}

bool net_binding_write(SSL *ssl, char text[NET_BINDING_SIZE])
{
    uint8_t bytes[EVP_MAX_MD_SIZE];
    struct lest_buf out;
    if (!SSL_is_init_finished(ssl))
        return false;
    size_t len =
        SSL_version(ssl) >= TLS1_3_VERSION ? tls_exporter(ssl, bytes) : tls_unique(ssl, bytes, sizeof bytes);
    lest_buf_init(&out, NET_BINDING_SIZE);
    lest_base64_encode(bytes, len, 0, &out);
    lest_buf_append_byte(&out, 0);
    bool ok = len && !out.failed;
    if (ok)
        memcpy(text, out.data, out.len);
    lest_buf_free(&out);
    return ok;
}
