/* Thompson sampling: what is known of an arm's mean reward, and a mean drawn from that.
 *
 * Draws need one random number or several: they are taken in order from a stream of the draw's own, so that a draw is
 * the same whatever else was drawn. */
#include "search/strategy.h"

#include <math.h>

/* --- draws ------------------------------------------------------------------------------------------------------- */

struct stream {
    uint64_t seed, stream, index;
};

static double uniform(struct stream *s) /* above 0, at most 1 */
{
    return 1 - random_uniform(s->seed, s->stream, s->index++);
}

static double normal(struct stream *s) /* Box and Muller 1958, one of the two */
{
    double radius = sqrt(-2 * log(uniform(s)));
    return radius * cos(6.283185307179586 * uniform(s));
}

/* Of scale 1: Marsaglia and Tsang 2000, for a shape below 1 by one of shape + 1. */
static double gamma_draw(struct stream *s, double shape)
{
    double scale = shape < 1 ? pow(uniform(s), 1 / shape) : 1;
    double d = (shape < 1 ? shape + 1 : shape) - 1 / 3.0, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = normal(s), v = 1 + c * x;
        v = v * v * v;
        if (v > 0 && log(uniform(s)) < x * x / 2 + d - d * v + d * log(v))
            return scale * d * v;
    }
}

/* --- posteriors -------------------------------------------------------------------------------------------------- */

struct search_posterior search_posterior_of(int beta, const struct search_seen *seen)
{
    const double m = 0, kappa = 1, nu = 1, tau_squared = .1;
    double n = seen->count, mean = n ? seen->sum / n : 0;
    double scatter = n ? fmax(seen->squares - seen->sum * mean, 0) : 0; /* about the mean, summed */
    if (beta)
        return (struct search_posterior){.beta = 1, .a = .5 + seen->sum, .b = .5 + n - seen->sum};
    struct search_posterior p = {.kappa = kappa + n, .nu = nu + n};
    p.m = (kappa * m + seen->sum) / p.kappa;
    p.tau_squared = (nu * tau_squared + scatter + n * kappa * (m - mean) * (m - mean) / p.kappa) / p.nu;
    return p;
}

double search_posterior_draw(const struct search_posterior *p, uint64_t seed, uint64_t stream)
{
    struct stream s = {.seed = seed, .stream = stream};
    if (p->beta) {
        double a = gamma_draw(&s, p->a), b = gamma_draw(&s, p->b);
        return a / (a + b);
    }
    double chi_squared = 2 * gamma_draw(&s, p->nu / 2);
    double variance = p->nu * p->tau_squared / chi_squared;
    return p->m + sqrt(variance / p->kappa) * normal(&s);
}
