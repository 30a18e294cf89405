/* What a value of a message may be: the rows of the tables in wire/message.c. */
#ifndef LEST_WIRE_SHAPE_H
#define LEST_WIRE_SHAPE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Borrowed bytes; data may be NULL where len is 0. */
struct wire_bytes {
    const uint8_t *data;
    size_t len;
};

enum wire_kind {
    WIRE_BYTES,   /* min to max bytes, of a class where one is given */
    WIRE_INTEGER, /* min to max */
    WIRE_FLAG,    /* a field that is there for true and absent for false */
    WIRE_CHOICE,  /* one of a list of texts */
    WIRE_FACT,    /* UTF-8 of at most max bytes, an integer, a finite number, true or false */
    WIRE_RECORD,  /* fields by number */
    WIRE_LIST,    /* min to max values of one shape */
    WIRE_MAP      /* min to max values of one shape, by names that the sender chooses */
};

/** What bytes may be besides their number. what: as in "not an id" */
struct wire_class {
    bool (*holds)(const uint8_t *data, size_t len);
    const char *what;
};

/** The classes that there are (wire/class.c). */
extern const struct wire_class wire_utf8; /* NUL is fine */
extern const struct wire_class wire_text; /* UTF-8 without NUL: what the ledger takes */
extern const struct wire_class wire_id;
extern const struct wire_class wire_name;
extern const struct wire_class wire_label;
extern const struct wire_class wire_json_list;
extern const struct wire_class wire_json_object;

/** One kind of value. Which members count depends on the kind.
 *  choices, fields   ended by NULL, and by a field without a name
 *  of                what each value of a list or map is */
struct wire_shape {
    enum wire_kind kind;
    int64_t min, max;
    const struct wire_class *class;
    const char *const *choices;
    const struct wire_field *fields;
    const struct wire_shape *of;
};

/** One field of a record; its number in a packet is its place in the table, from 1.
 *  position   where a Lua table has it as an element and not by name; else 0 */
struct wire_field {
    const char *name;
    struct wire_shape shape;
    bool optional;
    unsigned position;
};

/** Bytes of a name in a map; the most values that any map has. */
enum { WIRE_KEY_MAX = 64, WIRE_MAP_MAX = 64 };

/** A value as a program has it, and as a packet has it. What a choice is said with is BYTES. */
enum wire_type { WIRE_IS_OTHER, WIRE_IS_BYTES, WIRE_IS_INTEGER, WIRE_IS_NUMBER, WIRE_IS_BOOLEAN };

/** The type of a fact in a packet. */
enum wire_fact {
    WIRE_FACT_BYTES = 1,
    WIRE_FACT_INTEGER,
    WIRE_FACT_NUMBER, /* IEEE 754, 8 bytes */
    WIRE_FACT_FALSE,
    WIRE_FACT_TRUE
};

struct wire_value {
    enum wire_type type;
    struct wire_bytes bytes;
    int64_t integer;
    double number;
    bool boolean;
    const char *noun; /* what it is, for the problem where that is not wanted */
};

#endif
