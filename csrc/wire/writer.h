/* Writes a packet from the items that a reader would give for it, and checks them as a reader would: what the
 * other side would refuse is not written. */
#ifndef LEST_WIRE_WRITER_H
#define LEST_WIRE_WRITER_H

#include "base/buf.h"
#include "wire/reader.h"

struct wire_writer {
    struct wire_place place;
    struct lest_buf *out;
};

/** Begin a message: its record is the first item that is put. out has the maximum WIRE_SIZE_MAX, is empty,
 *  and stays the caller's. err is set by what fails. */
void wire_writer_start(struct wire_writer *writer, const struct wire_message *message, struct lest_buf *out,
                       struct lest_error *err);

/** Write an item that is no END; absent fields and flags that are false are not put. Its place is that of a
 *  reader, but an index is not looked at. The shape of the item is that of its place. False: err is set. */
bool wire_writer_put(struct wire_writer *writer, const struct wire_item *item) LEST_MUST_USE;

/** After the last item. Errors: LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status wire_writer_end(struct wire_writer *writer) LEST_MUST_USE;

#endif
