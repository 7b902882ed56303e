"""Bad input: commands that are to end in one clear line, before any work.

    python tests/campaigns/bad_input.py --workers 2

Every trial gives one command of `bad_input_cases` in a process of its own. It ended well if the
exit status is the right one, stderr has one line, which says what is wrong, stdout is empty, there
is no traceback, and no file was made or changed. Wrong use of a command (status 2) may print the
usage before the line.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time

import bad_input_cases
import frame
import numpy as np
from PIL import Image

# Seconds after which a command is taken for one that works or hangs.
_LIMIT = 120
CASES = [(row, (name, case)) for row, name, case in bad_input_cases.CASES]
_preparing = threading.Lock()


def trial(named, rng, scratch):
    """Gives the command, and compares all that came of it with what should."""
    del rng
    name, case = named
    with _preparing:
        prepared = prepare(scratch.parent / "prepared")
    folder = scratch / "folder"
    shutil.copytree(prepared, folder)
    for path, content in case.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)
    before = _contents(folder)
    began = time.perf_counter()
    status, out, err = _call(case.words, folder, case.variables)
    seconds = time.perf_counter() - began
    changed = sorted(set(_contents(folder).items()) ^ set(before.items()))
    changed = [path for path, _ in changed if not path.startswith(case.makes or "\0")]
    lines = err.splitlines()
    if case.status == 2 and "usage: " in err:
        lines = lines[-1:]
    problems = {
        "hangs or works": status is None,
        "a traceback": "Traceback" in err,
        "the wrong status": status not in (None, case.status),
        "more than a line": len(lines) != case.lines,
        "another line": not re.search(case.pattern, err),
        "output": bool(out),
        "files made or changed": bool(changed),
    }
    details = {"case": name, "command": " ".join(case.words), "status": status, "stderr": err}
    details |= {"stdout": out, "changed": changed, "command_seconds": round(seconds, 1)}
    bad = [problem for problem, holds in problems.items() if holds]
    return frame.Outcome(bad[0] if bad else "one clear line", not bad, details=details)


def prepare(folder):
    """Makes the files with which every case begins, once; returns their folder."""
    done = folder.with_suffix(".done")
    if done.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "bad.png").write_bytes(b"no image")
    (folder / "images.txt").write_text("images/0.png\n")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
    launch = ("ROOT/launch.py", "--config=CONFIGS/fdah.py:smoke,bits=8")
    for words in (
        (*launch, "--workdir=run"),
        (launch[0], launch[1].replace("bits=8", "bits=12"), "--workdir=other"),
        ("-m", "jhash", "index", "build", "--output", "it.index", "--run", "run"),
    ):
        status, _, err = _call(words, folder, {})
        if status:
            raise RuntimeError(f"{words} ended with {status}: {err}")
    shutil.copy(folder / "run/codes/database.npz", folder / "codes.npz")
    shutil.copy(folder / "other/codes/database.npz", folder / "other.npz")
    shutil.rmtree(folder / "other")
    done.touch()
    return folder


def _call(words, folder, variables):
    """Runs Python with these words; returns (status, stdout, stderr), None after the limit."""
    named = {"ROOT": str(frame.ROOT), "CONFIGS": str(frame.ROOT / "configs")}

    def filled(text):
        return re.sub(r"\b(ROOT|CONFIGS)\b", lambda found: named[found[0]], text)

    variables = {name: filled(value) for name, value in variables.items()}
    environment = frame.environment(**{"PYTHONDONTWRITEBYTECODE": "1", **variables})
    try:
        done = subprocess.run(
            [sys.executable, *map(filled, words)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT,
        )
    except subprocess.TimeoutExpired as error:
        return None, str(error.stdout or ""), str(error.stderr or "")
    return done.returncode, done.stdout, done.stderr


def _contents(folder):
    """Returns {path: digest} of all files below a folder, and of folders themselves."""
    found = {}
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = os.path.join(parent, name)
            digest = "folder"
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    digest = hashlib.sha256(file.read()).hexdigest()
            found[os.path.relpath(path, folder)] = digest
    return found


if __name__ == "__main__":
    frame.main("bad_input", __doc__, CASES, trial)
