"""Fuzzing: damaged and hostile files end in a one-line error or in a right answer.

A *target* is a reader of files with valid files for it (`Target`). A *mutant* is such files with a
change, which follows from the target's name, a seed and a number. It ends in one of three ways:

- *refused*: an InputError of one printable line, not long, which names the file;
- *right*: it is accepted, and what was read is what it should be;
- *wrong*: anything else, such as another exception, a wrong answer, a hang, a crash of the
  interpreter, or more memory than `Target.multiple` times the files' size and `Target.constant`.

`tests/test_fuzz.py` tries some mutants of every target, `tests/fuzz.py` as many as there is time
for, in processes of their own.

Add a target: write a module in `targets/` with a tuple `TARGETS`. It is found by being there.

    from tests.support.fuzzing.target import Target, written

    def _seeds():
        return [written(lambda folder: save(folder / "a.bin")), {"a.bin": b"other valid bytes"}]

    def _read(folder):
        return load(folder / "a.bin")  # The public function, and what a user does with its result.

    TARGETS = (Target("name", _seeds, _read),)

Without an `oracle`, a mutant that is accepted must have the content of its seed. That is right for
formats whose checksum covers everything. For others, and where `repair` or a mutator makes the
checksum right again, `oracle(folder)` reads the changed files independently of jhash. Where any
value may be right (the pixels of an image), `same` checks what can be checked, such as the shape.
`mutators` know the format: they set a count in the header to 2**40, nest brackets, or inflate. Then
run `python tests/fuzz.py --minutes 1 --target name`; `--only NUMBER` shows one mutant's traceback.
"""

from tests.support.fuzzing.running import Counts, Fuzzer, Verdict, describe, run
from tests.support.fuzzing.target import Files, Mutator, Target, equal, files_of, written

__all__ = [
    "Counts",
    "Files",
    "Fuzzer",
    "Mutator",
    "Target",
    "Verdict",
    "describe",
    "equal",
    "files_of",
    "run",
    "written",
]
