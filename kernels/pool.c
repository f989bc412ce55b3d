/* The pool of workers.
 *
 * A job is published by one store to `ticket`; whoever finds tasks left in it takes one by one compare-and-swap. A step
 * of a small model is hundreds of jobs of some tens of microseconds, so waiting is by spinning first and by sleeping
 * only when nothing has come for a while.
 */
#define _GNU_SOURCE
#include "kernels.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define SPIN_SECONDS 60e-6 /* longer than what lies between two jobs of a step, shorter than anyone would notice */

/* Invariants. ticket = generation << 32 | tasks not yet taken. task, argument and tasks change only while the ticket
 * says that none is left and `unfinished` is 0; so a thread that takes a task (swaps a ticket with something left)
 * reads those of that job, however late it comes. `unfinished` reaches 0 after the last task has returned. */
struct kernel_pool {
    _Atomic uint64_t ticket;
    void (*_Atomic task)(void *argument, int i);
    void *_Atomic argument;
    _Atomic int tasks;
    char apart[64]; /* what follows is written at every task's end: not in the line all spin on */
    _Atomic int unfinished;

    pthread_mutex_t lock; /* around the two conditions */
    pthread_cond_t work, finished;
    _Atomic int asleep;       /* workers waiting for `work` */
    _Atomic int caller_waits; /* the caller waits for `finished` */
    _Atomic int closing;

    int threads;
    pthread_t *workers; /* threads - 1 */

    void *memory; /* kernel_pool_memory's */
    size_t memory_bytes;
};

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Take tasks of the present job until none is left. */
static void work_off(struct kernel_pool *pool)
{
    uint64_t ticket = atomic_load(&pool->ticket);
    while ((uint32_t)ticket) {
        if (!atomic_compare_exchange_weak(&pool->ticket, &ticket, ticket - 1))
            continue;
        int i = atomic_load(&pool->tasks) - (int)(uint32_t)ticket;
        void (*task)(void *, int) = atomic_load(&pool->task);
        task(atomic_load(&pool->argument), i);
        if (atomic_fetch_sub(&pool->unfinished, 1) == 1 && atomic_load(&pool->caller_waits)) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->finished);
            pthread_mutex_unlock(&pool->lock);
        }
        ticket = atomic_load(&pool->ticket);
    }
}

static int idle(struct kernel_pool *pool)
{
    return (uint32_t)atomic_load(&pool->ticket) == 0 && !atomic_load(&pool->closing);
}

static int unfinished(struct kernel_pool *pool)
{
    return atomic_load(&pool->unfinished) != 0;
}

/* Spin while `waiting` holds, at most SPIN_SECONDS; returns whether it still holds. */
static int spin(struct kernel_pool *pool, int (*waiting)(struct kernel_pool *pool))
{
    double start = clock_seconds();
    do
        for (int i = 0; i < 32; i++) {
            if (!waiting(pool))
                return 0;
            pause_briefly();
        }
    while (clock_seconds() - start < SPIN_SECONDS);
    return waiting(pool);
}

static void *worker(void *argument)
{
    struct kernel_pool *pool = argument;
    while (!atomic_load(&pool->closing)) {
        if (spin(pool, idle)) {
            /* asleep is raised before the ticket is looked at again, and kernel_pool_run stores the ticket before it
             * looks at asleep: one of the two sees the other. */
            pthread_mutex_lock(&pool->lock);
            atomic_fetch_add(&pool->asleep, 1);
            while (idle(pool))
                pthread_cond_wait(&pool->work, &pool->lock);
            atomic_fetch_sub(&pool->asleep, 1);
            pthread_mutex_unlock(&pool->lock);
        }
        work_off(pool);
    }
    return NULL;
}

void kernel_pool_run(struct kernel_pool *pool, int tasks, void (*task)(void *argument, int i), void *argument)
{
    if (tasks <= 1 || pool->threads == 1) {
        for (int i = 0; i < tasks; i++)
            task(argument, i);
        return;
    }
    atomic_store(&pool->task, task);
    atomic_store(&pool->argument, argument);
    atomic_store(&pool->tasks, tasks);
    atomic_store(&pool->unfinished, tasks);
    uint64_t generation = (atomic_load(&pool->ticket) >> 32) + 1;
    atomic_store(&pool->ticket, generation << 32 | (uint32_t)tasks);
    if (atomic_load(&pool->asleep)) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->work);
        pthread_mutex_unlock(&pool->lock);
    }
    work_off(pool);
    if (spin(pool, unfinished)) { /* the same handshake as asleep's */
        pthread_mutex_lock(&pool->lock);
        atomic_store(&pool->caller_waits, 1);
        while (unfinished(pool))
            pthread_cond_wait(&pool->finished, &pool->lock);
        atomic_store(&pool->caller_waits, 0);
        pthread_mutex_unlock(&pool->lock);
    }
}

struct kernel_pool *kernel_pool_create(int threads)
{
    struct kernel_pool *pool = xcalloc(1, sizeof *pool);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->finished, NULL);
    pool->workers = xcalloc((size_t)threads, sizeof *pool->workers);

    sigset_t all, before; /* a new thread inherits the mask it is created under */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pool->threads = 1;
    /* A system that refuses a thread gives a smaller pool, not a failure: results do not depend on its size. */
    while (pool->threads < threads && pthread_create(&pool->workers[pool->threads - 1], NULL, worker, pool) == 0)
        pool->threads++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pool;
}

void kernel_pool_free(struct kernel_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->closing, 1);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->threads - 1; i++)
        pthread_join(pool->workers[i], NULL);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->finished);
    free(pool->workers);
    free(pool->memory);
    free(pool);
}

void *kernel_pool_memory(struct kernel_pool *pool, size_t bytes)
{
    if (bytes > pool->memory_bytes) {
        free(pool->memory);
        pool->memory = large_alloc(bytes);
        if (!pool->memory)
            pool->memory = aligned_xmalloc(bytes); /* which says so */
        pool->memory_bytes = bytes;
    }
    return pool->memory;
}

int kernel_pool_threads(const struct kernel_pool *pool)
{
    return pool->threads;
}

int kernel_pool_processors(void)
{
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 1 ? (int)n : 1;
}
