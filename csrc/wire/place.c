#include "wire/place.h"

#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Names in a path are cut at WIRE_KEY_MAX, and a message of an error at less than this. */
enum { PROBLEM_MAX = 200 };

struct wire_level *wire_place_top(struct wire_place *place)
{
    return &place->levels[place->depth - 1];
}

static void append_key(struct lest_buf *path, struct wire_bytes key)
{
    for (size_t i = 0; i < key.len && i < WIRE_KEY_MAX; i++)
        lest_buf_append_byte(path, key.data[i] >= ' ' && key.data[i] <= '~' ? key.data[i] : '?');
}

/* Where one level is, as a part of a path. */
static void append_level(struct lest_buf *path, const struct wire_level *level)
{
    if (!level->at)
        return;
    if (level->shape->kind == WIRE_LIST) {
        lest_buf_append_fmt(path, "[%zu]", level->at);
        return;
    }
    if (path->len)
        lest_buf_append_byte(path, '.');
    if (level->key.data)
        append_key(path, level->key);
    else if (level->shape->kind == WIRE_RECORD)
        lest_buf_append_str(path, level->shape->fields[level->at - 1].name);
}

bool wire_place_fail(struct wire_place *place, const char *format, ...)
{
    char problem[PROBLEM_MAX];
    struct lest_buf path;
    va_list args;
    va_start(args, format);
    vsnprintf(problem, sizeof problem, format, args);
    va_end(args);
    lest_buf_init(&path, sizeof place->err->message);
    for (size_t i = 0; i < place->depth; i++)
        append_level(&path, &place->levels[i]);
    lest_error_set(place->err, LEST_E_MALFORMED, "%.*s%s%s", (int)path.len,
                   path.data ? (const char *)path.data : "", path.len ? ": " : "", problem);
    lest_buf_free(&path);
    return false;
}

bool wire_place_unknown(struct wire_place *place, struct wire_bytes key)
{
    struct wire_level *level = wire_place_top(place);
    level->at = 1;
    level->key = key.data ? key : (struct wire_bytes){ (const uint8_t *)"", 0 };
    return wire_place_fail(place, "unknown");
}

bool wire_place_open(struct wire_place *place, const struct wire_shape *shape, size_t count)
{
    if (shape->kind != WIRE_RECORD && count < (uint64_t)shape->min)
        return wire_place_fail(place, "too few entries");
    if (shape->kind != WIRE_RECORD && count > (uint64_t)shape->max)
        return wire_place_fail(place, "too many entries");
    if (place->depth == WIRE_DEPTH_MAX)
        return wire_place_fail(place, "too deep");
    place->levels[place->depth++] = (struct wire_level){ .shape = shape, .count = count };
    return true;
}

/* Whether the fields after the one that was last begun, up to `number`, may be left out. */
static bool pass_over(struct wire_place *place, size_t number)
{
    struct wire_level *level = wire_place_top(place);
    const struct wire_field *fields = level->shape->fields;
    for (size_t i = level->at; i + 1 < number && fields[i].name; i++)
        if (!fields[i].optional) {
            level->at = i + 1;
            return wire_place_fail(place, "is missing");
        }
    return true;
}

bool wire_place_field(struct wire_place *place, size_t number)
{
    struct wire_level *level = wire_place_top(place);
    if (number <= level->at) {
        level->at = 0;
        return wire_place_fail(place, "field %zu is there twice or out of order", number);
    }
    for (size_t i = level->at; i < number; i++)
        if (!level->shape->fields[i].name) {
            level->at = 0;
            return wire_place_fail(place, "field %zu is unknown", number);
        }
    if (!pass_over(place, number))
        return false;
    level->at = number;
    return true;
}

bool wire_place_entry(struct wire_place *place)
{
    struct wire_level *level = wire_place_top(place);
    if (level->at == level->count)
        return wire_place_fail(place, "too many entries");
    level->at++;
    return true;
}

static int compare(struct wire_bytes a, struct wire_bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.data, b.data, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

bool wire_place_key_length(struct wire_place *place, size_t len)
{
    if (len > WIRE_KEY_MAX)
        return wire_place_fail(place, "a name longer than %d bytes", WIRE_KEY_MAX);
    return true;
}

bool wire_place_key(struct wire_place *place, struct wire_bytes key)
{
    struct wire_level *level = wire_place_top(place);
    struct wire_bytes before = level->key;
    if (!wire_place_entry(place))
        return false;
    level->key = key.data ? key : (struct wire_bytes){ (const uint8_t *)"", 0 };
    if (!wire_place_key_length(place, key.len))
        return false;
    if (!wire_utf8.holds(key.data, key.len))
        return wire_place_fail(place, "a name that is not %s", wire_utf8.what);
    if (level->at > 1 && compare(before, key) >= 0)
        return wire_place_fail(place, "a name is there twice or out of order");
    return true;
}

bool wire_place_close(struct wire_place *place)
{
    struct wire_level *level = wire_place_top(place);
    if (level->shape->kind == WIRE_RECORD) {
        if (!pass_over(place, SIZE_MAX))
            return false;
    } else if (level->at != level->count) {
        return wire_place_fail(place, "too few entries");
    }
    place->depth--;
    return true;
}

bool wire_place_length(struct wire_place *place, const struct wire_shape *shape, size_t len)
{
    if (len > (uint64_t)shape->max)
        return wire_place_fail(place, "longer than %lld bytes", (long long)shape->max);
    if (shape->kind == WIRE_BYTES && len < (uint64_t)shape->min)
        return wire_place_fail(place, "shorter than %lld bytes", (long long)shape->min);
    return true;
}

static bool check_bytes(struct wire_place *place, const struct wire_shape *shape, struct wire_bytes bytes)
{
    const struct wire_class *class = shape->kind == WIRE_FACT ? &wire_utf8 : shape->class;
    if (!wire_place_length(place, shape, bytes.len))
        return false;
    if (class && !class->holds(bytes.data, bytes.len))
        return wire_place_fail(place, "not %s", class->what);
    return true;
}

static bool check_integer(struct wire_place *place, const struct wire_shape *shape, int64_t integer)
{
    if (integer < shape->min || integer > shape->max)
        return wire_place_fail(place, "out of range (%lld to %lld)", (long long)shape->min,
                               (long long)shape->max);
    return true;
}

unsigned wire_choice(const struct wire_shape *shape, struct wire_bytes text)
{
    for (unsigned i = 0; shape->choices[i]; i++)
        if (strlen(shape->choices[i]) == text.len && memcmp(shape->choices[i], text.data, text.len) == 0)
            return i + 1;
    return 0;
}

static bool check_choice(struct wire_place *place, const struct wire_shape *shape, struct wire_bytes text)
{
    struct lest_buf list;
    if (wire_choice(shape, text))
        return true;
    lest_buf_init(&list, PROBLEM_MAX);
    for (const char *const *choice = shape->choices; *choice; choice++)
        lest_buf_append_fmt(&list, "%s%s", choice == shape->choices ? "" : ", ", *choice);
    wire_place_fail(place, "not one of %.*s", (int)list.len, list.data ? (const char *)list.data : "");
    lest_buf_free(&list);
    return false;
}

static const char *const wanted[] = {
    [WIRE_BYTES] = "a string",     [WIRE_INTEGER] = "a whole number",
    [WIRE_FLAG] = "true or false", [WIRE_CHOICE] = "a string",
    [WIRE_RECORD] = "a table",     [WIRE_FACT] = "a string, a finite number or a boolean",
    [WIRE_LIST] = "a list",        [WIRE_MAP] = "a table",
};

bool wire_place_value(struct wire_place *place, const struct wire_shape *shape,
                      const struct wire_value *value)
{
    bool fact = shape->kind == WIRE_FACT;
    /* Infinite less itself is no number. */
    if (fact && (value->type == WIRE_IS_INTEGER || value->type == WIRE_IS_BOOLEAN ||
                 (value->type == WIRE_IS_NUMBER && value->number - value->number == 0)))
        return true;
    if ((fact || shape->kind == WIRE_BYTES) && value->type == WIRE_IS_BYTES)
        return check_bytes(place, shape, value->bytes);
    if (shape->kind == WIRE_CHOICE && value->type == WIRE_IS_BYTES)
        return check_choice(place, shape, value->bytes);
    if (shape->kind == WIRE_INTEGER && value->type == WIRE_IS_INTEGER)
        return check_integer(place, shape, value->integer);
    if (shape->kind == WIRE_FLAG && value->type == WIRE_IS_BOOLEAN)
        return true;
    return wire_place_fail(place, "must be %s, not %s", wanted[shape->kind], value->noun);
}
