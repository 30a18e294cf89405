#include "http/digest.h"

#include "base/hex.h"

static const struct http_param *find(const struct http_challenge *credentials, const char *name)
{
    for (size_t i = 0; i < credentials->param_count; i++)
        if (http_equal_nocase(credentials->params[i].name, http_text(name)))
            return &credentials->params[i];
    return NULL;
}

/* Those that every answer to a challenge has (RFC 7616 3.4), with qop=auth. */
static enum lest_status read_texts(const struct http_challenge *credentials, struct http_digest *out,
                                   struct lest_error *err)
{
    const struct {
        const char *name;
        const struct http_param **param;
        size_t min, max;
    } texts[] = {
        { "username", &out->username, 0, HTTP_DIGEST_TEXT_MAX },
        { "realm", &out->realm, 0, HTTP_DIGEST_TEXT_MAX },
        { "nonce", &out->nonce, 1, HTTP_DIGEST_TEXT_MAX },
        { "uri", &out->uri, 1, HTTP_DIGEST_URI_MAX },
        { "cnonce", &out->cnonce, 1, HTTP_DIGEST_TEXT_MAX },
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const struct http_param *param = find(credentials, texts[i].name);
        if (!param)
            return lest_error_set(err, LEST_E_MALFORMED, "the Digest credentials have no %s", texts[i].name);
        if (param->value.len < texts[i].min || param->value.len > texts[i].max)
            return lest_error_set(err, LEST_E_MALFORMED,
                                  "the %s of the Digest credentials has a wrong length", texts[i].name);
        *texts[i].param = param;
    }
    return LEST_OK;
}

/* Whether they answer what is offered: without qop nothing would be counted, auth-int is of bodies, and no
 * user name is asked for in another form. */
static enum lest_status check_kind(const struct http_challenge *credentials, struct lest_error *err)
{
    const struct http_param *qop = find(credentials, "qop"), *userhash = find(credentials, "userhash");
    if (!qop || !http_param_is(qop, http_text("auth")))
        return lest_error_set(err, LEST_E_MALFORMED, "the qop of the Digest credentials is not auth");
    if (find(credentials, "username*") || (userhash && !http_param_is(userhash, http_text("false"))))
        return lest_error_set(err, LEST_E_MALFORMED, "the Digest credentials have no plain user name");
    return LEST_OK;
}

static enum lest_status read_algorithm(const struct http_challenge *credentials, struct http_digest *out,
                                       struct lest_error *err)
{
    static const struct {
        const char *name;
        size_t len;
    } algorithms[] = { { "MD5", 16 }, { "SHA-256", 32 } };
    const struct http_param *param = find(credentials, "algorithm");
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++) {
        /* RFC 7616 3.4: absent, it is MD5. */
        if (param ? !http_param_is(param, http_text(algorithms[i].name)) : i > 0)
            continue;
        out->algorithm = algorithms[i].name;
        out->response_len = algorithms[i].len;
        return LEST_OK;
    }
    return lest_error_set(err, LEST_E_MALFORMED, "the algorithm of the Digest credentials is not offered");
}

static enum lest_status read_numbers(const struct http_challenge *credentials, struct http_digest *out,
                                     struct lest_error *err)
{
    const struct http_param *nc = find(credentials, "nc"), *response = find(credentials, "response");
    uint8_t count[4];
    if (!nc || nc->value.len != 2 * sizeof count || !lest_hex_decode(nc->value.data, nc->value.len, count))
        return lest_error_set(err, LEST_E_MALFORMED, "the nc of the Digest credentials has not 8 hex digits");
    if (!response || response->value.len != 2 * out->response_len ||
        !lest_hex_decode(response->value.data, response->value.len, out->response))
        return lest_error_set(err, LEST_E_MALFORMED,
                              "the response of the Digest credentials is none of its algorithm");
    out->nc = nc->value;
    return LEST_OK;
}

enum lest_status http_digest_read(const struct http_challenge *credentials, struct http_digest *out,
                                  struct lest_error *err)
{
    *out = (struct http_digest){ .algorithm = NULL };
    if (!http_equal_nocase(credentials->scheme, http_text("Digest")))
        return lest_error_set(err, LEST_E_MALFORMED, "the credentials are not Digest");
    enum lest_status status = check_kind(credentials, err);
    if (!status)
        status = read_texts(credentials, out, err);
    if (!status)
        status = read_algorithm(credentials, out, err);
    if (!status)
        status = read_numbers(credentials, out, err);
    return status;
}
