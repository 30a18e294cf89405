/* Reads a packet step by step. No memory is needed but for the words of a problem, and every length is
 * checked against its field's bound and against what is left of the packet before the bytes are looked at. */
#ifndef LEST_WIRE_READER_H
#define LEST_WIRE_READER_H

#include "wire/place.h"

enum wire_event {
    WIRE_VALUE, /* a value that is no record, list or map */
    WIRE_OPEN,  /* one of those begins */
    WIRE_CLOSE, /* and ends */
    WIRE_END    /* the message has been read, and nothing is after it */
};

/** What is read or written at one step. Of field, index and key the one that it has by what it stands in is
 *  set: a record, a list (from 1), a map. The message's own record has none of them.
 *  count   OPEN: the values of a list or map */
struct wire_item {
    enum wire_event event;
    const struct wire_shape *shape;
    const struct wire_field *field;
    size_t index;
    struct wire_bytes key;
    struct wire_value value;
    size_t count;
};

struct wire_reader {
    struct wire_place place;
    const uint8_t *at;
    size_t left;
    const struct wire_message *message;
    bool opened;
};

/** Begin: packet is borrowed until the end. The type of the message, or NULL with err set.
 *  Errors: LEST_E_TOO_LARGE, LEST_E_MALFORMED */
const struct wire_message *wire_reader_start(struct wire_reader *reader, const void *packet, size_t len,
                                             struct lest_error *err);

/** The next item; its bytes are those of the packet. False: err is set, LEST_E_MALFORMED. */
bool wire_reader_next(struct wire_reader *reader, struct wire_item *item) LEST_MUST_USE;

#endif
