#include "search/usage.h"

#include <stdlib.h>
#include <string.h>

/* Where a walk along the tokens ends: `matched` of them, the last `inside` of which lie on `edge`. */
struct place {
    int edge, inside, matched;
};

static struct place walk(const struct search_prefixes *p, const int *tokens, int n)
{
    struct place at = {0, 0, 0};
    while (at.matched < n) {
        int next = p->edges[at.edge].child;
        while (next >= 0 && p->pool[p->edges[next].first] != tokens[at.matched])
            next = p->edges[next].sibling;
        if (next < 0)
            break;
        const struct search_edge *e = &p->edges[next];
        at.edge = next;
        for (at.inside = 0;
             at.inside < e->length && at.matched < n && p->pool[e->first + at.inside] == tokens[at.matched];
             at.inside++)
            at.matched++;
        if (at.inside < e->length)
            break;
    }
    return at;
}

int search_prefixes_find(const struct search_prefixes *p, const int *tokens, int n)
{
    return p->count ? walk(p, tokens, n).matched : 0;
}

static int add_edge(struct search_prefixes *p, struct search_edge edge)
{
    ARRAY_RESERVE(p->edges, p->count, p->capacity);
    p->edges[p->count] = edge;
    return p->count++;
}

/* Cut the edge after `inside` tokens: what is below it goes below its second part. */
static void split(struct search_prefixes *p, int edge, int inside)
{
    struct search_edge second = p->edges[edge];
    second.first += inside;
    second.length -= inside;
    second.sibling = -1;
    int below = add_edge(p, second);
    p->edges[edge].length = inside;
    p->edges[edge].child = below;
}

void search_prefixes_add(struct search_prefixes *p, const int *tokens, int n)
{
    if (!p->count)
        add_edge(p, (struct search_edge){.child = -1, .sibling = -1});
    struct place at = walk(p, tokens, n);
    if (at.matched == n)
        return;
    if (at.inside < p->edges[at.edge].length)
        split(p, at.edge, at.inside);
    int first = p->pool_count;
    for (int i = at.matched; i < n; i++) {
        ARRAY_RESERVE(p->pool, p->pool_count, p->pool_capacity);
        p->pool[p->pool_count++] = tokens[i];
    }
    int edge =
        add_edge(p, (struct search_edge){
                        .first = first, .length = n - at.matched, .child = -1, .sibling = p->edges[at.edge].child});
    p->edges[at.edge].child = edge;
}

void search_prefixes_free(struct search_prefixes *p)
{
    free(p->edges);
    free(p->pool);
    *p = (struct search_prefixes){0};
}

struct search_usage search_usage_of(const struct engine *engine, int prompt, int cached, int completion)
{
    int64_t rows = (int64_t)prompt - cached + completion;
    return (struct search_usage){.prompt = prompt,
                                 .cached = cached,
                                 .completion = completion,
                                 .flops = rows ? engine_flops(engine, cached, rows, completion) : 0};
}
