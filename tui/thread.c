#include "tui/thread.h"
#include "tui/screen.h"
#include "tui/terminal.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { COMMANDS = 64 };
static const double snapshot_interval = 1.0 / 30;

/* A search of the thread's, and what is told of it. */
struct runner {
    struct tui_thread *thread;
    int number;
    struct search *search;
    int done;
    char *broke;            /* why a breakpoint stopped it, the first since it was let go; or NULL */
    int broke_at;
    const struct search_event *breaks; /* that the breakpoints are of */
    struct search_breakpoints breakpoints;
};

/* Above the line: shared, under the lock. Below: the engine thread's own once it runs. */
struct tui_thread {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a command came, or the thread has ended */
    struct tui_action commands[COMMANDS]; /* their words are owned */
    int command_count;
    struct tui_news *news;  /* made, not yet taken */
    int news_count, news_capacity;
    struct tui_snapshot *snapshots; /* [count] */
    int fresh, urgent;      /* they have not been taken; and are not to wait */
    int hushed;             /* only what is urgent wakes */
    char notice[TUI_NOTICE];
    int quit, ended, wake;

    pthread_t thread;
    const struct tui_options *options;
    struct tui_searches *searches;
    struct engine *engine, *judge; /* judge: the judges' own model, or NULL */
    struct runner *runners;
    struct search_group *group;
    int count;
    enum tui_state state;   /* of all; of those that are done it is told that they are */
    struct error failure;   /* state TUI_FAILED, for good */
    int stepped, steps;     /* in state TUI_STEPPING: which search, and how many steps to go */
    int counting;           /* votes are counted again: what would cost tokens is not begun */
    int finishing;          /* in state TUI_STEPPING: until the next path is complete */
    int broke, hits;        /* one was hit just now; how many were */
    double told, rest;      /* when the last snapshots were made, and how long none are after */
    struct tui_news *made;  /* since then */
    int made_count, made_capacity;
    char guard[TUI_GUARD_STACK];
};

/* --- the engine thread: what it tells ------------------------------------------------------------------------------ */

/* A rule of a later version is left out. */
static void read_breakpoints(struct runner *r)
{
    const struct search_event *now = search_tree(r->search)->breaks;
    struct error e;
    if (now != r->breaks)
        search_breakpoints_read(&r->breakpoints, now ? now->stops.rules : "", &e);
    r->breaks = now;
}

static char *completes_path(const struct search_event *event, int *node)
{
    if (event->kind != SEARCH_EVENT_THOUGHT || event->thought.by_user || event->thought.illegal || !event->thought.final)
        return NULL;
    *node = event->thought.node;
    return event->thought.answer ? xasprintf("a path is complete: thought %d answers %s", *node, event->thought.answer)
                                 : xasprintf("a path is complete: thought %d ends it without an answer", *node);
}

/* What was before the search was opened stops nothing. */
static void hold_against_breakpoints(struct tui_thread *t, struct runner *r, const struct search_event *event)
{
    int node;
    if (r->search)
        read_breakpoints(r);
    char *why = r->search ? search_breakpoints_hit(&r->breakpoints, search_tree(r->search), event, &node) : NULL;
    if (!why && r->search && t->finishing && r->number == t->stepped)
        why = completes_path(event, &node);
    if (why && !r->broke) {
        r->broke = why;
        r->broke_at = node;
        t->broke = 1;
        t->hits++;
    } else {
        free(why);
    }
}

/* Every event of every search comes by here, in order. */
static void take_event(void *context, struct search_event *event)
{
    struct runner *r = context;
    struct tui_thread *t = r->thread;
    hold_against_breakpoints(t, r, event);
    ARRAY_RESERVE(t->made, t->made_count, t->made_capacity);
    t->made[t->made_count++] = (struct tui_news){r->number, search_event_keep(event)};
}

static enum tui_state state_of(const struct tui_thread *t, const struct runner *r)
{
    if (t->state == TUI_FAILED || t->state == TUI_LOADING)
        return t->state;
    return r->done ? TUI_DONE : t->state == TUI_STEPPING && r->number != t->stepped ? TUI_PAUSED : t->state;
}

static int64_t memory_now(void)
{
    long long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f)
        return 0;
    if (fscanf(f, "%lld %lld", &size, &resident) != 2)
        resident = 0;
    fclose(f);
    return resident * sysconf(_SC_PAGESIZE);
}

/* For all their tokens there is one piece of memory: with thousands of them that is most of what a snapshot takes. */
static struct tui_lives take_lives(const struct search *search)
{
    struct tui_lives out = {0};
    struct search_live live = SEARCH_LIVE_NONE;
    size_t tokens = 0;
    int count = 0;
    for (; search_live(search, &live); count++)
        tokens += (size_t)live.count;
    if (!count)
        return out;
    out.list = xmalloc((size_t)count * sizeof *out.list);
    out.tokens = tokens ? xmalloc(tokens * sizeof *out.tokens) : NULL;
    struct engine_token *next = out.tokens;
    for (live = SEARCH_LIVE_NONE; search_live(search, &live);) {
        out.list[out.count++] = (struct tui_live){live.node, live.item, live.sample, live.purpose, next, live.count};
        if (live.count) {
            memcpy(next, live.tokens, (size_t)live.count * sizeof *next);
            next += live.count;
        }
    }
    return out;
}

static struct tui_snapshot take_snapshot(const struct tui_thread *t, const struct runner *r, double now, int64_t memory)
{
    struct tui_snapshot s = {.state = state_of(t, r), .engine = t->engine, .memory = memory, .time = now, .failure = t->failure};
    const struct search_event *breaks = r->search ? search_tree(r->search)->breaks : NULL;
    s.breakpoints = breaks && *breaks->stops.rules ? xstrdup(breaks->stops.rules) : NULL;
    s.broke = xstrdup(r->broke);
    s.broke_at = r->broke_at;
    s.hits = t->hits;
    s.worked = r->search ? search_seconds(r->search) : 0;
    if (t->engine)
        engine_statistics(t->engine, &s.statistics);
    if (r->search)
        s.live = take_lives(r->search);
    return s;
}

/* Under the lock. */
static void wake(const struct tui_thread *t)
{
    uint64_t one = 1;
    ssize_t written = t->hushed && !t->urgent ? 0 : write(t->wake, &one, sizeof one);
    (void)written; /* a full counter wakes as well */
}

/* Under the lock. */
static void hand_over_events(struct tui_thread *t)
{
    for (int i = 0; i < t->made_count; i++) {
        ARRAY_RESERVE(t->news, t->news_count, t->news_capacity);
        t->news[t->news_count++] = t->made[i];
    }
    t->made_count = 0;
}

/* What has been recorded is known at once. That it is written no more the screen knows by itself. */
static void tell_events(struct tui_thread *t)
{
    pthread_mutex_lock(&t->lock);
    hand_over_events(t);
    wake(t);
    pthread_mutex_unlock(&t->lock);
}

/* No snapshot is older than the events that came with it. They take a hundredth of the time at most: with thousands of samples asked for
 * one is dear. urgent: an answer to a command, or another state. */
static void tell(struct tui_thread *t, int urgent)
{
    double now = clock_seconds();
    int64_t memory = memory_now();
    struct tui_snapshot *fresh = xcalloc((size_t)t->count, sizeof *fresh);
    for (int i = 0; i < t->count; i++)
        fresh[i] = take_snapshot(t, &t->runners[i], now, memory);
    pthread_mutex_lock(&t->lock);
    hand_over_events(t);
    struct tui_snapshot *old = t->snapshots;
    t->snapshots = fresh;
    t->fresh = 1;
    t->urgent |= urgent;
    wake(t);
    pthread_mutex_unlock(&t->lock);
    for (int i = 0; i < t->count; i++)
        tui_snapshot_free(&old[i]);
    free(old);
    t->told = clock_seconds();
    t->rest = fmax(snapshot_interval, 100 * (t->told - now));
}

static void tell_notice(struct tui_thread *t, const char *text)
{
    pthread_mutex_lock(&t->lock);
    snprintf(t->notice, sizeof t->notice, "%.*s", (int)sizeof t->notice - 1, text);
    pthread_mutex_unlock(&t->lock);
}

static void fail(struct tui_thread *t, const struct error *e)
{
    t->state = TUI_FAILED;
    t->failure = *e;
    tell(t, 1);
}

/* --- what it is told ----------------------------------------------------------------------------------------------- */

static int is_running(const struct tui_thread *t)
{
    return t->state == TUI_RUNNING || t->state == TUI_STEPPING;
}

static int all_done(const struct tui_thread *t)
{
    for (int i = 0; i < t->count; i++)
        if (!t->runners[i].done)
            return 0;
    return 1;
}

/* only: this one alone; -1: all of them. */
static void let_go(struct tui_thread *t, int only)
{
    for (int i = 0; i < t->count; i++)
        search_group_hold(t->group, t->runners[i].search, only >= 0 && i != only);
}

static void step(struct tui_thread *t, int search, int steps)
{
    t->steps = (t->state == TUI_STEPPING && t->stepped == search && !t->counting ? t->steps : 0) + steps;
    t->stepped = search;
    t->counting = t->finishing = 0;
    t->state = TUI_STEPPING;
    let_go(t, search);
}

static void finish(struct tui_thread *t, int search)
{
    step(t, search, 0);
    t->finishing = 1;
}

static int is_verb(const char *words, const char *verb)
{
    size_t n = strlen(verb);
    words += strspn(words, " ");
    return !strncmp(words, verb, n) && (!words[n] || words[n] == ' ');
}

/* The act that "undo" or "redo" would move over; NULL. */
static const struct search_event *moved_over(const struct search_tree *tree, const char *words)
{
    if (is_verb(words, "undo") && tree->undo_count)
        return tree->events[tree->undo[tree->undo_count - 1]];
    return is_verb(words, "redo") && tree->redo_count ? tree->events[tree->undo[tree->undo_count]] : NULL;
}

/* Do these words change only how votes are counted, or a mark? Then a search that was done is done again at once, without a token.
 * Asked before they are done. */
static int is_recount(const struct search_tree *tree, const char *words)
{
    const struct search_event *act = moved_over(tree, words);
    if (act)
        return act->kind == SEARCH_EVENT_REVOTE || act->kind == SEARCH_EVENT_KEEP;
    return is_verb(words, "exclude") || is_verb(words, "include") || is_verb(words, "weight") || is_verb(words, "keep") || is_verb(words, "unkeep");
}

/* Everything since the result was taken back: the search is as done as it was then. */
static int is_done_again(const struct search_tree *tree)
{
    int64_t i = tree->event_count - 1;
    while (i >= 0 && (tree->out[i] || tree->events[i]->kind == SEARCH_EVENT_UNDO || tree->events[i]->kind == SEARCH_EVENT_REDO))
        i--;
    return i >= 0 && tree->events[i]->kind == SEARCH_EVENT_RESULT;
}

/* Which act it was: the latest event is an undo or a redo. */
static void tell_moved_over(struct tui_thread *t, const struct search_tree *tree)
{
    const struct search_event *e = tree->event_count ? tree->events[tree->event_count - 1] : NULL;
    if (!e || (e->kind != SEARCH_EVENT_UNDO && e->kind != SEARCH_EVENT_REDO))
        return;
    char *text = tui_event_text(tree, e), *notice = xasprintf(e->kind == SEARCH_EVENT_UNDO ? "taken back: %s" : "done again: %s", text);
    tell_notice(t, notice);
    free(notice);
    free(text);
}

/* What is asked for is begun even while paused: another sample; the tally of votes counted again. */
static void do_words(struct tui_thread *t, struct runner *r, const char *words)
{
    struct error e = {0};
    int was_done = r->done, recount = is_recount(search_tree(r->search), words);
    if (search_do(r->search, words, &e)) {
        tell_notice(t, e.message);
        return;
    }
    r->done = 0;
    tell_moved_over(t, search_tree(r->search));
    if (is_verb(words, "back")) {
        t->state = TUI_PAUSED;
    } else if (!is_running(t) && (is_verb(words, "again") || is_verb(words, "fork") || is_verb(words, "revote"))) {
        step(t, r->number, 1 + search_tree(r->search)->step_open);
    } else if (!is_running(t) && recount && was_done) {
        step(t, r->number, 2); /* a decision, the result */
        t->counting = 1;
    } else if (!is_running(t) && (is_verb(words, "undo") || is_verb(words, "redo"))) {
        r->done = is_done_again(search_tree(r->search));
    }
}

static int is_about_breakpoints(const struct runner *r, const char *words)
{
    const struct search_event *act = moved_over(search_tree(r->search), words);
    return act ? act->kind == SEARCH_EVENT_BREAK : is_verb(words, "break") || is_verb(words, "unbreak");
}

/* All searches of a race stop at the same places; what one of them stops at already is said only where it is the one shown. */
static void set_breakpoint(struct tui_thread *t, struct runner *r, const char *words)
{
    struct error e, others;
    for (int i = 0; i < t->count; i++)
        if (&t->runners[i] != r && is_about_breakpoints(&t->runners[i], words))
            search_do(t->runners[i].search, words, &others);
    int code = search_do(r->search, words, &e);
    const struct search_event *now = search_tree(r->search)->breaks;
    char *notice = code ? xstrdup(e.message) : now && *now->stops.rules ? xasprintf("it stops at: %s", now->stops.rules) : xstrdup("it stops nowhere by itself");
    tell_notice(t, notice);
    free(notice);
}

static void forget_hits(struct tui_thread *t)
{
    for (int i = 0; i < t->count; i++) {
        free(t->runners[i].broke);
        t->runners[i].broke = NULL;
    }
    t->broke = 0;
}

static void do_command(struct tui_thread *t, struct tui_action action)
{
    struct runner *r = &t->runners[action.search];
    if (t->state == TUI_FAILED) {
        tell_notice(t, "the engine has failed; q quits");
        return;
    }
    if ((action.act == TUI_ACT_RUN && all_done(t)) || ((action.act == TUI_ACT_STEP || action.act == TUI_ACT_FINISH) && r->done)) {
        tell_notice(t, "the search is done; prune a thought and it looks elsewhere");
        return;
    }
    if (action.act == TUI_ACT_DO && is_about_breakpoints(r, action.words)) {
        set_breakpoint(t, r, action.words);
        return;
    }
    if (action.act != TUI_ACT_PAUSE)
        forget_hits(t);
    switch (action.act) {
    case TUI_ACT_RUN:
        t->state = TUI_RUNNING;
        t->counting = t->finishing = 0;
        let_go(t, -1);
        break;
    case TUI_ACT_STEP:
        step(t, action.search, action.number);
        break;
    case TUI_ACT_FINISH:
        finish(t, action.search);
        break;
    case TUI_ACT_PAUSE:
        if (is_running(t))
            t->state = TUI_PAUSED;
        break;
    case TUI_ACT_DO:
        do_words(t, r, action.words);
        break;
    default:
        break;
    }
}

/* Wait while there is nothing to do; do the commands that came. 0: it is time to end. */
static int attend(struct tui_thread *t)
{
    struct tui_action commands[COMMANDS];
    for (int i = 0; i < t->count && !is_running(t); i++)
        if (t->runners[i].search)
            search_rest(t->runners[i].search);
    pthread_mutex_lock(&t->lock);
    while (!t->quit && !t->command_count && !is_running(t))
        pthread_cond_wait(&t->changed, &t->lock);
    int count = t->command_count, quit = t->quit;
    memcpy(commands, t->commands, (size_t)count * sizeof *commands);
    t->command_count = 0;
    pthread_mutex_unlock(&t->lock);
    for (int i = 0; i < count; i++) {
        if (!quit)
            do_command(t, commands[i]);
        free((char *)commands[i].words);
    }
    if (count && !quit)
        tell(t, 1);
    return !quit;
}

/* --- what it does -------------------------------------------------------------------------------------------------- */

static struct runner *runner_of(struct tui_thread *t, const struct search *search)
{
    for (int i = 0; i < t->count; i++)
        if (t->runners[i].search == search)
            return &t->runners[i];
    return NULL;
}

static void grow(struct tui_thread *t)
{
    enum search_status status;
    struct search *moved;
    struct error e;
    if (search_group_advance(t->group, &moved, &status, &e)) {
        fail(t, &e);
        return;
    }
    enum tui_state before = t->state;
    struct runner *r = runner_of(t, moved);
    int ended = status == SEARCH_DONE;
    if (ended && r)
        r->done = 1;
    for (int i = 0; i < t->count && ended && !r; i++) /* all that are not held: of one that came to its end twice we are not told twice */
        t->runners[i].done |= t->state == TUI_RUNNING || i == t->stepped;
    if ((!r && ended) || all_done(t) || (ended && t->state == TUI_STEPPING))
        t->state = TUI_PAUSED;
    else if (r && status == SEARCH_BETWEEN && t->state == TUI_STEPPING && !t->finishing && --t->steps <= 0)
        t->state = TUI_PAUSED;
    else if (r && t->state == TUI_STEPPING && t->counting && search_tree(r->search)->step_open)
        t->state = TUI_PAUSED;
    if (t->broke)
        t->state = TUI_PAUSED;
    t->broke = 0;
    const int urgent = ended || t->state != before;
    if (urgent || clock_seconds() - t->told >= t->rest)
        tell(t, urgent);
    else if (t->made_count)
        tell_events(t);
}

/* The one place where searches are opened. */
static int open_searches(struct tui_thread *t, struct error *e)
{
    int code = tui_engine_open_at(t->options, t->searches->model, TUI_MODEL, &t->engine, e);
    if (!code)
        code = tui_judge_open(t->options, &t->judge, e);
    t->group = search_group_open();
    for (int i = 0; i < t->count && !code; i++) {
        struct runner *r = &t->runners[i];
        code = tui_searches_start(t->searches, i, t->engine, t->judge, take_event, r, &r->search, e);
        if (!code)
            search_group_add(t->group, r->search);
    }
    return code;
}

static void close_searches(struct tui_thread *t)
{
    search_group_close(t->group);
    for (int i = 0; i < t->count; i++) {
        search_close(t->runners[i].search);
        t->runners[i].search = NULL;
    }
    engine_close(t->judge);
    engine_close(t->engine);
    t->engine = t->judge = NULL;
}

static void *run(void *context)
{
    struct tui_thread *t = context;
    struct error e;
    tui_terminal_guard_stack(t->guard, sizeof t->guard);
    if (open_searches(t, &e)) {
        while (t->made_count) /* all or none: a race lacks no runner */
            search_event_release(t->made[--t->made_count].event);
        fail(t, &e);
    } else {
        t->state = t->options->paused ? TUI_PAUSED : TUI_RUNNING;
        struct string note = {0}, clean = {0};
        tui_adapters_note(t->engine, &note);
        utf8_sanitize(&clean, string_text(&note), note.length, 0);
        tell_notice(t, note.length ? string_text(&clean) : t->searches->notice);
        string_free(&note);
        string_free(&clean);
        tell(t, 1);
    }
    while (attend(t))
        if (is_running(t))
            grow(t);
    close_searches(t);
    pthread_mutex_lock(&t->lock);
    t->ended = 1;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* --- the terminal's thread --------------------------------------------------------------------------------------- */

/* Signals are for the terminal's thread. Faults are of the thread that commits them: blocked, they would kill without a handler. */
static int create(struct tui_thread *t)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&t->thread, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

static void free_thread(struct tui_thread *t)
{
    for (int i = 0; i < t->news_count; i++)
        search_event_release(t->news[i].event);
    for (int i = 0; i < t->made_count; i++)
        search_event_release(t->made[i].event);
    for (int i = 0; i < t->command_count; i++)
        free((char *)t->commands[i].words);
    for (int i = 0; i < t->count; i++)
        tui_snapshot_free(&t->snapshots[i]);
    forget_hits(t);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    if (t->wake >= 0)
        close(t->wake);
    free(t->news);
    free(t->made);
    free(t->snapshots);
    free(t->runners);
    free(t);
}

int tui_thread_start(struct tui_thread **out, const struct tui_options *o, struct tui_searches *searches, struct error *e)
{
    int count = searches->count;
    struct tui_thread *t = xcalloc(1, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&t->changed, &clock);
    pthread_condattr_destroy(&clock);
    t->options = o;
    t->searches = searches;
    t->count = count;
    t->runners = xcalloc((size_t)count, sizeof *t->runners);
    t->snapshots = xcalloc((size_t)count, sizeof *t->snapshots);
    for (int i = 0; i < count; i++) {
        t->runners[i] = (struct runner){.thread = t, .number = i};
    }
    t->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int code = t->wake < 0 ? errno : create(t);
    if (code) {
        free_thread(t);
        return error_set(e, ERROR_ENGINE, "the engine's thread could not be started: %s", strerror(code));
    }
    *out = t;
    return OK;
}

int tui_thread_stop(struct tui_thread *t)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 1;
    pthread_mutex_lock(&t->lock);
    t->quit = 1;
    pthread_cond_broadcast(&t->changed);
    int code = 0;
    while (!t->ended && !code)
        code = pthread_cond_timedwait(&t->changed, &t->lock, &until);
    int ended = t->ended;
    pthread_mutex_unlock(&t->lock);
    if (!ended) {
        pthread_detach(t->thread);
        return 0;
    }
    pthread_join(t->thread, NULL);
    free_thread(t);
    return 1;
}

int tui_thread_wake(const struct tui_thread *t)
{
    return t->wake;
}

void tui_thread_hush(struct tui_thread *t, int hushed)
{
    pthread_mutex_lock(&t->lock);
    t->hushed = hushed;
    if (t->news_count || t->fresh) /* nobody was told of them while it was */
        wake(t);
    pthread_mutex_unlock(&t->lock);
}

void tui_thread_command(struct tui_thread *t, struct tui_action action)
{
    pthread_mutex_lock(&t->lock);
    if (t->command_count < COMMANDS) { /* more than that in one pass of the engine is a key held down */
        action.words = xstrdup(action.words);
        t->commands[t->command_count++] = action;
    }
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

enum tui_taken tui_thread_take(struct tui_thread *t, struct tui_news **news, int *count, struct tui_snapshot *snapshots, char notice[TUI_NOTICE])
{
    uint64_t ignored;
    ssize_t got = read(t->wake, &ignored, sizeof ignored); /* before the queues: what comes after wakes again */
    (void)got;
    pthread_mutex_lock(&t->lock);
    *news = t->news;
    *count = t->news_count;
    t->news = NULL;
    t->news_count = t->news_capacity = 0;
    const enum tui_taken fresh = t->urgent ? TUI_TAKEN_URGENT : t->fresh ? TUI_TAKEN_SNAPSHOTS : TUI_TAKEN_EVENTS;
    for (int i = 0; fresh && i < t->count; i++) {
        tui_snapshot_free(&snapshots[i]);
        snapshots[i] = t->snapshots[i];
        t->snapshots[i] = (struct tui_snapshot){0};
    }
    t->fresh = t->urgent = 0;
    memcpy(notice, t->notice, sizeof t->notice);
    t->notice[0] = '\0';
    pthread_mutex_unlock(&t->lock);
    return fresh;
}
