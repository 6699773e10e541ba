/* Invariant: the answer is the last row that memcmp finds, or -1.
 *
 * Input: 32 bytes of digest, then the table, then up to 31 bytes, of which the first, r,
 * copies row r of the table over the digest, and the second, b, flips a bit of it: equal
 * rows, and rows that are nearly equal, would else be rare.  Table and digest are heap
 * blocks of just their size, so ASan sees a read of one byte too many. */
#include "check.h"
#include "pin_table.h"

#define SIZE ((size_t)PINSOCK_DIGEST_SIZE)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t rows = size / SIZE - 1;
    const size_t left = size % SIZE;
    const uint8_t *rest = data + size - left;
    uint8_t *digest;
    uint8_t *table;
    int64_t expected = -1;
    int64_t found;
    size_t row;

    if (size < SIZE) {
        return -1; /* no digest: not worth a place in the corpus */
    }
    digest = exact_copy(data, SIZE);
    table = exact_copy(data + SIZE, rows * SIZE);
    if (left > 0 && rows > 0) {
        memcpy(digest, table + rest[0] % rows * SIZE, SIZE);
    }
    if (left > 1) {
        digest[rest[1] / 8] ^= (uint8_t)(1u << rest[1] % 8);
    }
    for (row = 0; row < rows; row++) {
        if (memcmp(table + row * SIZE, digest, SIZE) == 0) {
            expected = (int64_t)row;
        }
    }
    found = pinsock_find_digest(table, rows, digest);
    free(digest);
    free(table);
    if (found != expected) {
        __builtin_trap();
    }
    return 0;
}
