/* Tests of csrc/pin_table.c: only whole rows match, at every row of 1 to 64. */
#include "check.h"
#include "pin_table.h"

#define MOST_ROWS 64
#define SIZE ((size_t)PINSOCK_DIGEST_SIZE)

static uint8_t table[MOST_ROWS * PINSOCK_DIGEST_SIZE];

/* On exact-size copies, and at an odd address: no word of either is aligned. */
static int64_t find(const uint8_t *rows, size_t count, const uint8_t *digest)
{
    uint8_t shifted_rows[MOST_ROWS * PINSOCK_DIGEST_SIZE + 1];
    uint8_t shifted_digest[PINSOCK_DIGEST_SIZE + 1];
    uint8_t *rows_copy = exact_copy(rows, count * SIZE);
    uint8_t *digest_copy = exact_copy(digest, SIZE);
    const int64_t found = pinsock_find_digest(rows_copy, count, digest_copy);

    memcpy(shifted_rows + 1, rows, count * SIZE);
    memcpy(shifted_digest + 1, digest, SIZE);
    check(pinsock_find_digest(shifted_rows + 1, count, shifted_digest + 1) == found,
          "the same at an odd address", count);
    free(rows_copy);
    free(digest_copy);
    return found;
}

static void test_every_row(void)
{
    size_t rows;
    size_t row;

    for (rows = 0; rows <= MOST_ROWS; rows++) {
        for (row = 0; row < MOST_ROWS; row++) {
            check(find(table, rows, table + row * SIZE) == (row < rows ? (int64_t)row : -1),
                  "a row is found where it stands, and not behind the end", row);
        }
    }
    check(pinsock_find_digest(NULL, 0, table) == -1, "nothing is in no table", 0);
}

static void test_across_two_rows(void)
{
    size_t at;

    for (at = 0; at <= (MOST_ROWS - 1) * SIZE; at++) {
        check(find(table, MOST_ROWS, table + at) == (at % SIZE == 0 ? (int64_t)(at / SIZE) : -1),
              "32 bytes across two rows are no row", at);
    }
}

static void test_one_bit_off(void)
{
    uint8_t digest[PINSOCK_DIGEST_SIZE];
    size_t row;
    size_t bit;

    for (row = 0; row < 3; row++) {
        for (bit = 0; bit < 8 * SIZE; bit++) {
            memcpy(digest, table + row * SIZE, SIZE);
            digest[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            check(find(table, 3, digest) == -1, "one bit off is no match", bit);
        }
    }
}

/* Differences that would cancel out if they were added up, or combined by xor. */
static void test_the_same_bit_off_twice(void)
{
    uint8_t digest[PINSOCK_DIGEST_SIZE];
    size_t first;
    size_t second;

    for (first = 0; first < SIZE; first++) {
        for (second = first + 1; second < SIZE; second++) {
            memcpy(digest, table, SIZE);
            digest[first] ^= 0x10u;
            digest[second] ^= 0x10u;
            check(find(table, MOST_ROWS, digest) == -1, "two equal differences are no match",
                  first);
        }
    }
}

static void test_a_prefix(void)
{
    uint8_t digest[PINSOCK_DIGEST_SIZE];
    size_t same;

    for (same = 0; same < SIZE; same++) {
        memcpy(digest, table, SIZE);
        memset(digest + same, 0, SIZE - same);
        check(find(table, MOST_ROWS, digest) == -1, "a prefix is no match", same);
    }
}

static void test_the_same_row_twice(void)
{
    uint8_t twice[3 * PINSOCK_DIGEST_SIZE];

    memcpy(twice, table, sizeof twice);
    memcpy(twice + 2 * SIZE, table, SIZE);
    check(find(twice, 3, table) == 2, "of equal rows the last is found", 0);
}

int main(void)
{
    uint32_t state = 1;
    size_t i;

    for (i = 0; i < sizeof table; i++) { /* any bytes, none of them 0 */
        state = state * 1664525u + 1013904223u;
        table[i] = (uint8_t)(state >> 24 | 1u);
    }
    test_every_row();
    test_across_two_rows();
    test_one_bit_off();
    test_the_same_bit_off_twice();
    test_a_prefix();
    test_the_same_row_twice();
    return verdict();
}
