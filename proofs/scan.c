/* What ESBMC proves of csrc/pin_table.c: for every table of up to ROWS rows and every
 * digest, the answer is the last row that equals the digest, or -1, and no byte is read
 * but the table's and the digest's.  No value has a given one: ESBMC takes what malloc
 * gives to be any bytes at all. */
#include "pin_table.h"

#include <stdlib.h>

#define SIZE ((size_t)PINSOCK_DIGEST_SIZE)

void __ESBMC_assume(_Bool);
void __ESBMC_assert(_Bool, const char *);
size_t nondet_size_t(void);

int main(void)
{
    const size_t rows = nondet_size_t();
    uint8_t *table;
    uint8_t *digest;
    int64_t expected = -1;
    int64_t found;
    size_t row;
    size_t byte;

    __ESBMC_assume(rows <= ROWS);
    table = malloc(rows * SIZE);
    digest = malloc(SIZE);
    __ESBMC_assume(table != NULL && digest != NULL);
    found = pinsock_find_digest(table, rows, digest);
    for (row = 0; row < rows; row++) {
        _Bool equal = 1;

        for (byte = 0; byte < SIZE; byte++) {
            equal &= table[row * SIZE + byte] == digest[byte];
        }
        if (equal) {
            expected = (int64_t)row;
        }
    }
    __ESBMC_assert(found == expected, "the last row that equals the digest, or -1");
#ifdef REACHABLE
    __ESBMC_assert(found != ROWS - 1, "control: must fail, or nothing above was reached");
#endif
    return 0;
}
