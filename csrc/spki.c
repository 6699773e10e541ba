/* The walk: Certificate -> tbsCertificate -> over six (v1: five) elements -> the key.
 *
 * OpenSSL 3.0 reads BER inside tbsCertificate, and a reader that follows BER
 * differently from OpenSSL can be led to another key than the one that signed
 * the handshake.  So nothing is followed here that has more than one reading:
 * on the way to the key all tags and lengths must be DER, else the certificate
 * is refused.
 *
 * Everything stands on read_header(), the only function that touches a byte
 * together with next_is().
 */
#include "spki.h"

/* What may be read: der[position .. end-1], with position <= end. */
typedef struct {
    const uint8_t *der;
    size_t position;
    size_t end;
    pinsock_spki result;
} reader;

#define SEQUENCE 0x30u
#define INTEGER 0x02u
#define BIT_STRING 0x03u
#define EXPLICIT_0 0xA0u

/* Requires: nothing.  Ensures: the result is a refusal at `offset`; returns 0. */
static int fail(reader *r, enum pinsock_status status, size_t offset)
{
    r->result.status = status;
    r->result.offset = offset;
    r->result.length = 0;
    return 0;
}

/* Read one tag and length.
 *
 * Requires: position <= end, and der[0 .. end-1] readable.
 * Ensures: if 1 is returned, the byte at the old position is `tag`, its length
 * is definite and minimal, position is the first byte of the contents, and
 * *contents_end, the byte after them, is at most `end`.  If 0 is returned the
 * result says why and where. */
static int read_header(reader *r, enum pinsock_field field, unsigned tag, size_t *contents_end)
{
    size_t position = r->position;
    size_t length;

    r->result.field = field;
    if (position >= r->end) {
        return fail(r, PINSOCK_TRUNCATED, position);
    }
    if ((r->der[position] & 0x1Fu) == 0x1Fu) {
        return fail(r, PINSOCK_HIGH_TAG, position); /* X.690, 8.1.2.4 */
    }
    if (r->der[position] != tag) {
        return fail(r, PINSOCK_UNEXPECTED_TAG, position);
    }
    position++;
    if (position >= r->end) {
        return fail(r, PINSOCK_TRUNCATED, position);
    }
    length = r->der[position];
    if (length == 0x80u) {
        return fail(r, PINSOCK_INDEFINITE_LENGTH, position); /* X.690, 10.1 */
    }
    if (length > 0x80u) {
        const size_t octets = length & 0x7Fu;
        size_t i;

        if (octets > 4) {
            return fail(r, PINSOCK_OVERLONG_LENGTH, position);
        }
        if (octets > r->end - position - 1) {
            return fail(r, PINSOCK_TRUNCATED, position);
        }
        /* X.690, 10.1: no leading zero, and the long form only from 128 on. */
        if (r->der[position + 1] == 0 || (octets == 1 && r->der[position + 1] < 0x80u)) {
            return fail(r, PINSOCK_NON_MINIMAL_LENGTH, position);
        }
        length = 0;
        for (i = 1; i <= octets; i++) {
            length = (length << 8) | r->der[position + i];
        }
        if (length > r->end - position - 1 - octets) {
            return fail(r, PINSOCK_OVERRUN, position);
        }
        position += octets;
    } else if (length > r->end - position - 1) {
        return fail(r, PINSOCK_OVERRUN, position); /* X.690, 8.1.1.4 */
    }
    r->position = position + 1;
    *contents_end = r->position + length;
    return 1;
}

/* Read one element and step over its contents.  Contract as read_header(), but
 * position is then the byte after the element. */
static int skip(reader *r, enum pinsock_field field, unsigned tag)
{
    size_t contents_end;

    if (!read_header(r, field, tag, &contents_end)) {
        return 0;
    }
    r->position = contents_end;
    return 1;
}

/* Requires: position <= end.  Ensures: says whether the next byte is `tag`. */
static int next_is(const reader *r, unsigned tag)
{
    return r->position < r->end && r->der[r->position] == tag;
}

/* The elements of tbsCertificate before the key (RFC 5280, 4.1), without the
 * version, which a v1 certificate does not have. */
static const struct {
    enum pinsock_field field;
    unsigned tag;
} before_the_key[] = {
    {PINSOCK_SERIAL_NUMBER, INTEGER}, {PINSOCK_SIGNATURE, SEQUENCE}, {PINSOCK_ISSUER, SEQUENCE},
    {PINSOCK_VALIDITY, SEQUENCE},     {PINSOCK_SUBJECT, SEQUENCE},
};

/* Requires: position is the first byte of tbsCertificate's contents, and `end`
 * the byte after them.  Ensures: if 1, the result is the key's place. */
static int find_in_tbs(reader *r)
{
    size_t i;
    size_t start;

    if (next_is(r, EXPLICIT_0) && !skip(r, PINSOCK_VERSION, EXPLICIT_0)) {
        return 0;
    }
    for (i = 0; i < sizeof before_the_key / sizeof before_the_key[0]; i++) {
        if (!skip(r, before_the_key[i].field, before_the_key[i].tag)) {
            return 0;
        }
    }
    start = r->position;
    if (!skip(r, PINSOCK_SUBJECT_PUBLIC_KEY_INFO, SEQUENCE)) {
        return 0;
    }
    r->result.offset = start;
    r->result.length = r->position - start;
    return 1;
}

pinsock_spki pinsock_find_spki(const uint8_t *der, size_t size)
{
    reader r = {der, 0, size, {PINSOCK_OK, PINSOCK_CERTIFICATE, 0, 0}};
    size_t certificate_end;
    size_t tbs_end;
    pinsock_spki found;

    if (size > PINSOCK_CERTIFICATE_MAX) {
        (void)fail(&r, PINSOCK_TOO_LARGE, 0);
        return r.result;
    }
    if (!read_header(&r, PINSOCK_CERTIFICATE, SEQUENCE, &certificate_end)) {
        return r.result;
    }
    if (certificate_end != size) {
        (void)fail(&r, PINSOCK_TRAILING_BYTES, certificate_end);
        return r.result;
    }
    if (!read_header(&r, PINSOCK_TBS_CERTIFICATE, SEQUENCE, &tbs_end)) {
        return r.result;
    }
    r.end = tbs_end;
    if (!find_in_tbs(&r)) {
        return r.result;
    }
    found = r.result;

    /* The key is found; the rest says that this is a certificate, whole. */
    r.position = tbs_end;
    r.end = certificate_end;
    if (!skip(&r, PINSOCK_SIGNATURE_ALGORITHM, SEQUENCE)) {
        return r.result;
    }
    if (!skip(&r, PINSOCK_SIGNATURE_VALUE, BIT_STRING)) {
        return r.result;
    }
    if (r.position != certificate_end) {
        (void)fail(&r, PINSOCK_TRAILING_BYTES, r.position);
        return r.result;
    }
    return found;
}

int64_t pinsock_find_spki_packed(const uint8_t *der, size_t size)
{
    const pinsock_spki spki = pinsock_find_spki(der, size);

    if (spki.status == PINSOCK_OK) {
        return (int64_t)(((uint64_t)spki.offset << 31) | (uint64_t)spki.length);
    }
    return -(int64_t)(((uint64_t)spki.offset << 16) | ((uint64_t)spki.field << 8) |
                      (uint64_t)spki.status);
}
