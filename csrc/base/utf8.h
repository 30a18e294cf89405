/* UTF-8 (RFC 3629 section 4). */
#ifndef LEST_BASE_UTF8_H
#define LEST_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/** Bytes of the character at the beginning of data, 1 to 4. 0 for no data, for NUL, and for what is no
 *  character: a form that is cut off or overlong, a surrogate, anything past U+10FFFF. */
size_t lest_utf8_length(const void *data, size_t len);

/** Whether the bytes are characters to their end, without NUL. */
bool lest_utf8_is_text(const void *data, size_t len);

/** The same, where NUL is a character like any other. */
bool lest_utf8_is_valid(const void *data, size_t len);

#endif
