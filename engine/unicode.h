/* What a folder's tokenizer asks of characters beyond cutting into words: the composed form of a text. */
#ifndef ESPALIER_ENGINE_UNICODE_H
#define ESPALIER_ENGINE_UNICODE_H

#include "kernels/kernels.h"

/* Adds the n bytes of text in Unicode's form NFC. Bytes that are not UTF-8 stay what they are, and nothing composes across them. */
void engine_unicode_compose(const char *text, size_t n, struct string *out);

#endif
