/* Chat templates: the families known, told by the text of tokenizer.chat_template, a program that is not run. */
#ifndef ESPALIER_ENGINE_CHAT_H
#define ESPALIER_ENGINE_CHAT_H

#include "engine/engine.h"
#include "engine/file.h"

enum engine_chat_family { ENGINE_CHAT_NONE, ENGINE_CHAT_CHATML };

/* The family of a template's text. */
enum engine_chat_family engine_chat_family_of(struct engine_text template);
const char *engine_chat_family_name(enum engine_chat_family family);
/* Append the system message the template says itself when a conversation begins without one; nothing if it has none. */
void engine_chat_default_system(struct engine_text template, struct string *out);

#endif
