/* UTF-8 (RFC 3629 section 4). */
#ifndef LEST_BASE_UTF8_H
#define LEST_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bytes of the character at the beginning of data, 1 to 4. 0 for no data, for NUL, and for what is no
 *  character: a form that is cut off or overlong, a surrogate, anything past U+10FFFF. */
size_t lest_utf8_length(const void *data, size_t len);

/** Whether the bytes are characters to their end, without NUL. */
bool lest_utf8_is_text(const void *data, size_t len);

/** The same, where NUL is a character like any other. */
bool lest_utf8_is_valid(const void *data, size_t len);

/** The character at the beginning of data, and its bytes; 0 for what is none. NUL is one here. */
size_t lest_utf8_decode(const void *data, size_t len, uint32_t *code);

/** Write a character, at most U+10FFFF, into out, which has room for its 1 to 4 bytes; returns how many. */
size_t lest_utf8_encode(uint32_t code, char *out);

/** How many bytes from the beginning are ASCII that is seen: what most text is, in which nothing needs a
 *  closer look. */
size_t lest_utf8_plain_length(const void *data, size_t len);

/** Whether a terminal obeys the character, or it hides or reorders the text beside it: controls,
 *  separators, and what Unicode calls Default_Ignorable_Code_Point: zero-width and directional marks,
 *  fillers, selectors, tags. */
bool lest_utf8_is_unseen(uint32_t code);

#endif
