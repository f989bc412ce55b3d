#include "tui/thread.h"
#include "tui/terminal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { COMMANDS = 64 };
static const double snapshot_interval = 1.0 / 30;

/* Above the line: shared, under the lock. Below: the engine thread's own once it runs. */
struct tui_thread {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a command came, or the thread has ended */
    struct tui_action commands[COMMANDS];
    int command_count;
    struct search_event **events; /* made, not yet taken */
    int event_count, event_capacity;
    struct tui_snapshot snapshot;
    int fresh;              /* the snapshot has not been taken */
    char notice[200];
    int quit, ended, wake;

    pthread_t thread;
    const struct tui_options *options;
    struct search_options search_options;
    struct engine *engine;
    struct search *search;
    enum tui_state state;
    int steps;              /* to go, in state TUI_STEPPING */
    double told;            /* when the last snapshot was made */
    struct search_event **made; /* since then */
    int made_count, made_capacity;
    char guard[TUI_GUARD_STACK];
};

/* --- the engine thread ------------------------------------------------------------------------------------------- */

static void take_event(void *context, struct search_event *event)
{
    struct tui_thread *t = context;
    ARRAY_RESERVE(t->made, t->made_count, t->made_capacity);
    t->made[t->made_count++] = search_event_keep(event);
}

static struct tui_snapshot take_snapshot(const struct tui_thread *t, double now)
{
    struct tui_snapshot s = {.state = t->state, .engine = t->engine, .time = now};
    struct search_live live;
    int capacity = 0;
    if (t->engine)
        engine_statistics(t->engine, &s.statistics);
    for (int i = 0; t->search && search_live(t->search, i, &live); i++) {
        ARRAY_RESERVE(s.live, s.live_count, capacity);
        size_t bytes = (size_t)live.count * sizeof *live.tokens;
        struct tui_live *copy = &s.live[s.live_count++];
        *copy = (struct tui_live){live.node, live.item, live.sample, live.purpose, xmalloc(bytes), live.count};
        if (bytes)
            memcpy(copy->tokens, live.tokens, bytes);
    }
    return s;
}

/* Events and the state they led to go over together, so that no thought is both written and being written. */
static void tell(struct tui_thread *t, const struct error *failure)
{
    double now = clock_seconds();
    struct tui_snapshot s = take_snapshot(t, now);
    if (failure)
        s.failure = *failure;
    t->told = now;
    pthread_mutex_lock(&t->lock);
    for (int i = 0; i < t->made_count; i++) {
        ARRAY_RESERVE(t->events, t->event_count, t->event_capacity);
        t->events[t->event_count++] = t->made[i];
    }
    struct tui_snapshot old = t->snapshot;
    t->snapshot = s;
    t->fresh = 1;
    pthread_mutex_unlock(&t->lock);
    t->made_count = 0;
    tui_snapshot_free(&old);
    uint64_t one = 1;
    ssize_t written = write(t->wake, &one, sizeof one);
    (void)written; /* a full counter wakes as well */
}

static void tell_notice(struct tui_thread *t, const char *text)
{
    pthread_mutex_lock(&t->lock);
    snprintf(t->notice, sizeof t->notice, "%.199s", text);
    pthread_mutex_unlock(&t->lock);
}

static void do_command(struct tui_thread *t, struct tui_action action)
{
    struct error e = {0};
    int code = 0;
    if (t->state == TUI_FAILED) {
        tell_notice(t, "the engine has failed; q quits");
        return;
    }
    if (t->state == TUI_DONE && (action.act == TUI_ACT_RUN || action.act == TUI_ACT_STEP)) {
        tell_notice(t, "the search is done; prune a thought and it looks elsewhere");
        return;
    }
    switch (action.act) {
    case TUI_ACT_RUN:
        t->state = TUI_RUNNING;
        break;
    case TUI_ACT_STEP:
        t->steps = (t->state == TUI_STEPPING ? t->steps : 0) + action.number;
        t->state = TUI_STEPPING;
        break;
    case TUI_ACT_PAUSE:
        if (t->state == TUI_RUNNING || t->state == TUI_STEPPING)
            t->state = TUI_PAUSED;
        break;
    case TUI_ACT_PRUNE:
        code = search_prune(t->search, action.number, &e);
        break;
    case TUI_ACT_UNDO:
        code = search_undo(t->search, &e);
        break;
    case TUI_ACT_REDO:
        code = search_redo(t->search, &e);
        break;
    default:
        break;
    }
    if (code)
        tell_notice(t, e.message);
    else if (t->state == TUI_DONE) /* an act took the result back: there may be more to do */
        t->state = TUI_PAUSED;
}

/* Wait while there is nothing to do; do the commands that came. 0: it is time to end. */
static int attend(struct tui_thread *t)
{
    struct tui_action commands[COMMANDS];
    pthread_mutex_lock(&t->lock);
    while (!t->quit && !t->command_count && t->state != TUI_RUNNING && t->state != TUI_STEPPING)
        pthread_cond_wait(&t->changed, &t->lock);
    int count = t->command_count, quit = t->quit;
    memcpy(commands, t->commands, (size_t)count * sizeof *commands);
    t->command_count = 0;
    pthread_mutex_unlock(&t->lock);
    for (int i = 0; i < count && !quit; i++)
        do_command(t, commands[i]);
    if (count && !quit)
        tell(t, NULL);
    return !quit;
}

static void fail(struct tui_thread *t, const struct error *e)
{
    t->state = TUI_FAILED;
    tell(t, e);
}

static void grow(struct tui_thread *t)
{
    enum search_status status;
    struct error e;
    if (search_advance(t->search, &status, &e)) {
        fail(t, &e);
        return;
    }
    enum tui_state before = t->state;
    if (status == SEARCH_DONE)
        t->state = TUI_DONE;
    else if (status == SEARCH_BETWEEN && t->state == TUI_STEPPING && --t->steps <= 0)
        t->state = TUI_PAUSED;
    if (t->made_count || t->state != before || clock_seconds() - t->told >= snapshot_interval)
        tell(t, NULL);
}

static void *run(void *context)
{
    struct tui_thread *t = context;
    struct error e;
    tui_terminal_guard_stack(t->guard, sizeof t->guard);
    int code = tui_engine_open(t->options, 0, &t->engine, &e);
    if (!code)
        code = search_open(&t->search, t->engine, &t->search_options, &e);
    if (code) {
        fail(t, &e);
    } else {
        t->state = t->options->paused ? TUI_PAUSED : TUI_RUNNING;
        tell(t, NULL);
    }
    while (attend(t))
        if (t->state == TUI_RUNNING || t->state == TUI_STEPPING)
            grow(t);
    search_close(t->search);
    engine_close(t->engine);
    t->search = NULL;
    t->engine = NULL;
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

int tui_thread_start(struct tui_thread **out, const struct tui_options *o, const struct search_options *search, struct error *e)
{
    struct tui_thread *t = xcalloc(1, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&t->changed, &clock);
    pthread_condattr_destroy(&clock);
    t->options = o;
    t->search_options = *search;
    t->search_options.sink = take_event;
    t->search_options.context = t;
    t->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int code = t->wake < 0 ? errno : create(t);
    if (code) {
        if (t->wake >= 0)
            close(t->wake);
        free(t);
        return error_set(e, ERROR_ENGINE, "the engine's thread could not be started: %s", strerror(code));
    }
    *out = t;
    return OK;
}

static void release_events(struct search_event **events, int count)
{
    for (int i = 0; i < count; i++)
        search_event_release(events[i]);
    free(events);
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
    release_events(t->events, t->event_count);
    release_events(t->made, t->made_count);
    tui_snapshot_free(&t->snapshot);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    close(t->wake);
    free(t);
    return 1;
}

int tui_thread_wake(const struct tui_thread *t)
{
    return t->wake;
}

void tui_thread_command(struct tui_thread *t, struct tui_action action)
{
    pthread_mutex_lock(&t->lock);
    if (t->command_count < COMMANDS) /* more than that in one pass of the engine is a key held down */
        t->commands[t->command_count++] = action;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

int tui_thread_take(struct tui_thread *t, struct search_event ***events, int *count, struct tui_snapshot *snapshot, char notice[200])
{
    uint64_t ignored;
    ssize_t got = read(t->wake, &ignored, sizeof ignored); /* before the queues: what comes after wakes again */
    (void)got;
    pthread_mutex_lock(&t->lock);
    *events = t->events;
    *count = t->event_count;
    t->events = NULL;
    t->event_count = t->event_capacity = 0;
    int fresh = t->fresh;
    if (fresh) {
        tui_snapshot_free(snapshot);
        *snapshot = t->snapshot;
        t->snapshot = (struct tui_snapshot){0};
        t->fresh = 0;
    }
    memcpy(notice, t->notice, sizeof t->notice);
    t->notice[0] = '\0';
    pthread_mutex_unlock(&t->lock);
    return fresh;
}
