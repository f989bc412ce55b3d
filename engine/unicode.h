/* What a folder's tokenizer asks of characters beyond cutting into words: the composed form of a text, and white space. */
#ifndef ESPALIER_ENGINE_UNICODE_H
#define ESPALIER_ENGINE_UNICODE_H

#include "kernels/kernels.h"

/* Adds the n bytes of text in Unicode's form NFC. Bytes that are not UTF-8 stay what they are, and nothing composes across them. */
void engine_unicode_compose(const char *text, size_t n, struct string *out);

/* How many of the n bytes of text are white space (the property White_Space, in UTF-8) at its beginning, and at its end. */
size_t engine_unicode_space_first(const char *text, size_t n);
size_t engine_unicode_space_last(const char *text, size_t n);

#endif
