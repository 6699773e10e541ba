/* Does the time of a scan tell whether, where, or how nearly the digest is in the table?
 *
 * After Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?" (2017): two
 * classes of digests, in random order, and Welch's t between their times.  Of the slowest
 * times, which are those of interrupts, ever more are left out; the largest |t| of all
 * cuts counts.
 *
 * main(PAIR, SAMPLES, "scan" or "control"): a pair of classes, and what is timed. */
#include "pin_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#define ROWS 64
#define SIZE ((size_t)PINSOCK_DIGEST_SIZE)
#define BATCH 1000

static uint8_t table[ROWS * PINSOCK_DIGEST_SIZE];
static const uint8_t zeros[PINSOCK_DIGEST_SIZE];

/* How a class makes its digests: from these bytes, these bits of each at random, and one
 * bit of all turned over; and where they are found. */
typedef struct {
    const uint8_t *base;
    uint8_t at_random;
    uint8_t turned;
    int64_t row;
} kind;

static const kind first_row = {table, 0, 0, 0};
static const kind last_row = {table + (ROWS - 1) * PINSOCK_DIGEST_SIZE, 0, 0, ROWS - 1};
static const kind nearly_first_row = {table, 0, 1, -1};
static const kind fixed = {zeros, 0, 0, -1};
static const kind any = {zeros, 0xFF, 0, -1};

static const struct {
    const char *name;
    const kind *classes[2];
} pairs[] = {
    {"first row or none", {&first_row, &any}},
    {"first row or last", {&first_row, &last_row}},
    {"one bit off or all", {&nearly_first_row, &any}},
    {"fixed or random", {&fixed, &any}},
};

/* What must be found: a byte at a time, it stops at the first that differs, and at the
 * first row that does not.  (memcmp takes 32 bytes at once on some processors.) */
static int64_t control(const uint8_t *rows, size_t count, const uint8_t *digest)
{
    size_t row;
    size_t byte;

    for (row = 0; row < count; row++) {
        for (byte = 0; byte < SIZE && rows[row * SIZE + byte] == digest[byte]; byte++) {
        }
        if (byte == SIZE) {
            return (int64_t)row;
        }
    }
    return -1;
}

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

static void make(const kind *class, uint8_t *digest)
{
    const size_t bit = next_random() % (8 * SIZE);
    size_t byte;

    for (byte = 0; byte < SIZE; byte++) {
        digest[byte] = (uint8_t)(class->base[byte] ^ (next_random() & class->at_random));
    }
    digest[bit / 8] ^= (uint8_t)(class->turned << bit % 8);
}

int main(int argc, char **argv)
{
    static uint8_t digests[BATCH][PINSOCK_DIGEST_SIZE];
    static const double kept[] = {1.0, 0.99, 0.95, 0.9, 0.75, 0.5};
    const size_t pair = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    const size_t samples = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    int64_t (*const scan)(const uint8_t *, size_t, const uint8_t *) =
        argc > 3 && strcmp(argv[3], "control") == 0 ? control : pinsock_find_digest;
    uint64_t *times = malloc(samples * sizeof *times);
    uint64_t *sorted = malloc(samples * sizeof *sorted);
    uint8_t *classes = malloc(samples);
    double worst = 0;
    int64_t wrong = 0;
    size_t i;
    size_t j;

    if (times == NULL || sorted == NULL || classes == NULL || samples < BATCH ||
        pair >= sizeof pairs / sizeof pairs[0]) {
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
                classes[i + j] = (uint8_t)(next_random() & 1u);
                make(pairs[pair].classes[classes[i + j]], digests[j]);
            }
        }
        _mm_lfence();
        start = __rdtsc();
        _mm_lfence();
        found = scan(table, ROWS, digests[at]);
        times[i] = __rdtscp(&ignored) - start;
        _mm_lfence();
        wrong += found != pairs[pair].classes[classes[i]]->row;
    }
    memcpy(sorted, times, samples * sizeof *sorted);
    qsort(sorted, samples, sizeof *sorted, by_size);
    for (i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        const size_t last = (size_t)((double)(samples - 1) * kept[i]);
        const double t = fabs(welch(times, classes, samples, sorted[last]));

        worst = t > worst ? t : worst;
    }
    printf("t %.1f median %lu wrong %ld, %s\n", worst, (unsigned long)sorted[samples / 2],
           (long)wrong, pairs[pair].name);
    free(times);
    free(sorted);
    free(classes);
    return wrong != 0;
}
