/* What a frame of the explorer costs: drawing it on the canvas, over trees of three shapes.
 *   make build/tests/bench_screen && build/tests/bench_screen
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
    for (int i = 1; i < nodes; i++) {
        int any = (int)(random_uniform(5, 0, (uint64_t)i) * i);
        int parent = shape == 0 ? any / 3 : shape == 1 ? 0 : i < 5000 ? i - 1 : any % 5000;
        script_thought(s, parent, -1, 0, 0, texts[i % 3], states[i % 3], NULL, -1, NULL);
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

int main(void)
{
    static const char *const shapes[] = {"bushy", "wide", "deep"};
    static const int sizes[] = {1000, 100000, 1000000};
    printf("%-6s %9s  %10s  %s\n", "tree", "nodes", "fold us", "worst frame of a key, ms: G, k, 500000G, h, l, g, 100000j (200x50)");
    for (int shape = 0; shape < 3; shape++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct tui_screen s;
            int nodes = shape == 2 && sizes[i] > 100000 ? 100000 : sizes[i];
            double start = cpu_seconds();
            grow(&s, shape, nodes);
            printf("%-6s %9d  %10.2f ", shapes[shape], nodes, (cpu_seconds() - start) / nodes * 1e6);
            static const char *const keys[] = {"G", "k", "500000G", "h", "l", "g", "100000j"};
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
