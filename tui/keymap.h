/* The user's own keys: a key stands for others, pressed in a row with their usual meaning, or for a command as after ':'. */
#ifndef ESPALIER_TUI_KEYMAP_H
#define ESPALIER_TUI_KEYMAP_H

#include "search/search.h"
#include "tui/key.h"

/* Invariant: no two bindings of one key. */
struct tui_binding {
    int32_t key;
    int32_t *keys; /* [count]; none: the key does nothing */
    int count;
    char *command; /* or NULL */
    char *from, *to; /* as they were written */
};
struct tui_keymap {
    struct tui_binding *list;
    int count, capacity;
};
/* From YAML: {J: 10j, space: none, f5: ":theme light", ctrl-n: down}. Errors at the node. */
int tui_keymap_read(struct tui_keymap *m, const struct search_yaml *node, struct error *e);
const struct tui_binding *tui_keymap_find(const struct tui_keymap *m, int32_t key); /* or NULL */
const char *tui_key_name(int32_t key, char out[16]); /* as it is written there, ^N for ctrl-n; "": it has none */
void tui_key_refuse(int32_t key, char *out, size_t size); /* what is told of one that does nothing; "": it is none */
void tui_keymap_free(struct tui_keymap *m);

#endif
