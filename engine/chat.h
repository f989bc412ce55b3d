/* Chat templates: the families known, told by the text of tokenizer.chat_template, a program that is not run. */
#ifndef ESPALIER_ENGINE_CHAT_H
#define ESPALIER_ENGINE_CHAT_H

#include "engine/engine.h"
#include "engine/file.h"

struct engine_chat_family;

/* How a model is spoken to. {0} is a model without a template. */
struct engine_chat {
    const struct engine_chat_family *family; /* NULL: messages are joined by blank lines */
    int unknown;                             /* there is a template, of no family known */
    struct string begin, end;                /* the names of those tokens; may be empty */
    int begins;                              /* the begin token stands before everything */
    int says_system;                         /* a conversation without a system message begins with one, `system` */
    struct string system;
    const char *thinks; /* what an answer begins with after the family's own words, "<think>\n"; or "" */
    const char *thought; /* and what instead, where it is to be without thoughts: an empty block of them; thinks, if the template knows none */
    int forgets;        /* earlier answers lose what stands before their </think>; 2: and the newlines after it */
};

/* `has` says whether the vocabulary has a token of that name: a family whose marks are to be tokens is not one without them. begin and end
 * are what these tokens are called. */
void engine_chat_read(struct engine_chat *c, struct engine_text template, int (*has)(const void *vocabulary, const char *name),
                      const void *vocabulary);
void engine_chat_free(struct engine_chat *c);
const char *engine_chat_name(const struct engine_chat *c); /* "gemma"; "none", "unknown" */

/* Append the conversation, ending where the assistant's answer begins, or with what it begins with where the last message is the assistant's.
 * how: 0 or ENGINE_BRIEF. own has a byte for each of text: 1 where it is the template's, 0 where it came with a message. */
void engine_chat_render(const struct engine_chat *c, const struct engine_message *messages, int n, int how, struct string *text,
                        struct string *own);

/* Append what ends an answer. */
void engine_chat_close(const struct engine_chat *c, struct string *text);

#endif
