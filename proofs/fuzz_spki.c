/* Invariant: a certificate is accepted just if the second reading in tests/c/oracle.h
 * accepts it, and then the span is the one that it finds: one complete SEQUENCE inside
 * tbsCertificate, in the seventh place of it, or in the sixth where no version stands.
 * A refusal names a byte of the input, or the one after it; both forms of the answer
 * agree.  libFuzzer gives each input as a heap block of just its size, so ASan sees a
 * read of one byte too many. */
#include "oracle.h"
#include "spki.h"

int LLVMFuzzerTestOneInput(const uint8_t *der, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *der, size_t size, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *der, size_t size, size_t most); /* libFuzzer's own */

/* A change of size alone is refused at the first length already.  So each second time
 * that length is made to fit, and each fourth time that of tbsCertificate too, with
 * up to 11 bytes left behind it. */
size_t LLVMFuzzerCustomMutator(uint8_t *der, size_t size, size_t most, unsigned seed)
{
    size_t end = LLVMFuzzerMutate(der, size, most);
    size_t at = 0;
    unsigned level;

    size = end;
    for (level = 1; level <= 2 && (seed & level) != 0; level++) {
        uint8_t header[6];
        size_t length;

        for (length = 2; length <= sizeof header; length++) {
            if (end - at >= length &&
                put_header(header, 0, 0x30, end - at - length) == length) {
                memcpy(der + at, header, length);
                at += length;
                break;
            }
        }
        if (length > sizeof header) {
            break;
        }
        end -= (seed >> 8) % (end - at < 12 ? end - at + 1 : 12);
    }
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *der, size_t size)
{
    const pinsock_spki found = pinsock_find_spki(der, size);
    const int64_t packed = pinsock_find_spki_packed(der, size);
    size_t offset = 0;
    const size_t length = key_by_the_book(der, size, &offset);

    if ((found.status == PINSOCK_OK) != (length > 0)) {
        __builtin_trap();
    }
    if (found.status == PINSOCK_OK) {
        if (found.offset != offset || found.length != length ||
            packed != ((int64_t)offset << 31 | (int64_t)length)) {
            __builtin_trap();
        }
    } else if (found.length != 0 || found.offset > size ||
               packed != -(int64_t)(((uint64_t)found.offset << 16) |
                                    ((uint64_t)found.field << 8) | (uint64_t)found.status)) {
        __builtin_trap();
    }
    return 0;
}
