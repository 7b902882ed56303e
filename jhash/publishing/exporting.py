"""From the folder of a run to a folder that can be given away, written whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from typing import NamedTuple

from jhash.encoding import FileEncoder, encoder
from jhash.errors import InputError
from jhash.publishing import card, forward, layout, model
from jhash.runs import code_files, finished, paths
from jhash.runs.finished import Run
from jhash.system import files, reading

_MODE = 0o755
_NAMED = 5  # number of names that a message lists


class Exported(NamedTuple):
    """What was written.

    Attributes:
      folder: The folder.
      files: Names of the files in it, sorted.
      bytes: Size of all files.
      batch: Number of images that the artifact of `jax.export` takes; None for any number.
      platforms: The platforms that it runs on.
    """

    folder: str
    files: list[str]
    bytes: int
    batch: int | None
    platforms: tuple[str, ...]


def export(
    workdir: str,
    output: str,
    *,
    codes: bool = False,
    overwrite: bool = False,
    model_license: str = card.UNKNOWN,
    data_license: str = "",
    trust_modules: Collection[str] = (),
) -> Exported:
    """Writes a run's model as a folder in the layout of the model hubs.

    The folder has the encoder, a model card, `config.json`, and the forward pass as an artifact of
    `jax.export`. Of the run's config it has only what shapes the forward pass, and no path.

    Args:
      workdir: Folder of a finished run.
      output: The folder to make. One that is there and is not empty is replaced with `overwrite`
        alone, and only if it is such a folder.
      codes: Whether to add the database's codes by the model, with ids and labels.
      overwrite: See `output`.
      model_license: License of the model by the hubs' identifiers, such as `apache-2.0`.
      data_license: What the card says of the license of the data; empty for what jhash knows.
      trust_modules: Modules of the user's own that the run may name; see `imports.opening`.

    Raises:
      InputError: The folder holds no finished run, its codes are of another model than its encoder,
        the model cannot be exported, or `output` may not be written.
      OSError: The folder cannot be written.
    """
    forward.check()
    output = os.path.abspath(output)
    _check_output(output, overwrite)
    [run] = finished.read_all([workdir])
    file_encoder = encoder.load(workdir, trust_modules)
    network = run.queries.metadata.get("network")
    if network != file_encoder.digest:
        raise InputError(
            f"workdir: {workdir} given, whose codes are of another model than its encoder; "
            "allowed: runs whose files are of one evaluation. python launch.py --mode=eval "
            f"--workdir={workdir} writes them again."
        )
    lowered = forward.lower(file_encoder)
    with _replacing_folder(output, overwrite) as folder:
        _write(folder, run, file_encoder, lowered, codes, model_license, data_license)
        model.load(folder, trust_modules)  # What cannot be loaded is not given away.
        names = _names(folder)
        size = sum(os.path.getsize(os.path.join(folder, name)) for name in names)
    return Exported(output, names, size, lowered.batch, lowered.platforms)


def _write(folder, run: Run, file_encoder: FileEncoder, lowered, codes, *licenses):
    with (
        reading.open_regular(paths.encoder(run.workdir)) as old,
        files.replacing(paths.encoder(folder), "wb") as new,
    ):
        shutil.copyfileobj(old, new)
    with files.replacing(os.path.join(folder, layout.FORWARD), "wb") as file:
        file.write(lowered.content)
    if codes:
        database = run.databases.get("encoded")
        if database is None:
            raise InputError(
                f"codes: True given for {run.workdir}; allowed: runs with codes of the database by "
                "their model."
            )
        labels = {} if database.labels is None else {"labels": database.labels}
        code_files.write(
            paths.codes(folder, "encoded"),
            database.codes,
            database.ids,
            bits=run.bits,
            network=file_encoder.digest,
            **labels,
        )
    results = run.results
    config = layout.make_config(
        jhash_version=results["versions"].get("jhash"),
        git_revision=results["git_revision"],
        method=results["method"],
        model=results["model"],
        bits=run.bits,
        image_shape=list(file_encoder.image_shape),
        digest=file_encoder.digest,
        encoder=os.path.basename(paths.encoder(folder)),
        forward={
            "file": layout.FORWARD,
            "batch": lowered.batch or "any",
            "platforms": list(lowered.platforms),
            "images": ["uint8", ["batch", *file_encoder.image_shape]],
            "codes": ["uint32", ["batch", -(-run.bits // 32)]],
            "hash_outputs": ["float32", ["batch", run.bits]],
        },
        data=results["data"],
        codes=os.path.relpath(paths.codes(folder, "encoded"), folder) if codes else None,
    )
    files.write_json(os.path.join(folder, layout.CONFIG), config)
    with files.replacing(os.path.join(folder, layout.CARD), "wb") as file:
        file.write(card.write(run, config, *licenses).encode())


def _others(folder: str) -> list[str]:
    """Returns the names in a folder of an export that are not those of its files."""
    codes = os.path.dirname(os.path.relpath(paths.codes(folder, "encoded"), folder))
    own = {layout.CARD, layout.CONFIG, layout.FORWARD, codes}
    own.add(os.path.basename(paths.encoder(folder)))
    return sorted(set(os.listdir(folder)) - own)


def _check_output(output: str, overwrite: bool) -> None:
    """Checks that a folder may be made, or replaced."""
    allowed = "a new folder, or with overwrite (--overwrite) one that an export has written"
    if os.path.lexists(output) and (os.path.islink(output) or not os.path.isdir(output)):
        raise InputError(f"output: {output} given, which is no folder; allowed: {allowed}.")
    try:
        if os.path.isdir(output) and os.listdir(output):
            if not overwrite:
                raise InputError(f"output: {output} given, which is there; allowed: {allowed}.")
            try:
                layout.read_config(output)
            except InputError as error:
                raise InputError(
                    f"output: {output} given, which no export has written; allowed: {allowed}."
                ) from error
            if others := _others(output):
                more = ", ..." * (len(others) > _NAMED)
                raise InputError(
                    f"output: {output} given, where {', '.join(others[:_NAMED])}{more} would be "
                    f"lost, which no export has written; allowed: {allowed}, and nothing else in "
                    "it."
                )
        files.check_folder(os.path.dirname(output))
    except OSError as error:
        raise InputError(f"output: {output} given, which cannot be written: {error}.") from error


@contextlib.contextmanager
def _replacing_folder(output: str, overwrite: bool) -> Iterator[str]:
    """Makes a folder beside `output` that gets its name when the block ends without an error."""
    parent = os.path.dirname(output)
    os.makedirs(parent, exist_ok=True)
    folder = tempfile.mkdtemp(prefix=".jhash-", suffix=".tmp", dir=parent)
    try:
        yield folder
        os.chmod(folder, _MODE)
        if overwrite and os.path.isdir(output):
            # Between the two renames neither has the name; if the second fails, the old one gets
            # it back.
            with tempfile.TemporaryDirectory(prefix=".jhash-", suffix=".old", dir=parent) as old:
                kept = os.path.join(old, "model")
                os.rename(output, kept)
                try:
                    os.rename(folder, output)
                except BaseException:
                    os.rename(kept, output)
                    raise
        else:
            os.rename(folder, output)  # Onto an empty folder at most, or it fails.
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _names(folder):
    return sorted(
        os.path.relpath(os.path.join(place, name), folder)
        for place, _, names in os.walk(folder)
        for name in names
    )
