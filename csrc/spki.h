/* Where in a DER certificate is its SubjectPublicKeyInfo?
 *
 * Pure functions: they read the bytes that they are given and nothing else,
 * allocate nothing, keep no state, and hand out offsets, never pointers.
 * X.690 is ITU-T X.690 (02/2021); the certificate is that of RFC 5280, 4.1.
 */
#ifndef PINSOCK_SPKI_H
#define PINSOCK_SPKI_H

#include <stddef.h>
#include <stdint.h>

/* The longest input that is looked at; offsets and lengths then fit 31 bits. */
#define PINSOCK_CERTIFICATE_MAX ((size_t)0x7FFFFFFF)

/* What was wrong.  pinsock/exceptions.py holds the words for each number. */
enum pinsock_status {
    PINSOCK_OK = 0,
    PINSOCK_TRUNCATED = 1,         /* the bytes end where a tag or a length should stand */
    PINSOCK_UNEXPECTED_TAG = 2,    /* another type stands here (RFC 5280, 4.1) */
    PINSOCK_HIGH_TAG = 3,          /* tag in more than one byte (X.690, 8.1.2.4) */
    PINSOCK_INDEFINITE_LENGTH = 4, /* X.690, 10.1 */
    PINSOCK_NON_MINIMAL_LENGTH = 5, /* X.690, 10.1 */
    PINSOCK_OVERLONG_LENGTH = 6,   /* length in more than four bytes */
    PINSOCK_OVERRUN = 7,           /* ends after the element that holds it (X.690, 8.1.1.4) */
    PINSOCK_TRAILING_BYTES = 8,    /* more follows where the element should end */
    PINSOCK_TOO_LARGE = 9          /* longer than PINSOCK_CERTIFICATE_MAX */
};

/* What was being read. */
enum pinsock_field {
    PINSOCK_CERTIFICATE = 0,
    PINSOCK_TBS_CERTIFICATE = 1,
    PINSOCK_VERSION = 2,
    PINSOCK_SERIAL_NUMBER = 3,
    PINSOCK_SIGNATURE = 4,
    PINSOCK_ISSUER = 5,
    PINSOCK_VALIDITY = 6,
    PINSOCK_SUBJECT = 7,
    PINSOCK_SUBJECT_PUBLIC_KEY_INFO = 8,
    PINSOCK_SIGNATURE_ALGORITHM = 9,
    PINSOCK_SIGNATURE_VALUE = 10
};

/* With PINSOCK_OK: the SubjectPublicKeyInfo, tag and length included, is the
 * `length` bytes from `offset`.  Otherwise `offset` is the byte that was wrong
 * and `length` is 0.  `field` is the last one that was read. */
typedef struct {
    enum pinsock_status status;
    enum pinsock_field field;
    size_t offset;
    size_t length;
} pinsock_spki;

/* Find the SubjectPublicKeyInfo of the certificate in der[0 .. size-1].
 *
 * Requires: der points to size readable bytes (it may be NULL if size is 0).
 * Ensures: with PINSOCK_OK, der[offset .. offset+length-1] is one complete
 * SEQUENCE that lies inside tbsCertificate, in the seventh place of it if a
 * version stands there, else in the sixth; and Certificate, tbsCertificate and
 * every element before the key have DER tags and lengths.  What is inside
 * those elements, and what follows the key in tbsCertificate, is not judged. */
pinsock_spki pinsock_find_spki(const uint8_t *der, size_t size);

/* The same answer in one number, so that a caller from Python needs no memory
 * for a structure: offset << 31 | length if PINSOCK_OK, otherwise
 * -(offset << 16 | field << 8 | status), which is always negative. */
int64_t pinsock_find_spki_packed(const uint8_t *der, size_t size);

#endif
