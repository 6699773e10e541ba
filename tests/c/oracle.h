/* A second reading of a certificate, for tests: it does not follow csrc/spki.c but
 * X.690 the other way round.  Whatever a header says, DER has one way to write it; so
 * the header is written again and compared. */
#ifndef ORACLE_H
#define ORACLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Write a DER header; give the place of the contents. */
static inline size_t put_header(uint8_t *der, size_t at, uint8_t tag, size_t length)
{
    size_t octets = 0;

    der[at++] = tag;
    if (length < 0x80u) {
        der[at++] = (uint8_t)length;
        return at;
    }
    while (octets < 4 && length >> (8 * octets) > 0) {
        octets++;
    }
    der[at++] = (uint8_t)(0x80u | octets);
    while (octets-- > 0) {
        der[at++] = (uint8_t)((length >> (8 * octets)) & 0xFFu);
    }
    return at;
}

/* The byte after the element that begins at der[at] and ends by `end`, or 0 if there
 * is none in DER with this tag.  Four length octets are the most, as in csrc/spki.h. */
static inline size_t element(const uint8_t *der, size_t at, size_t end, uint8_t tag,
                             size_t *contents)
{
    uint8_t written[6];
    size_t length = 0;
    size_t octets = 0;
    size_t size;

    if (end - at < 2) {
        return 0;
    }
    if (der[at + 1] < 0x80u) {
        length = der[at + 1];
    } else {
        octets = der[at + 1] - 0x80u;
        if (octets > 4 || octets > end - at - 2) {
            return 0;
        }
        for (size = 0; size < octets; size++) {
            length = length * 256 + der[at + 2 + size];
        }
    }
    size = put_header(written, 0, tag, length);
    if (size != 2 + octets || memcmp(der + at, written, size) != 0 || length > end - at - size) {
        return 0;
    }
    *contents = at + size;
    return *contents + length;
}

/* RFC 5280, 4.1: is this a Certificate, and where in it is the key?  Gives the key's
 * length, its tag and length included, or 0. */
static inline size_t key_by_the_book(const uint8_t *der, size_t size, size_t *offset)
{
    static const uint8_t tags[] = {0xA0, 0x02, 0x30, 0x30, 0x30, 0x30, 0x30, /* in the tbs */
                                   0x30, 0x03};                              /* after it */
    size_t end = size;
    size_t at = 0;
    size_t tbs_end;
    size_t contents;
    size_t length = 0;
    size_t i;

    if (size == 0 || element(der, 0, size, 0x30, &at) != size) {
        return 0;
    }
    end = element(der, at, size, 0x30, &at);
    tbs_end = end;
    for (i = 0; i < sizeof tags; i++) {
        if (i == 0 && at < end && der[at] != tags[0]) {
            continue; /* v1 has no version */
        }
        if (i == 7) {
            at = tbs_end; /* past what may follow the key in tbsCertificate */
            end = size;
        }
        if (i == 6) {
            *offset = at;
        }
        if (end == 0 || (at = element(der, at, end, tags[i], &contents)) == 0) {
            return 0;
        }
        if (i == 6) {
            length = at - *offset;
        }
    }
    return at == size ? length : 0;
}

#endif
