#include "est/media.h"

#include "http/value.h"

#include <string.h>

/* "application/x-pkcs10" and "application/pkcs10" are one. */
static struct http_slice without_x(struct http_slice subtype)
{
    if (subtype.len > 2 && http_equal_nocase((struct http_slice){ subtype.data, 2 }, http_text("x-")))
        subtype = (struct http_slice){ subtype.data + 2, subtype.len - 2 };
    return subtype;
}

static bool fits(const struct http_media_type *type, const char *wanted)
{
    struct http_media_type want;
    if (!http_media_type_parse(http_text(wanted), &want))
        return false;
    if (!http_equal_nocase(type->type, want.type) ||
        !http_equal_nocase(without_x(type->subtype), want.subtype))
        return false;
    const struct http_param *smime = http_media_type_param(&want, "smime-type");
    const struct http_param *said = http_media_type_param(type, "smime-type");
    return !smime || !said || http_param_is(said, smime->value);
}

bool est_request_media_check(enum est_operation operation, struct http_slice content_type,
                             struct http_slice content_encoding, struct http_refusal *why)
{
    const char *wanted = est_operation_info(operation)->request_type;
    struct http_media_type type;
    *why = (struct http_refusal){ 0, NULL };
    if (!wanted)
        return true;
    if (!content_type.data)
        *why = (struct http_refusal){ 415, "the Content-Type header is missing" };
    else if (!http_media_type_parse(content_type, &type))
        *why = (struct http_refusal){ 415, "the Content-Type header is malformed" };
    else if (!fits(&type, wanted))
        *why = (struct http_refusal){ 415, "the Content-Type is not the one of this operation" };
    else if (content_encoding.data && !http_equal_nocase(content_encoding, http_text("identity")))
        *why = (struct http_refusal){ 415, "no content coding is understood" };
    return why->status == 0;
}

bool est_response_media_fits(enum est_operation operation, struct http_slice content_type)
{
    /* Most servers say of both bags what RFC 7030 has for one of them. */
    bool is_bag = operation == EST_CACERTS;
    const char *wanted = is_bag ? EST_TYPE_ISSUED : est_operation_info(operation)->response_type;
    struct http_media_type type;
    if (!http_media_type_parse(content_type, &type))
        return false;
    /* Some servers leave out the s. */
    return fits(&type, wanted) || (operation == EST_CSRATTRS && fits(&type, "application/csrattr"));
}
