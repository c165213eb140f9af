#pragma once
/* UTF-8, as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. Pure. */
#include "base/base.h"

/* Length in bytes (1 to 4) of the well-formed character at the front of s; 0 when there is none,
 * also because it is cut short. */
size_t utf8_char(struct span s);

/* Bytes at the front of s that are well-formed; s.len when all of it is. */
size_t utf8_valid_len(struct span s);

/* Encodes one scalar value (not a surrogate, at most 0x10FFFF). Returns the bytes written, 1 to 4.
 */
size_t utf8_encode(uint32_t scalar, char out[4]);
