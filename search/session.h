/* What the readers of sessions share. Private to search/. */
#ifndef ESPALIER_SEARCH_SESSION_H
#define ESPALIER_SEARCH_SESSION_H

#include "search/search.h"

/* A new last session, its tree empty; the title is copied. */
struct search_session *search_sessions_add(struct search_sessions *sessions, const char *title);
/* Read the JSON array of a published log (published.c). */
int search_published_read(struct search_sessions *out, const char *text, size_t n, const char *path, struct error *e);

#endif
