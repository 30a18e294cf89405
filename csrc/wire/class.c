/* What bytes may be besides their number. ASCII, no locale. */
#include "wire/shape.h"

#include "base/json.h"
#include "base/utf8.h"

#include <string.h>

static bool is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* At least one byte, and each a letter, a digit or one of `others`. */
static bool all_of(const uint8_t *data, size_t len, const char *others)
{
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(data[i]) && (data[i] == '\0' || !strchr(others, data[i])))
            return false;
    return len > 0;
}

static bool is_utf8(const uint8_t *data, size_t len)
{
    return lest_utf8_is_valid(data, len);
}

static bool is_text(const uint8_t *data, size_t len)
{
    return lest_utf8_is_text(data, len);
}

static bool is_id(const uint8_t *data, size_t len)
{
    return all_of(data, len, "_.:-");
}

/* A name in the configuration: of a profile, of anchors. */
static bool is_name(const uint8_t *data, size_t len)
{
    return all_of(data, len, "._-") && is_alnum(data[0]);
}

/* pchar of RFC 3986: a segment of a path. */
static bool is_label(const uint8_t *data, size_t len)
{
    return all_of(data, len, "-._~!$&'()*+,;=:@%");
}

/* A reader of the ledger finds a whole text, whatever a worker says. */
static bool is_json(const uint8_t *data, size_t len, enum lest_json_kind kind)
{
    struct lest_json_reader reader;
    lest_json_read(&reader, data, len);
    struct lest_json_token token = lest_json_next(&reader);
    if (token.kind != kind)
        return false;
    while (token.kind != LEST_JSON_END && token.kind != LEST_JSON_WRONG)
        token = lest_json_next(&reader);
    return token.kind == LEST_JSON_END;
}

static bool is_json_list(const uint8_t *data, size_t len)
{
    return is_json(data, len, LEST_JSON_LIST);
}

static bool is_json_object(const uint8_t *data, size_t len)
{
    return is_json(data, len, LEST_JSON_OBJECT);
}

const struct wire_class wire_utf8 = { is_utf8, "UTF-8" };
const struct wire_class wire_text = { is_text, "UTF-8 text" };
const struct wire_class wire_id = { is_id, "an id" };
const struct wire_class wire_name = { is_name, "a name" };
const struct wire_class wire_label = { is_label, "a label" };
const struct wire_class wire_json_list = { is_json_list, "a list in JSON" };
const struct wire_class wire_json_object = { is_json_object, "an object in JSON" };
