/* Does the scan branch on a secret, or use one as an address?  Run under memcheck.
 *
 * The table and the digest are marked as undefined.  Memcheck follows undefined
 * bits through arithmetic, and complains just where a branch or an address depends
 * on them. */
#include "check.h"
#include "pin_table.h"

#include <valgrind/memcheck.h>

#define MOST_ROWS 64
#define SIZE ((size_t)PINSOCK_DIGEST_SIZE)

static int64_t find_in_secret(uint8_t *table, size_t rows, uint8_t *digest)
{
    int64_t found;
    uint8_t undefined_bits[sizeof found];
    size_t i;
    unsigned any = 0;

    (void)VALGRIND_MAKE_MEM_UNDEFINED(table, rows * SIZE);
    (void)VALGRIND_MAKE_MEM_UNDEFINED(digest, SIZE);
    found = pinsock_find_digest(table, rows, digest);
    (void)VALGRIND_GET_VBITS(&found, undefined_bits, sizeof found);
    for (i = 0; i < sizeof undefined_bits; i++) {
        any |= undefined_bits[i];
    }
    check(any != 0, "memcheck followed the secrets to the answer", rows);
    (void)VALGRIND_MAKE_MEM_DEFINED(&found, sizeof found);
    (void)VALGRIND_MAKE_MEM_DEFINED(table, rows * SIZE);
    (void)VALGRIND_MAKE_MEM_DEFINED(digest, SIZE);
    return found;
}

int main(void)
{
    static uint8_t table[MOST_ROWS * PINSOCK_DIGEST_SIZE];
    static const size_t counts[] = {1, 2, 7, MOST_ROWS};
    uint8_t digest[PINSOCK_DIGEST_SIZE];
    size_t i;
    size_t row;

    check(RUNNING_ON_VALGRIND != 0, "this runs under valgrind", 0);
    for (i = 0; i < sizeof table; i++) {
        table[i] = (uint8_t)(i / SIZE); /* the row's number, 32 times */
    }
    for (i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (row = 0; row <= counts[i]; row++) { /* the last is in no row */
            memset(digest, (int)row, sizeof digest);
            check(find_in_secret(table, counts[i], digest) ==
                      (row < counts[i] ? (int64_t)row : -1),
                  "the answer is right", row);
            digest[SIZE - 1] ^= 0x80u;
            check(find_in_secret(table, counts[i], digest) == -1, "nearly a row is none", row);
        }
    }
    return verdict();
}
