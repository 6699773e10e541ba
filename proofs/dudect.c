/* Does the time of a scan tell whether, and where, the digest is in the table?
 *
 * After Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?" (2017): two
 * classes of digests, in random order, and Welch's t between their times.  One class is
 * in the first row, where a scan that stops early stops at once; the other is in none.
 * Of the slowest times, which are those of interrupts, ever more are left out; the
 * largest |t| of all cuts counts. */
#include "pin_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#define ROWS 64
#define SIZE ((size_t)PINSOCK_DIGEST_SIZE)
#define BATCH 1000

static uint32_t state = 2463534242u;

static uint32_t next_random(void) /* xorshift, Marsaglia 2003 */
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static int by_size(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Welch's t of the times up to `most`. */
static double welch(const uint64_t *times, const uint8_t *classes, size_t samples, uint64_t most)
{
    double n[2] = {0, 0};
    double mean[2] = {0, 0};
    double squares[2] = {0, 0};
    size_t i;

    for (i = 0; i < samples; i++) {
        const int c = classes[i];
        double delta;

        if (times[i] > most) {
            continue;
        }
        n[c] += 1;
        delta = (double)times[i] - mean[c];
        mean[c] += delta / n[c];
        squares[c] += delta * ((double)times[i] - mean[c]);
    }
    return (mean[0] - mean[1]) /
           sqrt(squares[0] / (n[0] - 1) / n[0] + squares[1] / (n[1] - 1) / n[1] + 1e-12);
}

int main(int argc, char **argv)
{
    static uint8_t table[ROWS * PINSOCK_DIGEST_SIZE];
    static uint8_t digests[BATCH][PINSOCK_DIGEST_SIZE];
    static const double kept[] = {1.0, 0.99, 0.95, 0.9, 0.75, 0.5};
    const size_t samples = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    uint64_t *times = malloc(samples * sizeof *times);
    uint64_t *sorted = malloc(samples * sizeof *sorted);
    uint8_t *classes = malloc(samples);
    double worst = 0;
    int64_t wrong = 0;
    size_t i;
    size_t j;

    if (times == NULL || sorted == NULL || classes == NULL || samples < BATCH) {
        return 2;
    }
    for (i = 0; i < sizeof table; i++) {
        table[i] = (uint8_t)next_random();
    }
    for (i = 0; i < samples; i++) {
        const size_t at = i % BATCH;
        unsigned ignored;
        uint64_t start;
        int64_t found;

        if (at == 0) { /* both classes are made alike, ahead of the clock */
            for (j = 0; j < BATCH && i + j < samples; j++) {
                size_t byte;

                classes[i + j] = (uint8_t)(next_random() & 1u);
                for (byte = 0; byte < SIZE; byte++) {
                    const uint8_t mask = (uint8_t)(0u - classes[i + j]);

                    digests[j][byte] = (uint8_t)(table[byte] ^ ((uint8_t)next_random() & mask));
                }
            }
        }
        _mm_lfence();
        start = __rdtsc();
        _mm_lfence();
        found = pinsock_find_digest(table, ROWS, digests[at]);
        times[i] = __rdtscp(&ignored) - start;
        _mm_lfence();
        wrong += found != (classes[i] ? -1 : 0);
    }
    memcpy(sorted, times, samples * sizeof *sorted);
    qsort(sorted, samples, sizeof *sorted, by_size);
    for (i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        const size_t last = (size_t)((double)(samples - 1) * kept[i]);
        const double t = fabs(welch(times, classes, samples, sorted[last]));

        worst = t > worst ? t : worst;
    }
    printf("t %.1f median %lu wrong %ld\n", worst, (unsigned long)sorted[samples / 2], (long)wrong);
    return wrong != 0;
}
