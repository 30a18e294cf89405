#include "wire/reader.h"

#include <string.h>

const struct wire_message *wire_reader_start(struct wire_reader *reader, const void *packet, size_t len,
                                             struct lest_error *err)
{
    const uint8_t *head = packet;
    *reader = (struct wire_reader){ .place = { .err = err } };
    if (len > WIRE_SIZE_MAX) {
        lest_error_set(err, LEST_E_TOO_LARGE, "the packet is too large");
        return NULL;
    }
    if (len < 2 || head[0] != WIRE_VERSION) {
        lest_error_set(err, LEST_E_MALFORMED, "the packet is no message of version %d", WIRE_VERSION);
        return NULL;
    }
    if (head[1] == 0 || head[1] > wire_message_count) {
        lest_error_set(err, LEST_E_MALFORMED, "the packet has no type that there is");
        return NULL;
    }
    reader->at = head + 2;
    reader->left = len - 2;
    reader->message = &wire_messages[head[1] - 1];
    return reader->message;
}

/* The next bytes, or NULL where there are not as many. */
static const uint8_t *take(struct wire_reader *reader, size_t len)
{
    const uint8_t *bytes = reader->at;
    if (len > reader->left) {
        wire_place_fail(&reader->place, "the packet ends too early");
        return NULL;
    }
    reader->at += len;
    reader->left -= len;
    return bytes;
}

static bool take_byte(struct wire_reader *reader, unsigned *out)
{
    const uint8_t *byte = take(reader, 1);
    *out = byte ? *byte : 0;
    return byte != NULL;
}

static bool take_length(struct wire_reader *reader, size_t *out)
{
    const uint8_t *b = take(reader, 4);
    *out = b ? (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3] : 0;
    return b != NULL;
}

static bool take_8(struct wire_reader *reader, uint64_t *out)
{
    const uint8_t *bytes = take(reader, 8);
    *out = 0;
    for (size_t i = 0; bytes && i < 8; i++)
        *out = *out << 8 | bytes[i];
    return bytes != NULL;
}

static bool take_bytes(struct wire_reader *reader, const struct wire_shape *shape, struct wire_value *out)
{
    struct wire_bytes *bytes = &out->bytes;
    out->type = WIRE_IS_BYTES;
    return take_length(reader, &bytes->len) && wire_place_length(&reader->place, shape, bytes->len) &&
           (bytes->data = take(reader, bytes->len)) != NULL;
}

static bool take_integer(struct wire_reader *reader, struct wire_value *out)
{
    uint64_t bits;
    out->type = WIRE_IS_INTEGER;
    if (!take_8(reader, &bits))
        return false;
    memcpy(&out->integer, &bits, sizeof bits);
    return true;
}

static bool take_number(struct wire_reader *reader, struct wire_value *out)
{
    uint64_t bits;
    out->type = WIRE_IS_NUMBER;
    out->noun = "one that is infinite or none";
    if (!take_8(reader, &bits))
        return false;
    memcpy(&out->number, &bits, sizeof bits);
    return true;
}

static bool take_choice(struct wire_reader *reader, const struct wire_shape *shape, struct wire_value *out)
{
    unsigned number, count = 0;
    if (!take_byte(reader, &number))
        return false;
    while (shape->choices[count])
        count++;
    if (number == 0 || number > count)
        return wire_place_fail(&reader->place, "not one of the choices");
    const char *text = shape->choices[number - 1];
    out->type = WIRE_IS_BYTES;
    out->bytes = (struct wire_bytes){ (const uint8_t *)text, strlen(text) };
    return true;
}

static bool take_fact(struct wire_reader *reader, const struct wire_shape *shape, struct wire_value *out)
{
    unsigned type;
    if (!take_byte(reader, &type))
        return false;
    switch (type) {
    case WIRE_FACT_BYTES: return take_bytes(reader, shape, out);
    case WIRE_FACT_INTEGER: return take_integer(reader, out);
    case WIRE_FACT_NUMBER: return take_number(reader, out);
    case WIRE_FACT_FALSE:
    case WIRE_FACT_TRUE:
        out->type = WIRE_IS_BOOLEAN;
        out->boolean = type == WIRE_FACT_TRUE;
        return true;
    default: return wire_place_fail(&reader->place, "a fact of no type that there is");
    }
}

static bool take_value(struct wire_reader *reader, const struct wire_shape *shape, struct wire_value *out)
{
    switch (shape->kind) {
    case WIRE_BYTES: return take_bytes(reader, shape, out);
    case WIRE_INTEGER: return take_integer(reader, out);
    case WIRE_CHOICE: return take_choice(reader, shape, out);
    case WIRE_FACT: return take_fact(reader, shape, out);
    default: /* WIRE_FLAG: that it is there is all */
        out->type = WIRE_IS_BOOLEAN;
        out->boolean = true;
        return true;
    }
}

/* A value of this shape begins at the place. */
static bool begin(struct wire_reader *reader, const struct wire_shape *shape, struct wire_item *item)
{
    struct wire_place *place = &reader->place;
    bool is_record = shape->kind == WIRE_RECORD;
    item->shape = shape;
    if (!is_record && shape->kind != WIRE_LIST && shape->kind != WIRE_MAP) {
        item->event = WIRE_VALUE;
        return take_value(reader, shape, &item->value) && wire_place_value(place, shape, &item->value);
    }
    item->event = WIRE_OPEN;
    return (is_record || take_length(reader, &item->count)) && wire_place_open(place, shape, item->count);
}

/* Where the value of the innermost level that was last begun stands. */
static void set_place(const struct wire_level *level, struct wire_item *item)
{
    switch (level->shape->kind) {
    case WIRE_RECORD: item->field = &level->shape->fields[level->at - 1]; break;
    case WIRE_MAP: item->key = level->key; break;
    default: item->index = level->at; break;
    }
}

static bool end(struct wire_reader *reader, struct wire_item *item)
{
    struct wire_place *place = &reader->place;
    item->event = WIRE_CLOSE;
    item->shape = wire_place_top(place)->shape;
    if (!wire_place_close(place))
        return false;
    if (place->depth)
        set_place(wire_place_top(place), item);
    else if (reader->left)
        return wire_place_fail(place, "%zu bytes after the message", reader->left);
    return true;
}

static bool next_field(struct wire_reader *reader, struct wire_item *item)
{
    struct wire_level *level = wire_place_top(&reader->place);
    unsigned number;
    if (!take_byte(reader, &number))
        return false;
    if (number == 0)
        return end(reader, item);
    if (!wire_place_field(&reader->place, number))
        return false;
    set_place(level, item);
    return begin(reader, &item->field->shape, item);
}

static bool next_entry(struct wire_reader *reader, struct wire_item *item)
{
    struct wire_level *level = wire_place_top(&reader->place);
    const struct wire_shape *shape = level->shape;
    struct wire_bytes key = { NULL, 0 };
    if (level->at == level->count)
        return end(reader, item);
    if (shape->kind == WIRE_LIST) {
        if (!wire_place_entry(&reader->place))
            return false;
    } else if (!take_length(reader, &key.len) || !wire_place_key_length(&reader->place, key.len) ||
               !(key.data = take(reader, key.len)) || !wire_place_key(&reader->place, key)) {
        return false;
    }
    set_place(level, item);
    return begin(reader, shape->of, item);
}

bool wire_reader_next(struct wire_reader *reader, struct wire_item *item)
{
    *item = (struct wire_item){ .event = WIRE_END };
    if (!reader->opened) {
        reader->opened = true;
        return begin(reader, &reader->message->record, item);
    }
    if (!reader->place.depth)
        return true;
    if (wire_place_top(&reader->place)->shape->kind == WIRE_RECORD)
        return next_field(reader, item);
    return next_entry(reader, item);
}
