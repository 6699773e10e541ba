/* Is a SHA-256 digest one of the pins?  Answered in constant time. */
#ifndef PINSOCK_PIN_TABLE_H
#define PINSOCK_PIN_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define PINSOCK_DIGEST_SIZE 32

/* The row of `table` that equals `digest`, or -1; if several do, the last.
 *
 * Requires: table points to rows * 32 readable bytes, one digest after the
 * other (it may be NULL if rows is 0), and digest to 32.
 * Ensures: every byte of the table is read, always; the time and the addresses
 * depend on `rows` alone, neither on the digest nor on the pins nor on whether
 * and where they are equal. */
int64_t pinsock_find_digest(const uint8_t *table, size_t rows, const uint8_t *digest);

#endif
