/* What the C tests share. */
#ifndef CHECK_H
#define CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned failures;
static unsigned long checks;

static void check(int holds, const char *what, size_t where)
{
    checks++;
    if (!holds && ++failures <= 20) {
        fprintf(stderr, "failed: %s (%lu)\n", what, (unsigned long)where);
    }
}

/* What main() returns. */
static int verdict(void)
{
    printf("%lu checks, %u failures\n", checks, failures);
    return failures == 0 && checks > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* A copy with nothing readable behind it, so that the sanitiser sees a read of
 * even one byte too many.  NULL for no bytes: malloc(0) may give one. */
static inline uint8_t *exact_copy(const uint8_t *bytes, size_t size)
{
    uint8_t *copy;

    if (size == 0) {
        return NULL;
    }
    copy = malloc(size);
    if (copy == NULL) {
        abort();
    }
    memcpy(copy, bytes, size);
    return copy;
}

#endif
