/* What csrc/pin_table.c must not be: it stops early, and its time tells where. */
#include "pin_table.h"

#include <string.h>

int64_t pinsock_find_digest(const uint8_t *table, size_t rows, const uint8_t *digest)
{
    size_t row;

    for (row = 0; row < rows; row++) {
        if (memcmp(table + row * PINSOCK_DIGEST_SIZE, digest, PINSOCK_DIGEST_SIZE) == 0) {
            return (int64_t)row;
        }
    }
    return -1;
}
