/* Tokens as text: characters cut by their boundaries are whole again, and each is coloured by its probability. */
#ifndef ESPALIER_TUI_SPELLING_H
#define ESPALIER_TUI_SPELLING_H

#include "tui/paper.h"
#include "tui/screen.h"

/* The bytes of some tokens in a row, and where each begins. */
struct tui_spelling {
    const struct engine_token *tokens;
    int count;
    struct string text;
    size_t *starts, skipped;
    struct tui_token_cell *cells; /* [count]: gets where each token is drawn, where y < 0; or NULL */
    int cursor, at;
    int styled; /* the token whose style this is */
    struct tui_style style;
};
void tui_spell(const struct tui_screen *s, const struct engine_token *tokens, int count, struct tui_spelling *out);
void tui_spelling_free(struct tui_spelling *s);
void tui_spelling_write(struct tui_paper *p, struct tui_spelling *s);
/* A token between quotes, its newlines and tabs spelled, and the bytes that are only a part of a character. malloc'ed. */
char *tui_spelling_quoted(const struct tui_screen *s, int id);

#endif
