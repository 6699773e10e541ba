#include "pin_table.h"

#include <string.h>

#define WORDS (PINSOCK_DIGEST_SIZE / sizeof(uint64_t))

int64_t pinsock_find_digest(const uint8_t *table, size_t rows, const uint8_t *digest)
{
    uint64_t wanted[WORDS];
    uint64_t found = UINT64_MAX; /* -1 */
    size_t i;

    memcpy(wanted, digest, sizeof wanted);
    for (i = 0; i < rows; i++) {
        uint64_t row[WORDS];
        uint64_t difference = 0;
        uint64_t equal;
        size_t word;

        memcpy(row, table + i * PINSOCK_DIGEST_SIZE, sizeof row);
        for (word = 0; word < WORDS; word++) {
            difference |= row[word] ^ wanted[word];
        }
        /* x | -x has its top bit set just if x is not 0; so `equal` is all ones
         * or all zeros, without a comparison that could become a branch. */
        equal = ((difference | (0 - difference)) >> 63) - 1;
        found ^= (found ^ (uint64_t)i) & equal;
    }
    return (int64_t)found;
}
