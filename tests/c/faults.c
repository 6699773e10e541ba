/* Faults that the sanitisers must see; a build that lets one pass proves nothing. */
#include "certificate.h"
#include "check.h"
#include "pin_table.h"
#include "spki.h"

#include <limits.h>

int main(int argc, char **argv)
{
    const char *fault = argc > 1 ? argv[1] : "";
    uint8_t *cut = exact_copy(CERTIFICATE, SPKI_AT);

    if (strcmp(fault, "walk") == 0) { /* one byte past the end, and more */
        (void)pinsock_find_spki(cut, sizeof CERTIFICATE);
    } else if (strcmp(fault, "scan") == 0) {
        (void)pinsock_find_digest(cut, SPKI_AT / PINSOCK_DIGEST_SIZE + 1, CERTIFICATE);
    } else if (strcmp(fault, "overflow") == 0) {
        volatile int most = INT_MAX;

        most = most + 1;
    } else {
        check(0, "no such fault", 0);
    }
    free(cut);
    check(1, "the fault passed unseen", 0);
    return verdict();
}
