"""``python -m proofs.fuzz``: both functions under libFuzzer, ASan and UBSan.

The invariants stand at the head of fuzz_spki.c and fuzz_pin_table.c.  After the runs the corpus,
which holds an input for each thing that the fuzzer saw the code do, goes through the Python twins
as well, and both have to say the same, reason and offset of each refusal included.  Last,
faults are planted, which the same targets must find.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from pathlib import Path
from typing import Final

from pinsock import _native, _pure
from proofs.common import C_TESTS, CLANG, CSRC, PROOFS, Failure, must, need, run, say
from proofs.faults import FAULTS

FLAGS: Final = (
    *("-std=c99", "-g", "-O1", "-fsanitize=fuzzer,address,undefined"),
    *("-fno-sanitize-recover=all", f"-I{C_TESTS}"),
)
TARGETS: Final = ("spki", "pin_table")
#: The longest input: that of the real certificates, but for a few, and 63 rows.
LONGEST: Final = {"spki": 4096, "pin_table": 2079}
#: A fault is planted to be found in so many runs.
RUNS_FOR_A_FAULT: Final = 2_000_000


def compile_target(target: str, folder: Path, csrc: Path = CSRC) -> Path:
    """Compile one target over one copy of csrc."""
    program = folder / f"fuzz_{target}"
    sources = (PROOFS / f"fuzz_{target}.c", csrc / f"{target}.c")
    must(CLANG, *FLAGS, f"-I{csrc}", "-o", program, *sources)
    return program


def seed(folder: Path) -> int:
    """Real certificates, and tables with a row that is the digest; how many."""
    from tests.check.certificates import DATA, build
    from tests.check.corpus import objects

    found = [build().der, *DATA.values()]
    found += [der for der in objects() if _pure.locate(der, len(der)) >= 0]
    for target in TARGETS:
        (folder / target).mkdir(parents=True, exist_ok=True)
    for number, der in enumerate(found):
        (folder / "spki" / f"seed{number}").write_bytes(der)
    for rows in range(64):
        table = bytes(rows) + bytes(range(32)) * rows
        (folder / "pin_table" / f"seed{rows}").write_bytes(table + bytes([rows, rows])[: rows % 3])
    return len(found)


def fuzz(target: str, program: Path, corpus: Path, runs: int, seconds: int) -> None:
    """Run one target for so many inputs from a corpus, which grows."""
    start = time.monotonic()
    said = must(
        *(program, f"-runs={runs}", f"-max_len={LONGEST[target]}", "-print_final_stats=1"),
        *(f"-max_total_time={seconds}", f"-artifact_prefix={corpus}/../found-", "-seed=1", corpus),
        seconds=seconds + 60,
    )
    done = int(re.findall(r"number_of_executed_units: (\d+)", said)[0])
    if done < runs:
        raise Failure(f"fuzz_{target}: {done:,} of {runs:,} runs in {seconds} s")
    coverage = re.findall(r"DONE +(cov: \d+ ft: \d+ corp: \d+)", said)[0]
    say(f"fuzz_{target}: {done:,} runs in {time.monotonic() - start:.0f} s, {coverage}")


def replay(corpus: Path) -> None:
    """Each input of the corpus through C and Python: the same answers."""
    from tests.check.backends import agreed

    inputs = [path.read_bytes() for path in sorted((corpus / "spki").iterdir())]
    keys = sum(isinstance(agreed(der), bytes) for der in inputs)
    if not 0 < keys < len(inputs):
        raise Failure(f"the corpus holds {keys} certificates in {len(inputs)} inputs")
    say(f"C and Python agree on {len(inputs)} inputs, {keys} of them certificates")

    inputs = [path.read_bytes() for path in sorted((corpus / "pin_table").iterdir())]
    matches = 0
    for data in inputs:
        rows, left = divmod(len(data), 32)
        rows -= 1
        if rows < 0:
            continue
        # As fuzz_pin_table.c makes digest and table of an input.
        digest, table, rest = bytearray(data[:32]), data[32 : 32 + rows * 32], data[-left:]
        if left > 0 and rows > 0:
            row = rest[0] % rows
            digest[:] = table[row * 32 : row * 32 + 32]
        if left > 1:
            digest[rest[1] // 8] ^= 1 << rest[1] % 8
        arguments = table, rows, bytes(digest)
        if (found := _native.find_digest(*arguments)) != _pure.find_digest(*arguments):
            raise Failure(f"C and Python disagree: {arguments}")
        matches += found >= 0
    if not 0 < matches < len(inputs):
        raise Failure(f"{matches} matches in {len(inputs)} inputs")
    say(f"C and Python agree on {len(inputs)} tables, {matches} of them with a match")


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
    parser.add_argument("--seconds", type=int, default=3600, help="at most, for each target")
    parser.add_argument("--corpus", type=Path, help="keep it here, and begin with what is there")
    options = parser.parse_args()
    need(CLANG)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        corpus = options.corpus or folder / "corpus"
        say(f"seeds: {seed(corpus)} certificates")
        for target in TARGETS:
            program = compile_target(target, folder)
            fuzz(target, program, corpus / target, options.runs, options.seconds)
        replay(corpus)
        find_faults(corpus, folder)


if __name__ == "__main__":
    main()
