/* Where in a message a reader or a writer is, and what may be there: every check is here, for both. */
#ifndef LEST_WIRE_PLACE_H
#define LEST_WIRE_PLACE_H

#include "wire/message.h"

/** Records, lists and maps inside of each other; the tables go no deeper. */
enum { WIRE_DEPTH_MAX = 5 };

/** One that is open. at: the number of the field or value that was last begun, 0 before the first.
 *  count: how many values a list or map has; key: the name that was last begun in a map */
struct wire_level {
    const struct wire_shape *shape;
    size_t at;
    size_t count;
    struct wire_bytes key;
};

/** err: where a problem is told, as "basic.password: longer than 1024 bytes"; no value is in it. */
struct wire_place {
    struct wire_level levels[WIRE_DEPTH_MAX];
    size_t depth;
    struct lest_error *err;
};

/** The innermost one that is open. */
struct wire_level *wire_place_top(struct wire_place *place);

/** Open one. False, also below: err is set, and the place is of no more use. */
bool wire_place_open(struct wire_place *place, const struct wire_shape *shape, size_t count);

/** Close the innermost: all that it must have has been begun. */
bool wire_place_close(struct wire_place *place);

/** Begin the field of this number; numbers ascend, and what is left out is optional. */
bool wire_place_field(struct wire_place *place, size_t number);

/** Begin the next value of a list. */
bool wire_place_entry(struct wire_place *place);

/** Check the length of a name in a map before it is looked at. */
bool wire_place_key_length(struct wire_place *place, size_t len);

/** Begin the next value of a map; names ascend, byte by byte and the shorter first. */
bool wire_place_key(struct wire_place *place, struct wire_bytes key);

/** Check the length of bytes before they are looked at. */
bool wire_place_length(struct wire_place *place, const struct wire_shape *shape, size_t len);

/** Check a value that is no record, list or map against its shape. */
bool wire_place_value(struct wire_place *place, const struct wire_shape *shape,
                      const struct wire_value *value);

/** The place of a text among the choices, from 1; 0 where it is none of them. */
unsigned wire_choice(const struct wire_shape *shape, struct wire_bytes text);

/** Set err to the path of where the place is and a problem. Returns false. */
bool wire_place_fail(struct wire_place *place, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** The same of a key that the innermost record does not have. */
bool wire_place_unknown(struct wire_place *place, struct wire_bytes key);

#endif
