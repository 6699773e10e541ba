"""Mistakes that fuzzing and proof must both find, one for each thing that is promised.

Some read past the end; the others keep to their memory and find the wrong bytes, which no
sanitiser sees.
"""

from __future__ import annotations

from typing import Final

from proofs.common import Fault

SCAN: Final = "pinsock_find_digest"

FAULTS: Final = (
    Fault(
        "reads a tag behind the end",
        "spki.c",
        "read_header",
        "if (position >= r->end) {\n        return fail(r, PINSOCK_TRUNCATED, position);\n    }\n"
        "    if ((r->der",
        "if (position > r->end) {\n        return fail(r, PINSOCK_TRUNCATED, position);\n    }\n"
        "    if ((r->der",
    ),
    Fault(
        "reads a length's last byte behind the end",
        "spki.c",
        "read_header",
        "if (octets > r->end - position - 1)",
        "if (octets > r->end - position)",
    ),
    Fault(
        "an element may end one byte after what holds it",
        "spki.c",
        "read_header",
        "} else if (length > r->end - position - 1) {",
        "} else if (length > r->end - position) {",
    ),
    Fault(
        "the key may run past the end of tbsCertificate",
        "spki.c",
        "pinsock_find_spki",
        "    r.end = tbs_end;\n",
        "",
    ),
    Fault(
        "a length may be written longer than needed",
        "spki.c",
        "read_header",
        " || (octets == 1 && r->der[position + 1] < 0x80u)",
        "",
    ),
    Fault(
        "the subject is taken for the key",
        "spki.c",
        "find_in_tbs",
        "    {PINSOCK_VALIDITY, SEQUENCE},     {PINSOCK_SUBJECT, SEQUENCE},\n",
        "    {PINSOCK_VALIDITY, SEQUENCE},\n",
    ),
    Fault(
        "bytes may follow the certificate",
        "spki.c",
        "pinsock_find_spki",
        "if (certificate_end != size)",
        "if (certificate_end > size)",
    ),
    Fault(
        "the key lacks its last byte",
        "spki.c",
        "find_in_tbs",
        "r->result.length = r->position - start;",
        "r->result.length = r->position - start - 1;",
    ),
    Fault(
        "an element is entered, not stepped over",
        "spki.c",
        "skip",
        "    r->position = contents_end;\n",
        "",
    ),
    Fault(
        "a version is seen where the bytes have ended",
        "spki.c",
        "next_is",
        "return r->position < r->end && ",
        "return ",
    ),
    Fault(
        "offset and length overlap in one number",
        "spki.c",
        "pinsock_find_spki_packed",
        "(int64_t)spki.offset * 0x80000000",
        "(int64_t)spki.offset * 0x40",
    ),
    Fault("reads a row behind the table", "pin_table.c", SCAN, "i < rows", "i <= rows"),
    Fault("a word is not compared", "pin_table.c", SCAN, "word < WORDS", "word < WORDS - 1"),
    Fault("rows overlap", "pin_table.c", SCAN, "table + i * PINSOCK_DIGEST_SIZE", "table + i"),
    Fault("the wrong bit decides", "pin_table.c", SCAN, ">> 63", ">> 62"),
)

#: Not of the code but of a contract, which then says nothing.
CONTRADICTION: Final = Fault(
    "a contract that no caller can keep",
    "spki.c",
    "skip",
    "  assigns r->position, r->result;\n  ensures readable(r);\n"
    "  ensures \\result == 0 || \\result == 1;\n  ensures \\result == 1 <==> element(",
    "  requires r->position > r->end;\n"
    "  assigns r->position, r->result;\n  ensures readable(r);\n"
    "  ensures \\result == 0 || \\result == 1;\n  ensures \\result == 1 <==> element(",
)
