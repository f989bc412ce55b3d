/* What a frame of the explorer costs: drawing it on the canvas, over trees of three shapes.
 *   make build/tests/bench_screen && build/tests/bench_screen          the tree, sizes and shapes
 *   build/tests/bench_screen views                                     every view; what goes on in slices
 *   build/tests/bench_screen slices                                    only that
 */
#include "tests/screen_script.h"

#include <time.h>

/* Of this thread: other programs on the machine are not ours to measure. */
static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Bushy: any node may have children; wide: all under the root; deep: five thousand levels (more only with a search that is lost). */
static void grow(struct tui_screen *s, int shape, int nodes)
{
    static const char *const texts[] = {"10 - 4 = 6 (left: 5 6 6)", "4 * 6 = 24 (left: 5 10 24)", "5 + 6 = 11 (left: 4 10 11)"};
    static const char *const states[] = {"5 6 6", "5 10 24", "4 10 11"};
    script_begin(s, "game24", "4 5 6 10", "mcts");
    tui_outline_unfold(&s->outline, 1); /* three texts: they would be three rows */
    for (int i = 1; i < nodes; i++) {
        int any = (int)(random_uniform(5, 0, (uint64_t)i) * i);
        int parent = shape == 0 ? any / 3 : shape == 1 ? 0 : i < 5000 ? i - 1 : any % 5000;
        script_thought(s, parent, -1, 0, 0, texts[i % 3], states[i % 3], NULL, -1, NULL);
        if (i % 500 == 0) /* moments to go to */
            script_plan(s, "sample from 1 state", SEARCH_SAMPLE, (int[]){parent}, 1, 1);
    }
}

static double frames(struct tui_screen *s, const char *keys, int columns, int rows)
{
    double worst = 0;
    for (const char *k = keys; *k; k++) {
        double start = cpu_seconds();
        tui_screen_key(s, *k);
        tui_screen_draw(s, columns, rows);
        double took = cpu_seconds() - start;
        worst = took > worst ? took : worst;
    }
    return worst * 1e3;
}

/* --- every view -------------------------------------------------------------------------------------------------- */

static int compare_times(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Keys of all sorts, a frame after each, the view in the left pane or in the right one: the time that one frame in a hundred exceeds. */
static void bench_views(struct tui_screen *s, const char *shape, int nodes)
{
    enum { ROUNDS = 25 };
    static const char keys[] = "jjjkljhjGkkgjl5j3k9jhl7kjG";
    static double times[ROUNDS * sizeof keys];
    const struct tui_view *view;
    for (int v = 0; (view = tui_view_at(v)); v++) {
        int count = 0;
        char *command = xasprintf(":view %s\r", view->name);
        s->places.views[0] = &tui_view_tree;
        for (const char *k = v ? "\033\t" : "\033"; *k; k++)
            tui_screen_key(s, *k);
        for (const char *k = command; *k; k++)
            tui_screen_key(s, *k);
        free(command);
        int frames_to_settle = 0;
        for (tui_screen_draw(s, 200, 50); s->busy && frames_to_settle < 100000; frames_to_settle++)
            tui_screen_draw(s, 200, 50);
        for (int round = 0; round < ROUNDS; round++)
            for (const char *k = keys; *k; k++) {
                double start = cpu_seconds();
                tui_screen_key(s, *k);
                tui_screen_draw(s, 200, 50);
                times[count++] = cpu_seconds() - start;
            }
        qsort(times, (size_t)count, sizeof *times, compare_times);
        printf("%-6s %9d  %-11s p50 %5.2f  p99 %5.2f  most %5.2f ms  (%d frames until it was there)\n", shape, nodes, view->name, times[count / 2] * 1e3,
               times[count * 99 / 100] * 1e3, times[count - 1] * 1e3, frames_to_settle);
    }
}

/* What goes on in slices: the longest that a key would have to wait, for another key's own work, a slice or a frame. */
struct waits {
    double key, slice, frame, all;
    int slices;
};

static double since(double *start)
{
    const double now = cpu_seconds(), took = now - *start;
    *start = now;
    return took;
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

static void settle(struct tui_screen *s, const char *what, struct waits w)
{
    do {
        double start = cpu_seconds();
        tui_screen_work(s);
        const double slice = since(&start);
        if (w.slices % 16 == 0) {
            tui_screen_draw(s, 200, 50);
            w.frame = most(w.frame, since(&start));
        }
        w.slice = most(w.slice, slice);
        w.all += slice;
        w.slices++;
    } while (s->busy);
    printf("%-14s the key %5.2f, then %5d slices, %5.0f ms in all; the longest slice %5.2f, frame %5.2f ms\n", what, w.key * 1e3, w.slices,
           w.all * 1e3, w.slice * 1e3, w.frame * 1e3);
}

static void bench_keys(struct tui_screen *s, const char *keys, const char *what)
{
    struct waits w = {0};
    for (const char *k = keys; *k; k++) {
        double start = cpu_seconds();
        tui_screen_key(s, *k);
        w.key = most(w.key, since(&start));
    }
    settle(s, what, w);
}

/* An event that changes the past, as it comes. */
static void bench_event(struct tui_screen *s, enum search_event_kind kind, int64_t target, const char *what)
{
    struct waits w = {0};
    struct search_event *e = script_make(kind);
    if (kind == SEARCH_EVENT_BACK)
        e->back.target = target;
    else if (kind == SEARCH_EVENT_PRUNE)
        e->prune.node = (int)target;
    else
        e->undo.target = target;
    double start = cpu_seconds();
    script_emit(s, e);
    w.key = since(&start);
    settle(s, what, w);
}

static void bench_slices(struct tui_screen *s)
{
    bench_keys(s, "\033g/nothing has this\r", "/");
    bench_keys(s, "\033g\\10 - 4\r", "\\ a text");
    bench_keys(s, "\\\r", "\\ nothing");
    bench_keys(s, "*", "*");
    bench_keys(s, "*", "* again");
    bench_keys(s, "[", "[");
    bench_keys(s, "[", "[ again");
    bench_keys(s, "]", "]");
    bench_keys(s, "9[", "9[");
    bench_keys(s, "}", "}");
    bench_keys(s, "{", "{");
    bench_keys(s, "}", "} again");
    const int64_t last = s->moments[s->moment_count - 1], act = s->tree.event_count;
    bench_event(s, SEARCH_EVENT_BACK, last, "back");
    bench_event(s, SEARCH_EVENT_UNDO, act, "undo of back");
    bench_event(s, SEARCH_EVENT_PRUNE, 1, "prune");
    bench_event(s, SEARCH_EVENT_UNDO, act + 2, "undo of prune");
}

static void bench_all_views(void)
{
    static const char *const shapes[] = {"bushy", "wide"};
    static const int sizes[] = {1000, 1000000};
    for (int shape = 0; shape < 2; shape++)
        for (int i = 0; i < 2; i++) {
            struct tui_screen s;
            grow(&s, shape, sizes[i]);
            tui_screen_draw(&s, 200, 50);
            bench_views(&s, shapes[shape], sizes[i]);
            if (i)
                bench_slices(&s);
            tui_screen_free(&s);
        }
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "slices")) {
        for (int shape = 0; shape < 2; shape++) {
            struct tui_screen s;
            grow(&s, shape, 1000000);
            tui_screen_draw(&s, 200, 50);
            bench_slices(&s);
            tui_screen_free(&s);
        }
        return 0;
    }
    if (argc > 1) {
        bench_all_views();
        return 0;
    }
    static const char *const shapes[] = {"bushy", "wide", "deep"};
    static const int sizes[] = {1000, 100000, 1000000};
    printf("%-6s %9s  %10s  %s\n", "tree", "nodes", "fold us", "worst frame of a key, ms: G, k, 500000G, h, l, g, 100000j, * twice (200x50)");
    for (int shape = 0; shape < 3; shape++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct tui_screen s;
            int nodes = shape == 2 && sizes[i] > 100000 ? 100000 : sizes[i];
            double start = cpu_seconds();
            grow(&s, shape, nodes);
            printf("%-6s %9d  %10.2f ", shapes[shape], nodes, (cpu_seconds() - start) / nodes * 1e6);
            static const char *const keys[] = {"G", "k", "500000G", "h", "l", "g", "100000j", "**"};
            for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
                printf(" %6.2f", frames(&s, keys[k], 200, 50));
            printf("\n");
            tui_screen_free(&s);
        }
    /* A long thought under the cursor: every token is coloured and wrapped anew. */
    struct tui_screen s;
    struct string text = {0};
    for (int i = 0; i < 4000; i++)
        string_addf(&text, "word%d%s", i % 97, i % 40 == 39 ? "\n" : " ");
    script_begin(&s, "ask", "long", "sample");
    int count;
    int64_t c = script_completion(&s, 0, 0, text.text);
    free(script_tokens(text.text, &count));
    script_thought(&s, 0, c, 0, count, text.text, NULL, NULL, -1, NULL);
    tui_screen_draw(&s, 200, 50);
    printf("a thought of %d tokens: %.2f ms a frame\n", count, frames(&s, "\tlllljjjjG", 200, 50));
    tui_screen_free(&s);
    string_free(&text);
    return 0;
}
