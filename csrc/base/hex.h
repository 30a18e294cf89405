/* Hexadecimal text. */
#ifndef LEST_BASE_HEX_H
#define LEST_BASE_HEX_H

#include "base/buf.h"

/** The value of a digit in either case, -1 for another character. */
int lest_hex_value(char c);

/** Read len digits, two a byte, into out, which has room for len / 2 bytes; false: something else than pairs
 *  of digits is among them. */
bool lest_hex_decode(const char *text, size_t len, uint8_t *out) LEST_MUST_USE;

/** Write two lower-case digits a byte: 2 * len characters, no NUL. */
void lest_hex_encode(const void *data, size_t len, char *out);

/** Append two lower-case digits a byte. */
void lest_hex_append(struct lest_buf *out, const void *data, size_t len);

#endif
