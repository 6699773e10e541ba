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

/* What a certificate is, for the contracts.  `python -m proofs.prove` proves them.
 * A header of DER (X.690, 8.1.2, 8.1.3 and 10.1) at der[at]: the octets of a long
 * length, what the length says, where the contents begin and where the element ends. */
/*@
  logic integer octets(uint8_t *der, integer at) = der[at + 1] < 0x80 ? 0 : der[at + 1] - 0x80;

  logic integer number(uint8_t *der, integer at, integer octets) =
    octets == 1 ? der[at] :
    octets == 2 ? der[at] * 0x100 + der[at + 1] :
    octets == 3 ? der[at] * 0x10000 + der[at + 1] * 0x100 + der[at + 2] :
    octets == 4 ? der[at] * 0x1000000 + der[at + 1] * 0x10000 + der[at + 2] * 0x100 + der[at + 3] :
    0;

  logic integer length(uint8_t *der, integer at) =
    der[at + 1] < 0x80 ? der[at + 1] : number(der, at + 2, octets(der, at));

  logic integer contents(uint8_t *der, integer at) = at + 2 + octets(der, at);

  logic integer after(uint8_t *der, integer at) = contents(der, at) + length(der, at);

  // A complete element with this tag that ends by `end`.
  predicate element(uint8_t *der, integer at, integer end, integer tag) =
    at + 2 <= end && der[at] == tag &&
    der[at + 1] != 0x80 && octets(der, at) <= 4 && contents(der, at) <= end &&
    (octets(der, at) > 0 ==> der[at + 2] != 0) &&
    (octets(der, at) == 1 ==> der[at + 2] >= 0x80) &&
    after(der, at) <= end;
*/

/* The certificate of RFC 5280, 4.1: where what it holds begins, and when it is one. */
/*@
  logic integer tbs(uint8_t *der) = contents(der, 0);
  logic integer tbs_end(uint8_t *der) = after(der, tbs(der));
  logic integer first(uint8_t *der) = contents(der, tbs(der));

  predicate has_version(uint8_t *der) = first(der) < tbs_end(der) && der[first(der)] == 0xA0;
  logic integer serial(uint8_t *der) =
    first(der) < tbs_end(der) && der[first(der)] == 0xA0 ? after(der, first(der)) : first(der);

  logic integer signature(uint8_t *der) = after(der, serial(der));
  logic integer issuer(uint8_t *der) = after(der, signature(der));
  logic integer validity(uint8_t *der) = after(der, issuer(der));
  logic integer subject(uint8_t *der) = after(der, validity(der));
  logic integer key(uint8_t *der) = after(der, subject(der));

  predicate tbs_to_key(uint8_t *der) =
    (has_version(der) ==> element(der, first(der), tbs_end(der), 0xA0)) &&
    element(der, serial(der), tbs_end(der), 0x02) &&
    element(der, signature(der), tbs_end(der), 0x30) &&
    element(der, issuer(der), tbs_end(der), 0x30) &&
    element(der, validity(der), tbs_end(der), 0x30) &&
    element(der, subject(der), tbs_end(der), 0x30) &&
    element(der, key(der), tbs_end(der), 0x30);

  predicate certificate(uint8_t *der, integer size) =
    size <= 0x7FFFFFFF &&
    element(der, 0, size, 0x30) && after(der, 0) == size &&
    element(der, tbs(der), size, 0x30) && tbs_to_key(der) &&
    element(der, tbs_end(der), size, 0x30) &&
    element(der, after(der, tbs_end(der)), size, 0x03) &&
    after(der, after(der, tbs_end(der))) == size;
*/

/* Find the SubjectPublicKeyInfo of the certificate in der[0 .. size-1].
 *
 * Requires: der points to size readable bytes (it may be NULL if size is 0).
 * Ensures: with PINSOCK_OK, der[offset .. offset+length-1] is one complete
 * SEQUENCE that lies inside tbsCertificate, in the seventh place of it if a
 * version stands there, else in the sixth; and Certificate, tbsCertificate and
 * every element before the key have DER tags and lengths.  What is inside
 * those elements, and what follows the key in tbsCertificate, is not judged. */
/*@
  requires size <= PINSOCK_CERTIFICATE_MAX ==> \valid_read(der + (0 .. size - 1));
  assigns \nothing;
  ensures \result.status == PINSOCK_OK <==> certificate(der, size);
  ensures \result.status == PINSOCK_OK ==>
    \result.offset == key(der) && \result.length == after(der, key(der)) - key(der) &&
    2 <= \result.length && \result.offset + \result.length <= tbs_end(der) < size;
  ensures \result.status == PINSOCK_OK ==> \result.field == PINSOCK_SUBJECT_PUBLIC_KEY_INFO;
  ensures \result.status != PINSOCK_OK ==>
    \result.length == 0 && \result.offset <= size;
  ensures size > PINSOCK_CERTIFICATE_MAX ==> \result.offset == 0;
  ensures PINSOCK_OK <= \result.status <= PINSOCK_TOO_LARGE;
  ensures PINSOCK_CERTIFICATE <= \result.field <= PINSOCK_SIGNATURE_VALUE;
*/
pinsock_spki pinsock_find_spki(const uint8_t *der, size_t size);

/* The same answer in one number, so that a caller from Python needs no memory
 * for a structure: offset << 31 | length if PINSOCK_OK, otherwise
 * -(offset << 16 | field << 8 | status), which is always negative. */
/*@
  requires size <= PINSOCK_CERTIFICATE_MAX ==> \valid_read(der + (0 .. size - 1));
  assigns \nothing;
  ensures \result >= 0 <==> certificate(der, size);
  ensures \result >= 0 ==>
    \result == key(der) * 0x80000000 + (after(der, key(der)) - key(der));
  ensures \result < 0 ==>
    \exists integer offset, field, status;
      \result == -(offset * 0x10000 + field * 0x100 + status) &&
      0 <= offset <= size && 0 <= field < 0x100 && 0 < status < 0x100;
*/
int64_t pinsock_find_spki_packed(const uint8_t *der, size_t size);

#endif
