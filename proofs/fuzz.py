"""``python -m proofs.fuzz``: both functions under libFuzzer, ASan and UBSan.

The invariants stand at the head of fuzz_spki.c and fuzz_pin_table.c.  The corpus holds an input for
each thing that the fuzzer saw the code do.  It has to reach all of csrc but what only an input of
2 GB does.  It, and very many changes of it, go through the Python twins as well, and both have to
say the same, reason and offset of each refusal included.  Last, faults are planted, which the same
targets must find.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections import Counter
from itertools import chain
from pathlib import Path
from random import Random
from typing import Final

from pinsock import _native, _pure
from proofs.common import C_TESTS, CLANG, CSRC, PROOFS, SANITISED, Failure, must, need, run, say
from proofs.coverage import COUNTING, COV, PROFDATA, reach
from proofs.faults import FAULTS

FLAGS: Final = ("-std=c99", "-g", *SANITISED, "-fsanitize=fuzzer")
TARGETS: Final = ("spki", "pin_table")
#: The longest input: that of the real certificates, but for a few, and 63 rows.
LONGEST: Final = {"spki": 4096, "pin_table": 2079}
#: A tenth of the walk's runs have inputs to here, so that lengths in three octets are accepted.
#: (Those in four begin at 16 MB: the C tests and the proof speak of them.)
LONG: Final = 70_000
#: What no input of a fuzzer reaches.
OUT_OF_REACH: Final = [
    "spki.c: if (size > PINSOCK_CERTIFICATE_MAX) {",
    "spki.c: (void)fail(&r, PINSOCK_TOO_LARGE, 0);",
    "spki.c: return r.result;",
    "spki.c: }",
]
#: A fault is planted to be found in so many runs.
RUNS_FOR_A_FAULT: Final = 2_000_000


def compile_target(
    target: str, folder: Path, csrc: Path = CSRC, flags: tuple[str, ...] = FLAGS
) -> Path:
    """Compile one target over one copy of csrc."""
    program = folder / f"fuzz_{target}"
    sources = (PROOFS / f"fuzz_{target}.c", csrc / f"{target}.c")
    must(CLANG, *flags, f"-I{csrc}", f"-I{C_TESTS}", "-o", program, *sources)
    return program


def seed(folder: Path) -> int:
    """Real certificates, and tables with a row that is the digest; how many."""
    from tests.check.certificates import DATA, build
    from tests.check.corpus import objects

    found = [build().der, *DATA.values()]
    found += [der for der in objects() if _pure.locate(der, len(der)) >= 0]
    for target in (*TARGETS, "spki_long"):
        (folder / target).mkdir(parents=True, exist_ok=True)
    for number, der in enumerate(found):
        (folder / "spki" / f"seed{number}").write_bytes(der)
    for number, field in enumerate(("subject", "subjectPublicKeyInfo", "signatureValue")):
        long = build({field: bytes(0x10000)}).der
        (folder / "spki_long" / f"seed{number}").write_bytes(long)
    for rows in range(64):
        table = bytes(rows) + bytes(range(32)) * rows
        (folder / "pin_table" / f"seed{rows}").write_bytes(table + bytes([rows, rows])[: rows % 3])
    return len(found)


def fuzz(program: Path, corpus: Path, longest: int, runs: int, seconds: int) -> None:
    """Run one target for so many inputs from a corpus, which grows."""
    start = time.monotonic()
    said = must(
        *(program, f"-runs={runs}", f"-max_len={longest}", "-print_final_stats=1"),
        *(f"-max_total_time={seconds}", f"-artifact_prefix={corpus}/../found-", "-seed=1", corpus),
        seconds=seconds + 60,
    )
    done = int(re.findall(r"number_of_executed_units: (\d+)", said)[0])
    what = f"{program.name}, to {longest:,} bytes"
    if done < runs:
        raise Failure(f"{what}: {done:,} of {runs:,} runs in {seconds} s")
    coverage = re.findall(r"DONE +(cov: \d+ ft: \d+ corp: \d+)", said)[0]
    say(f"{what}: {done:,} runs in {time.monotonic() - start:.0f} s, {coverage}")


def measure(corpus: Path, scratch: Path) -> None:
    """The corpus, and nothing else, reaches what can be reached."""
    runs: list[tuple[str | Path, ...]] = []
    for target in TARGETS:
        program = compile_target(target, scratch, flags=(*COUNTING, "-fsanitize=fuzzer"))
        folders = [path for path in sorted(corpus.iterdir()) if path.name.startswith(target)]
        runs.append((program, "-runs=0", *folders))
    if (missed := reach(scratch, *runs)) != OUT_OF_REACH:
        raise Failure("\n".join(["the corpus does not reach:", *missed]))
    say("by the corpus alone; the rest is the refusal of an input over 2 GB")


def row_agreed(data: bytes) -> int:
    """What C and Python make of an input of fuzz_pin_table.c; they have to agree."""
    rows, left = divmod(len(data), 32)
    rows -= 1
    digest, table, rest = bytearray(data[:32]), data[32 : 32 + rows * 32], data[32 + rows * 32 :]
    if left > 0 and rows > 0:
        row = rest[0] % rows
        digest[:] = table[row * 32 : row * 32 + 32]
    if left > 1:
        digest[rest[1] // 8] ^= 1 << rest[1] % 8
    arguments = table, rows, bytes(digest)
    if (found := _native.find_digest(*arguments)) != _pure.find_digest(*arguments):
        raise Failure(f"C and Python disagree: {arguments}")
    return found


def twins(corpus: Path, changed: int) -> None:
    """Each input of the corpus, and so many changed ones, through C and Python: the same answers.

    Every second change is made within tbsCertificate, and the lengths around it are made to fit:
    otherwise most end at the first length.
    """
    from tests.check.backends import agreed
    from tests.check.certificates import SEQUENCE, tlv
    from tests.fuzz.mutation import mutated

    random = Random(1)  # noqa: S311 - to be repeated, not to be secret
    start = time.monotonic()
    inputs = [path.read_bytes() for path in sorted(corpus.glob("spki*/*"))]
    insides, rests = [], []
    for der in inputs:
        if isinstance(agreed(der), bytes):
            inside, tbs_end = _pure.read_header(
                der, *_pure.read_header(der, 0, len(der), SEQUENCE), SEQUENCE
            )
            insides.append(der[inside:tbs_end])
            rests.append(der[tbs_end:])
    kinds: Counter[int] = Counter()  # field and reason of a refusal, 0 for a key
    for number in range(changed):
        if number % 2:
            der = mutated(random, inputs)
        else:
            tbs = tlv(SEQUENCE, mutated(random, insides))
            der = tlv(SEQUENCE, tbs, random.choice(rests))
        agreed(der)
        kinds[-min(_native.locate(der, len(der)), 0) & 0xFFFF] += 1
    if not 0 < len(insides) < len(inputs) or not 0 < kinds[0] < changed:
        raise Failure(f"{len(insides)} certificates in {len(inputs)} inputs, {kinds[0]} changed")
    say(
        f"C and Python agree on {len(inputs)} inputs, {len(insides)} of them certificates, and on"
        f" {changed:,} changed ones, {kinds[0]:,} of them certificates, the others refused for"
        f" {len(kinds) - 1} kinds of reason and field, in {time.monotonic() - start:.0f} s"
    )

    start = time.monotonic()
    inputs = [path.read_bytes() for path in sorted((corpus / "pin_table").iterdir())]
    more = (mutated(random, inputs)[: LONGEST["pin_table"]] for _ in range(changed))
    rows = [row_agreed(data) for data in chain(inputs, more) if len(data) >= 32]
    matches = sum(row >= 0 for row in rows)
    if not 0 < matches < len(rows):
        raise Failure(f"{matches} matches in {len(rows)} tables")
    say(
        f"C and Python agree on {len(rows):,} tables, {matches:,} of them with a match, in"
        f" {time.monotonic() - start:.0f} s"
    )


def find_faults(corpus: Path, scratch: Path) -> None:
    """Every planted fault ends a run, or this does not."""
    for number, fault in enumerate(FAULTS):
        folder = scratch / str(number)
        (folder / "new").mkdir(parents=True)
        target = Path(fault.file).stem
        program = compile_target(target, folder, fault.plant(folder))
        done = run(
            *(program, f"-runs={RUNS_FOR_A_FAULT}", f"-max_len={LONGEST[target]}", "-seed=1"),
            *(f"-artifact_prefix={folder}/", folder / "new", corpus / target),
        )
        how = re.findall(
            r"ERROR: \w+: (deadly signal|[a-z]+-buffer-overflow)|runtime error: (.*)", done.stderr
        )
        if done.returncode == 0 or not how:
            raise Failure(f"{done.stderr[-2000:]}\nfuzz_{target} does not find: {fault.name}")
        say(f"found: {fault.name} ({''.join(how[0])})")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m proofs.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000, help="of each of the two targets")
    parser.add_argument("--twins", type=int, default=1_000_000, help="inputs for C and Python both")
    parser.add_argument("--seconds", type=int, default=3600, help="at most, for each target")
    parser.add_argument("--corpus", type=Path, help="keep it here, and begin with what is there")
    options = parser.parse_args()
    need(CLANG, PROFDATA, COV)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        corpus = options.corpus or folder / "corpus"
        say(f"seeds: {seed(corpus)} certificates")
        for target in TARGETS:
            program = compile_target(target, folder)
            fuzz(program, corpus / target, LONGEST[target], options.runs, options.seconds)
            if target == "spki":
                long = corpus / "spki_long"
                fuzz(program, long, LONG, options.runs // 10, options.seconds)
        measure(corpus, folder)
        twins(corpus, options.twins)
        find_faults(corpus, folder)


if __name__ == "__main__":
    main()
