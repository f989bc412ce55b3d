/* How lessons are read from files and sessions. Private to search/. */
#ifndef ESPALIER_SEARCH_LESSONS_H
#define ESPALIER_SEARCH_LESSONS_H

#include "search/search.h"

/* What is being read, and where it goes. */
struct search_lesson_reader {
    const struct search_lessons_options *options;
    struct search_lesson_list *to, *validation; /* validation: what is held out */
    struct search_lessons_about *about;
};
/* The token that ends what an assistant says, where generation stops; -1: there is none. */
int search_lesson_end(const struct engine *engine);
/* Keep a lesson, held out or not by `key`, unless it is too long. */
void search_lesson_keep(struct search_lesson_reader *r, uint64_t key, const struct engine_tokens *ids, const unsigned char *learned);
/* Every line of a file. */
int search_lessons_read(struct search_lesson_reader *r, const char *path, struct error *e);/* A session's file, or every one in a folder. */
int search_lessons_read_sessions(struct search_lesson_reader *r, const char *path, struct error *e);

#endif
