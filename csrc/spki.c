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

/* Note a refusal. */
/*@
  requires \valid(r);
  requires PINSOCK_OK < status <= PINSOCK_TOO_LARGE;
  assigns r->result.status, r->result.offset, r->result.length;
  ensures \result == 0 && r->result.status == status;
  ensures r->result.offset == offset && r->result.length == 0;
*/
static int fail(reader *r, enum pinsock_status status, size_t offset)
{
    r->result.status = status;
    r->result.offset = offset;
    r->result.length = 0;
    return 0;
}

/*@
  predicate readable(reader *r) =
    \valid(r) && r->position <= r->end <= PINSOCK_CERTIFICATE_MAX &&
    \valid_read(r->der + (0 .. r->end - 1)) && \separated(r, r->der + (0 .. r->end - 1)) ;

  predicate refused(reader *r, integer end) =
    PINSOCK_OK < r->result.status < PINSOCK_TOO_LARGE &&
    r->result.length == 0 && r->result.offset <= end;
*/

/* Read one tag and length: the contents are der[position .. *contents_end-1]. */
/*@
  requires readable(r);
  requires \valid(contents_end) && \separated(contents_end, r);
  requires tag == SEQUENCE || tag == INTEGER || tag == BIT_STRING || tag == EXPLICIT_0;
  assigns r->position, r->result, *contents_end;
  ensures readable(r);
  ensures \result == 0 || \result == 1;
  ensures \result == 1 <==> element(r->der, \old(r->position), r->end, tag);
  ensures \result == 1 ==>
    r->position == contents(r->der, \old(r->position)) &&
    *contents_end == after(r->der, \old(r->position)) &&
    \old(r->position) + 2 <= r->position <= *contents_end <= r->end;
  ensures \result == 1 ==> r->result.status == \old(r->result.status);
  ensures \result == 0 ==> refused(r, \old(r->end));
  ensures r->result.field == field;
*/
static int read_header(reader *r, enum pinsock_field field, unsigned tag, size_t *contents_end)
{
    size_t position = r->position;
    size_t length;

    r->result.field = field;
    //@ assert tag == SEQUENCE ==> (tag & 0x1Fu) != 0x1Fu;
    //@ assert tag == INTEGER ==> (tag & 0x1Fu) != 0x1Fu;
    //@ assert tag == BIT_STRING ==> (tag & 0x1Fu) != 0x1Fu;
    //@ assert tag == EXPLICIT_0 ==> (tag & 0x1Fu) != 0x1Fu;
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
        const size_t octets = length - 0x80u;
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
        /*@
          loop invariant 1 <= i <= octets + 1;
          loop invariant length == number(r->der, position + 1, i - 1);
          loop assigns i, length;
          loop variant octets - i;
        */
        for (i = 1; i <= octets; i++) {
            length = length * 0x100u + r->der[position + i];
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

/* Read one element and step over its contents. */
/*@
  requires readable(r);
  requires tag == SEQUENCE || tag == INTEGER || tag == BIT_STRING || tag == EXPLICIT_0;
  assigns r->position, r->result;
  ensures readable(r);
  ensures \result == 0 || \result == 1;
  ensures \result == 1 <==> element(r->der, \old(r->position), r->end, tag);
  ensures \result == 1 ==>
    r->position == after(r->der, \old(r->position)) && \old(r->position) + 2 <= r->position;
  ensures \result == 1 ==> r->result.status == \old(r->result.status);
  ensures \result == 0 ==> refused(r, \old(r->end));
  ensures r->result.field == field;
*/
static int skip(reader *r, enum pinsock_field field, unsigned tag)
{
    size_t contents_end;

    if (!read_header(r, field, tag, &contents_end)) {
        return 0;
    }
    r->position = contents_end;
    return 1;
}

/* Is `tag` the next byte? */
/*@
  requires readable(r);
  assigns \nothing;
  ensures \result == 0 || \result == 1;
  ensures \result == 1 <==> r->position < r->end && r->der[r->position] == tag;
*/
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

/*@
  // The loop's i-th element before the key, and that those before it are right.
  logic integer ith(uint8_t *der, integer i) =
    i == 0 ? serial(der) : i == 1 ? signature(der) : i == 2 ? issuer(der) :
    i == 3 ? validity(der) : i == 4 ? subject(der) : key(der);

  predicate right_before(uint8_t *der, integer i) =
    (has_version(der) ==> element(der, first(der), tbs_end(der), 0xA0)) &&
    (i > 0 ==> element(der, serial(der), tbs_end(der), 0x02)) &&
    (i > 1 ==> element(der, signature(der), tbs_end(der), 0x30)) &&
    (i > 2 ==> element(der, issuer(der), tbs_end(der), 0x30)) &&
    (i > 3 ==> element(der, validity(der), tbs_end(der), 0x30)) &&
    (i > 4 ==> element(der, subject(der), tbs_end(der), 0x30));
*/

/* From the first byte of tbsCertificate's contents, which end at `end`, to the key. */
/*@
  requires readable(r) && r->result.status == PINSOCK_OK;
  requires \separated(r, before_the_key + (0 .. 4));
  requires r->position == first(r->der) && r->end == tbs_end(r->der);
  assigns r->position, r->result;
  ensures readable(r);
  ensures \result == 0 || \result == 1;
  ensures \result == 1 <==> tbs_to_key(r->der);
  ensures \result == 1 ==>
    r->result.status == PINSOCK_OK && r->result.field == PINSOCK_SUBJECT_PUBLIC_KEY_INFO &&
    r->result.offset == key(r->der) && r->position == after(r->der, key(r->der)) &&
    r->result.length == r->position - r->result.offset && r->result.length >= 2;
  ensures \result == 0 ==>
    refused(r, \old(r->end)) && PINSOCK_CERTIFICATE <= r->result.field <= PINSOCK_SIGNATURE_VALUE;
*/
static int find_in_tbs(reader *r)
{
    size_t i;
    size_t start;

    if (next_is(r, EXPLICIT_0) && !skip(r, PINSOCK_VERSION, EXPLICIT_0)) {
        return 0;
    }
    /*@
      loop invariant 0 <= i <= 5;
      loop invariant readable(r) && r->result.status == PINSOCK_OK;
      loop invariant r->position == ith(r->der, i);
      loop invariant right_before(r->der, i);
      loop assigns i, r->position, r->result;
      loop variant 5 - i;
    */
    for (i = 0; i < sizeof before_the_key / sizeof before_the_key[0]; i++) {
        //@ assert before_the_key[i].tag == (i == 0 ? INTEGER : SEQUENCE);
        //@ assert before_the_key[i].field == PINSOCK_SERIAL_NUMBER + i;
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
        //@ assert r.result.offset <= size;
        return r.result;
    }
    if (certificate_end != size) {
        (void)fail(&r, PINSOCK_TRAILING_BYTES, certificate_end);
        return r.result;
    }
    if (!read_header(&r, PINSOCK_TBS_CERTIFICATE, SEQUENCE, &tbs_end)) {
        //@ assert r.result.offset <= size;
        return r.result;
    }
    r.end = tbs_end;
    //@ assert r.end <= size;
    if (!find_in_tbs(&r)) {
        //@ assert r.result.offset <= size;
        return r.result;
    }
    found = r.result;

    /* The key is found; the rest says that this is a certificate, whole. */
    r.position = tbs_end;
    r.end = certificate_end;
    //@ assert r.end == size;
    if (!skip(&r, PINSOCK_SIGNATURE_ALGORITHM, SEQUENCE)) {
        //@ assert r.result.offset <= size;
        return r.result;
    }
    //@ assert r.end == size;
    if (!skip(&r, PINSOCK_SIGNATURE_VALUE, BIT_STRING)) {
        //@ assert r.result.offset <= size;
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
        return (int64_t)spki.offset * 0x80000000 + (int64_t)spki.length;
    }
    return -((int64_t)spki.offset * 0x10000 + (int64_t)spki.field * 0x100 + (int64_t)spki.status);
}
