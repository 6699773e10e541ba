/* Tests of csrc/spki.c, on input that ends where its memory ends. */
#include "certificate.h"
#include "check.h"
#include "oracle.h"
#include "spki.h"

/* Both functions on an exact-size copy: they agree, and accept what is a certificate by
 * the book, and find its key. */
static pinsock_spki walk(const uint8_t *der, size_t size, const char *what)
{
    uint8_t *copy = exact_copy(der, size);
    const pinsock_spki found = pinsock_find_spki(copy, size);
    const int64_t packed = pinsock_find_spki_packed(copy, size);
    const uint64_t refusal = (uint64_t)-packed;
    size_t offset = 0;
    const size_t length = key_by_the_book(copy, size, &offset);

    check((found.status == PINSOCK_OK) == (length > 0), "a certificate is accepted, no other is",
          size);
    if (found.status == PINSOCK_OK) {
        check(packed >= 0 && (uint64_t)packed >> 31 == found.offset &&
                  ((uint64_t)packed & 0x7FFFFFFFu) == found.length,
              "the packed place is the place", size);
        check(found.field == PINSOCK_SUBJECT_PUBLIC_KEY_INFO && found.offset == offset &&
                  found.length == length,
              what, size);
    } else {
        check(packed < 0 && (refusal & 0xFFu) == (uint64_t)found.status &&
                  ((refusal >> 8) & 0xFFu) == (uint64_t)found.field &&
                  refusal >> 16 == found.offset,
              "the packed refusal is the refusal", size);
        check(found.length == 0 && found.offset <= size, "a refusal names a byte of the input",
              size);
    }
    free(copy);
    return found;
}

static void expect(const uint8_t *der, size_t size, enum pinsock_status status,
                   enum pinsock_field field, size_t offset, size_t length, const char *what)
{
    const pinsock_spki found = walk(der, size, what);

    check(found.status == status, what, (size_t)found.status);
    check(found.field == field, what, (size_t)found.field);
    check(found.offset == offset, what, found.offset);
    check(found.length == length, what, found.length);
}

/* --- certificates written out ------------------------------------------------ */

#define V3 "a003 020102 "
#define SERIAL_TO_SUBJECT "020107 3000 3000 3000 3000 "
#define KEY "3005 3000 030100 "
#define SIGNED "3000 030100 "
#define TBS "3017 " V3 SERIAL_TO_SUBJECT KEY
#define SMALL "301e " TBS SIGNED
#define CERT PINSOCK_CERTIFICATE
#define SPKI PINSOCK_SUBJECT_PUBLIC_KEY_INFO

static const struct {
    const char *what;
    const char *hex;
    enum pinsock_status status;
    enum pinsock_field field;
    size_t offset;
    size_t length;
} rows[] = {
    {"a v3 certificate", SMALL, PINSOCK_OK, SPKI, 20, 7},
    {"a v1 certificate", "3019 3012 " SERIAL_TO_SUBJECT KEY SIGNED, PINSOCK_OK, SPKI, 15, 7},
    {"extensions after the key", "3020 3019 " V3 SERIAL_TO_SUBJECT KEY "a300 " SIGNED, PINSOCK_OK,
     SPKI, 20, 7},
    {"no bytes", "", PINSOCK_TRUNCATED, CERT, 0, 0},
    {"a tag alone", "30", PINSOCK_TRUNCATED, CERT, 1, 0},
    {"a length cut short", "308201", PINSOCK_TRUNCATED, CERT, 1, 0},
    {"the indefinite length", "3080 " TBS SIGNED "0000", PINSOCK_INDEFINITE_LENGTH, CERT, 1,
     0},
    {"a long form for a short length", "30811e " TBS SIGNED, PINSOCK_NON_MINIMAL_LENGTH, CERT, 1,
     0},
    {"a long form for 127", "30817f " TBS SIGNED, PINSOCK_NON_MINIMAL_LENGTH, CERT, 1, 0},
    {"a length with a leading zero", "3082001e " TBS SIGNED, PINSOCK_NON_MINIMAL_LENGTH, CERT, 1,
     0},
    {"a length of five bytes", "3085000000001e " TBS SIGNED, PINSOCK_OVERLONG_LENGTH, CERT, 1, 0},
    {"the reserved length", "30ff " TBS SIGNED, PINSOCK_OVERLONG_LENGTH, CERT, 1, 0},
    {"the longest length", "3084ffffffff " TBS SIGNED, PINSOCK_OVERRUN, CERT, 1, 0},
    {"one byte missing", "301f " TBS SIGNED, PINSOCK_OVERRUN, CERT, 1, 0},
    {"one byte more", SMALL "00", PINSOCK_TRAILING_BYTES, CERT, 32, 0},
    {"tbsCertificate past the certificate", "301e 301d " V3 SERIAL_TO_SUBJECT KEY SIGNED,
     PINSOCK_OVERRUN, PINSOCK_TBS_CERTIFICATE, 3, 0},
    {"the version twice", "3023 301c " V3 V3 SERIAL_TO_SUBJECT KEY SIGNED, PINSOCK_UNEXPECTED_TAG,
     PINSOCK_SERIAL_NUMBER, 9, 0},
    {"the key past tbsCertificate", "301e 3016 " V3 SERIAL_TO_SUBJECT KEY SIGNED, PINSOCK_OVERRUN,
     SPKI, 21, 0},
    {"the key after tbsCertificate", "301e 3010 " V3 SERIAL_TO_SUBJECT KEY SIGNED,
     PINSOCK_TRUNCATED, SPKI, 20, 0},
    {"no signatureAlgorithm", "3019 " TBS, PINSOCK_TRUNCATED, PINSOCK_SIGNATURE_ALGORITHM, 27, 0},
    {"no signatureValue", "301b " TBS "3000 ", PINSOCK_TRUNCATED, PINSOCK_SIGNATURE_VALUE, 29, 0},
    {"more after signatureValue", "301f " TBS SIGNED "00", PINSOCK_TRAILING_BYTES,
     PINSOCK_SIGNATURE_VALUE, 32, 0},
};

static size_t from_hex(const char *hex, uint8_t *bytes)
{
    size_t size = 0;
    unsigned byte;

    while (sscanf(hex, " %2x", &byte) == 1) {
        bytes[size++] = (uint8_t)byte;
        hex += strspn(hex, " ") + 2;
    }
    return size;
}

static void test_rows(void)
{
    uint8_t der[64];
    size_t i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect(der, from_hex(rows[i].hex, der), rows[i].status, rows[i].field, rows[i].offset,
               rows[i].length, rows[i].what);
    }
    expect(NULL, 0, PINSOCK_TRUNCATED, CERT, 0, 0, "no memory at all");
    /* It ends at its first byte, so that the other 2 GB need not be there. */
    der[0] = 0x04;
    check(pinsock_find_spki(der, PINSOCK_CERTIFICATE_MAX).status == PINSOCK_UNEXPECTED_TAG,
          "the longest input is looked at", 0);
    check(pinsock_find_spki(NULL, PINSOCK_CERTIFICATE_MAX + 1).status == PINSOCK_TOO_LARGE,
          "too large, refused before a byte is read", 0);
    check(pinsock_find_spki_packed(NULL, SIZE_MAX) == -(int64_t)PINSOCK_TOO_LARGE,
          "too large, packed", 0);
}

/* Where each field's tag stands in SMALL. */
static const struct {
    enum pinsock_field field;
    size_t at;
} places[] = {
    {CERT, 0},
    {PINSOCK_TBS_CERTIFICATE, 2},
    {PINSOCK_VERSION, 4},
    {PINSOCK_SERIAL_NUMBER, 9},
    {PINSOCK_SIGNATURE, 12},
    {PINSOCK_ISSUER, 14},
    {PINSOCK_VALIDITY, 16},
    {PINSOCK_SUBJECT, 18},
    {SPKI, 20},
    {PINSOCK_SIGNATURE_ALGORITHM, 27},
    {PINSOCK_SIGNATURE_VALUE, 29},
};

static const struct {
    const char *what;
    size_t at; /* 0: the tag, 1: the length */
    uint8_t byte;
    enum pinsock_status status;
} faults[] = {
    {"another tag", 0, 0x04, PINSOCK_UNEXPECTED_TAG},
    {"a tag of more bytes", 0, 0x3F, PINSOCK_HIGH_TAG},
    {"an indefinite length", 1, 0x80, PINSOCK_INDEFINITE_LENGTH},
    {"a length of five bytes", 1, 0x85, PINSOCK_OVERLONG_LENGTH},
    {"a length past the end", 1, 0x7F, PINSOCK_OVERRUN},
};

static void test_every_fault_in_every_field(void)
{
    uint8_t der[64];
    size_t i;
    size_t j;

    for (i = 0; i < sizeof places / sizeof places[0]; i++) {
        for (j = 0; j < sizeof faults / sizeof faults[0]; j++) {
            const size_t size = from_hex(SMALL, der);
            const size_t at = places[i].at + faults[j].at;
            enum pinsock_field field = places[i].field;

            if (field == PINSOCK_VERSION && faults[j].at == 0) {
                field = PINSOCK_SERIAL_NUMBER; /* without its tag there is no version */
            }
            der[at] = faults[j].byte;
            expect(der, size, faults[j].status, field, at, 0, faults[j].what);
        }
    }
}

/* --- lengths of every form --------------------------------------------------- */

/* A certificate around a key with `length` bytes of contents. */
static void test_key_of(size_t length)
{
    uint8_t *der = calloc(1, length + 64);
    uint8_t header[8];
    uint8_t before[32];
    uint8_t after[8];
    const size_t before_size = from_hex(V3 SERIAL_TO_SUBJECT, before);
    const size_t after_size = from_hex(SIGNED, after);
    const size_t key = put_header(header, 0, 0x30, length) + length;
    const size_t tbs = before_size + key;
    const size_t whole = put_header(header, 0, 0x30, tbs) + tbs + after_size;
    size_t at;
    size_t start;

    if (der == NULL) {
        abort();
    }
    at = put_header(der, 0, 0x30, whole);
    at = put_header(der, at, 0x30, tbs);
    memcpy(der + at, before, before_size);
    start = at + before_size;
    at = put_header(der, start, 0x30, length) + length;
    memcpy(der + at, after, after_size);
    at += after_size;
    expect(der, at, PINSOCK_OK, SPKI, start, key, "a key of some length");
    expect(der, at - 1, PINSOCK_OVERRUN, CERT, 1, 0, "a key of some length, cut");
    free(der);
}

static void test_lengths(void)
{
    static const size_t lengths[] = {0,      1,      127,      128,     255,
                                     256,    65535,  65536,    0xFFFFFF, 0x1000000};
    size_t i;

    for (i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        test_key_of(lengths[i]);
    }
}

/* --- a real certificate, damaged --------------------------------------------- */

static void test_cut_at_every_byte(void)
{
    size_t size;

    for (size = 0; size < sizeof CERTIFICATE; size++) {
        const pinsock_spki found = walk(CERTIFICATE, size, "a cut certificate");

        check(found.status == (size < 4 ? PINSOCK_TRUNCATED : PINSOCK_OVERRUN) &&
                  found.field == CERT,
              "a cut certificate is refused at its length", size);
    }
}

/* A plain cut is refused at the first length already.  So that the walk comes to
 * each header with the end of the memory just before, in or behind it, the length
 * of the certificate is made to fit what is left of it. */
static void test_cut_with_the_outer_length_mended(void)
{
    uint8_t der[sizeof CERTIFICATE + 8];
    size_t left;

    for (left = 0; left < sizeof CERTIFICATE - TBS_AT; left++) {
        const size_t start = put_header(der, 0, 0x30, left);
        const size_t cut = TBS_AT + left;
        enum pinsock_field expected = PINSOCK_TBS_CERTIFICATE;
        pinsock_spki found;

        memcpy(der + start, CERTIFICATE + TBS_AT, left);
        found = walk(der, start + left, "a cut certificate");
        if (cut >= TBS_END) {
            expected = cut < SIGNATURE_AT ? PINSOCK_SIGNATURE_ALGORITHM : PINSOCK_SIGNATURE_VALUE;
        }
        check(found.field == expected, "the field that was cut is named", left);
        check(found.status == PINSOCK_TRUNCATED || found.status == PINSOCK_OVERRUN,
              "a cut certificate is refused", left);
    }
}

/* And the same with the length of tbsCertificate: then the field that the cut goes
 * through is the one that is refused. */
static void test_cut_with_both_lengths_mended(void)
{
    /* version, serialNumber, ... subjectPublicKeyInfo, and what follows it */
    static const size_t starts[] = {7, 12, 34, 41, 61, 95, SPKI_AT, SPKI_AT + SPKI_LENGTH};
    uint8_t der[sizeof CERTIFICATE + 8];
    uint8_t header[8];
    size_t field = 0;
    size_t left;

    for (left = 0; left < TBS_END - TBS_CONTENTS; left++) {
        const size_t tbs = put_header(header, 0, 0x30, left) + left;
        size_t start = put_header(der, 0, 0x30, tbs);
        pinsock_spki found;
        size_t expected;

        start = put_header(der, start, 0x30, left);
        memcpy(der + start, CERTIFICATE + TBS_CONTENTS, left);
        found = walk(der, start + left, "a cut tbsCertificate");
        if (field + 1 < sizeof starts / sizeof starts[0] &&
            TBS_CONTENTS + left >= starts[field + 1]) {
            field++;
        }
        expected = PINSOCK_VERSION + field;
        if (left == 0) {
            expected = PINSOCK_SERIAL_NUMBER; /* nothing says that there is a version */
        } else if (expected > PINSOCK_SUBJECT_PUBLIC_KEY_INFO) {
            expected = PINSOCK_SIGNATURE_ALGORITHM; /* the key is whole */
        }
        check((size_t)found.field == expected, "the field that was cut is named", left);
        check(found.status == PINSOCK_TRUNCATED || found.status == PINSOCK_OVERRUN,
              "a cut tbsCertificate is refused", left);
    }
    check(field == 7, "the cuts went through every field", field);
}

static void test_every_byte_changed(void)
{
    uint8_t der[sizeof CERTIFICATE];
    size_t at;
    unsigned byte;

    for (at = 0; at < sizeof der; at++) {
        memcpy(der, CERTIFICATE, sizeof der);
        for (byte = 0; byte < 256; byte++) {
            der[at] = (uint8_t)byte;
            (void)walk(der, sizeof der, "a changed byte moves the walk to another place");
        }
    }
}

int main(void)
{
    expect(CERTIFICATE, sizeof CERTIFICATE, PINSOCK_OK, SPKI, SPKI_AT, SPKI_LENGTH,
           "a real certificate");
    test_rows();
    test_every_fault_in_every_field();
    test_lengths();
    test_cut_at_every_byte();
    test_cut_with_the_outer_length_mended();
    test_cut_with_both_lengths_mended();
    test_every_byte_changed();
    return verdict();
}
