"""``python -m proofs.mutate``: every small change of csrc is noticed, or explained.

Each mutant is one change: an operator swapped, a constant off by one, a condition made always true
or always false, a statement deleted.  One that gives the same object code at -O2 is no change.
The others run the C tests under ASan and UBSan.  Those that live must stand in survivors.txt with
the reason, and no other may stand there.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from proofs.common import C_TESTS, CSRC, LIBRARY, PROOFS, SANITISED, Failure, need, run, say

if TYPE_CHECKING:
    from collections.abc import Iterator

SURVIVORS: Final = PROOFS / "survivors.txt"
#: A mutant that loops for ever has been noticed as well.
SECONDS: Final = 60

#: What is replaced where, by what.
SWAPS: Final = (
    (r"(?<![<>=!+\-*/|&^])<(?![<=])", ("<=", ">", "!=")),
    (r"(?<![<>=!\-])>(?![>=])", (">=", "<", "!=")),
    (r"<=", ("<", "==")),
    (r"(?<!>)>=", (">", "==")),
    (r"==", ("!=",)),
    (r"!=", ("==",)),
    (r"&&", ("||",)),
    (r"\|\|", ("&&",)),
    (r"!(?=[a-z(])", ("",)),
    (r"(?<=[\w)\]] )\+(?= )", ("-",)),
    (r"(?<=[\w)\]] )-(?= )", ("+",)),
    (r"(?<=[\w)\]] )\*(?= )", ("+",)),
    (r"(?<=[\w)\]] )&(?= )", ("|", "^")),
    (r"(?<=[\w)\]] )\|(?= )", ("&", "^")),
    (r"(?<=[\w)\]] )\^(?= )", ("&", "|")),
    (r"<<", (">>",)),
    (r">>", ("<<",)),
    (r"\+=", ("-=", "=")),
    (r"\|=", ("=", "&=", "^=")),
    (r"\^=", ("=", "|=", "&=")),
    (r"\+\+", ("--",)),
    (r"-\(", ("(",)),
)
NUMBER: Final = re.compile(r"(?<![\w.])(0x[0-9A-Fa-f]+|\d+)(u?)\b")
CONDITION: Final = re.compile(r"\bif \((.*)\) \{$")
STATEMENT: Final = re.compile(r"^( +)([a-z*][^{}]*;)( +/\*.*\*/)?$")
DECLARATION: Final = re.compile(r"(const )?(size_t|u?int\d+_t|reader|pinsock_spki|int) [^()]")


class Mutant(NamedTuple):
    """One changed line."""

    file: str
    line: int
    old: str
    new: str

    def __str__(self) -> str:
        """As it stands in survivors.txt: the line's number may change, its text not."""
        return f"{self.file}: {self.old.strip()} -> {self.new.strip() or 'nothing'}"


def code(text: str) -> list[str]:
    """The lines, with comments blank; what a comment holds is not mutated."""
    comment = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
    return comment.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text).splitlines()


def changes(line: str) -> Iterator[str]:
    """Every change of one line."""
    for pattern, others in SWAPS:
        for match in re.finditer(pattern, line):
            for other in others:
                yield line[: match.start()] + other + line[match.end() :]
    for match in NUMBER.finditer(line):
        value = int(match[1], 0)
        for other_value in {value + 1, max(value - 1, 0)} - {value}:
            yield line[: match.start()] + f"{other_value}{match[2]}" + line[match.end() :]
    if condition := CONDITION.search(line):
        for constant in "01":
            # The condition is still computed, so no warning of an unused name hides the mutant.
            before, after = line[: condition.start(1)], line[condition.end(1) :]
            yield f"{before}({condition[1]}, {constant}){after}"
    if (statement := STATEMENT.match(line)) and not DECLARATION.match(statement[2]):
        yield f"{statement[1]};"


def mutants() -> list[Mutant]:
    """Of both files, preprocessor lines left out: those are sizes that the headers promise."""
    found = []
    for file in LIBRARY:
        for number, line in enumerate(code((CSRC / file).read_text())):
            old = line.rstrip()
            if not old.startswith("#"):
                found += [Mutant(file, number, old, new) for new in changes(old)]
    return list(dict.fromkeys(found))


def object_code(source: Path) -> bytes | None:
    """As gcc -O2 makes it, ``None`` if it does not compile."""
    target = source.with_suffix(".o")
    flags = ("-std=c99", "-O2", "-Werror=return-type", f"-I{CSRC}")
    done = run("gcc", *flags, "-c", "-o", target, source)
    if done.returncode != 0:
        return None
    run("objcopy", "-O", "binary", "-j", ".text", "-j", ".rodata*", target, target)
    return target.read_bytes()


def fate(mutant: Mutant, original: bytes | None, scratch: Path) -> str:
    """What became of it: "no code", "the same", "killed" or "alive"."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    source = folder / mutant.file
    lines = (CSRC / mutant.file).read_text().splitlines()
    lines[mutant.line] = mutant.new
    source.write_text("\n".join([*lines, ""]))
    compiled = object_code(source)
    if compiled is None:
        return "no code"
    if compiled == original:
        return "the same"
    test = C_TESTS / f"test_{source.name}"
    program = folder / "test"
    command = ("gcc", "-std=c99", "-w", *SANITISED, f"-I{CSRC}", "-o", program, test, source)
    if run(*command).returncode != 0:
        raise Failure(f"{mutant}: compiles alone, and not with its test")
    try:
        return "killed" if run(program, seconds=SECONDS).returncode != 0 else "alive"
    except subprocess.TimeoutExpired:
        return "killed"


def explained() -> dict[str, str]:
    """Mutant and reason: two lines each, the second indented."""
    text = SURVIVORS.read_text()
    return dict(re.findall(r"^(?! |#)(.+)\n {4}(\S.*)$", text, re.MULTILINE))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m proofs.mutate", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take only each so-manieth mutant")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    need("gcc", "objcopy")
    start = time.monotonic()
    chosen = mutants()[:: options.every]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        originals = {}
        for file in LIBRARY:
            copy = scratch / file
            copy.write_text((CSRC / file).read_text())
            originals[file] = object_code(copy)
            unchanged = Mutant(file, 0, "", (CSRC / file).read_text().splitlines()[0])
            if fate(unchanged, None, scratch) != "alive":
                raise Failure(f"the tests fail on {file} as it is")
        with ThreadPoolExecutor(options.jobs) as pool:
            fates = list(pool.map(lambda m: fate(m, originals[m.file], scratch), chosen))
    count = {kind: fates.count(kind) for kind in ("no code", "the same", "killed", "alive")}
    alive = {str(m) for m, end in zip(chosen, fates, strict=True) if end == "alive"}
    reasons = explained()
    stale = set(reasons) - alive if options.every == 1 else set()
    say(
        f"{len(chosen)} mutants in {time.monotonic() - start:.0f} s: {count['killed']} killed,"
        f" {count['alive']} alive, {count['the same']} the same code, {count['no code']} none"
    )
    for text in sorted(alive & set(reasons)):
        say(f"explained: {text}\n    {reasons[text]}")
    if alive - set(reasons):
        raise Failure("\n".join(["alive and not explained:", *sorted(alive - set(reasons))]))
    if stale:
        raise Failure("\n".join(["explained and not alive:", *sorted(stale)]))


if __name__ == "__main__":
    main()
