#include "wire/writer.h"

#include <string.h>

void wire_writer_start(struct wire_writer *writer, const struct wire_message *message, struct lest_buf *out,
                       struct lest_error *err)
{
    *writer = (struct wire_writer){ .place = { .err = err }, .out = out };
    lest_buf_append_byte(out, WIRE_VERSION);
    lest_buf_append_byte(out, (uint8_t)(message - wire_messages + 1));
}

static void put_length(struct lest_buf *out, size_t len)
{
    uint8_t bytes[] = { (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len };
    lest_buf_append(out, bytes, sizeof bytes);
}

static void put_bytes(struct lest_buf *out, struct wire_bytes bytes)
{
    put_length(out, bytes.len);
    lest_buf_append(out, bytes.data, bytes.len);
}

/* The 8 bytes of an integer or a number. */
static void put_8(struct lest_buf *out, const void *value)
{
    uint64_t bits;
    uint8_t bytes[8];
    memcpy(&bits, value, sizeof bits);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(bits >> (56 - 8 * i));
    lest_buf_append(out, bytes, sizeof bytes);
}

static void put_fact(struct lest_buf *out, const struct wire_value *value)
{
    switch (value->type) {
    case WIRE_IS_BYTES:
        lest_buf_append_byte(out, WIRE_FACT_BYTES);
        put_bytes(out, value->bytes);
        break;
    case WIRE_IS_INTEGER:
        lest_buf_append_byte(out, WIRE_FACT_INTEGER);
        put_8(out, &value->integer);
        break;
    case WIRE_IS_NUMBER:
        lest_buf_append_byte(out, WIRE_FACT_NUMBER);
        put_8(out, &value->number);
        break;
    default: lest_buf_append_byte(out, value->boolean ? WIRE_FACT_TRUE : WIRE_FACT_FALSE); break;
    }
}

/* A value that was checked. */
static void put_value(struct lest_buf *out, const struct wire_shape *shape, const struct wire_value *value)
{
    switch (shape->kind) {
    case WIRE_BYTES: put_bytes(out, value->bytes); break;
    case WIRE_INTEGER: put_8(out, &value->integer); break;
    case WIRE_CHOICE: lest_buf_append_byte(out, (uint8_t)wire_choice(shape, value->bytes)); break;
    case WIRE_FACT: put_fact(out, value); break;
    default: break; /* WIRE_FLAG: its number is all */
    }
}

/* The number of a field, or the name of an entry. */
static bool put_place(struct wire_writer *writer, const struct wire_item *item)
{
    struct wire_place *place = &writer->place;
    if (!place->depth)
        return true;
    const struct wire_shape *shape = wire_place_top(place)->shape;
    if (shape->kind == WIRE_LIST)
        return wire_place_entry(place);
    if (shape->kind == WIRE_MAP) {
        if (!wire_place_key(place, item->key))
            return false;
        put_bytes(writer->out, item->key);
        return true;
    }
    size_t number = (size_t)(item->field - shape->fields) + 1;
    if (!wire_place_field(place, number))
        return false;
    lest_buf_append_byte(writer->out, (uint8_t)number);
    return true;
}

static bool put_open(struct wire_writer *writer, const struct wire_item *item)
{
    if (!put_place(writer, item) || !wire_place_open(&writer->place, item->shape, item->count))
        return false;
    if (item->shape->kind != WIRE_RECORD)
        put_length(writer->out, item->count);
    return true;
}

static bool put_close(struct wire_writer *writer)
{
    bool is_record = wire_place_top(&writer->place)->shape->kind == WIRE_RECORD;
    if (!wire_place_close(&writer->place))
        return false;
    if (is_record)
        lest_buf_append_byte(writer->out, 0);
    return true;
}

bool wire_writer_put(struct wire_writer *writer, const struct wire_item *item)
{
    if (item->event == WIRE_OPEN)
        return put_open(writer, item);
    if (item->event == WIRE_CLOSE)
        return put_close(writer);
    if (!put_place(writer, item) || !wire_place_value(&writer->place, item->shape, &item->value))
        return false;
    put_value(writer->out, item->shape, &item->value);
    return true;
}

enum lest_status wire_writer_end(struct wire_writer *writer)
{
    struct lest_error *err = writer->place.err;
    enum lest_status status = lest_buf_status(writer->out, err);
    return status == LEST_E_TOO_LARGE ? lest_error_set(err, status, "the packet is too large") : status;
}
