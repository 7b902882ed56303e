"""The text that is printed when a run ends: its main metrics, and the commands that follow."""

from collections.abc import Sequence

# The table shows metrics whose names start with one of these.
_SHOWN = ("map", "precision_at_", "precision_radius_", "recall_radius_", "f_measure_radius_")
# It leaves these out, as they would double its length.
_HIDDEN = ("precision_at_recall_",)
# Without labels it shows these.
_UNLABELED = ("neighbors_kept_", "distinct_codes", "constant_bits", "duplicate_bits")


def table(results: dict) -> str:
    """Formats the main metrics, with a column for each kind of database codes, and the times."""
    kinds = [kind for kind in ("learned", "encoded") if kind in results]
    data = results["data"]
    lines = [
        f"{results['method']}, {results['bits']} bits, {data['queries']:,} queries against "
        f"{data['database']:,} images ({data['source']}, split {data['split']})",
        "",
        f"{'database codes':<22}" + "".join(f"{kind:>10}" for kind in kinds),
    ]
    shown = results[kinds[0]]
    if "map" not in shown:
        lines += _without_labels(results, kinds)
    for name in shown:
        if name.startswith(_SHOWN) and not name.startswith(_HIDDEN):
            cells = "".join(f"{results[kind][name]:>10.4f}" for kind in kinds)
            lines.append(f"{name:<22}{cells}")
    lines += [
        "",
        f"epoch {results['epochs']} of {results['epochs_planned']}; "
        f"training {results['train_seconds']:.0f} s; "
        f"encoding {1e3 * results['encode_seconds_per_image']:.3f} ms per image "
        f"(batches of {results['eval_batch_size']}, {device(results['device'])})",
    ]
    return "\n".join(lines)


def _without_labels(results, kinds):
    """Formats the metrics of a run whose images have no labels."""
    lines = []
    for name, value in results[kinds[0]].items():
        if name.startswith(_UNLABELED):
            form = ">10,d" if isinstance(value, int) else ">10.4f"
            cells = "".join(format(results[kind][name], form) for kind in kinds)
            lines.append(f"{name:<22}{cells}")
    return [*lines, "The images have no labels, so there is no MAP."]


def device(described: dict) -> str:
    """Describes the device of a run in words, such as "AMD EPYC 9354, 2 cores".

    The kind of a CPU is just "cpu", so its processor is named. Results of older versions have no
    processor, and for them the number and kind of the devices have to do.

    Args:
      described: The field `device` of `results.json`.
    """
    devices = f"{described['count']} x {described['kind']}"
    if "processor" not in described:
        return devices
    cores = described["cores"]
    host = f"{described['processor']}, {cores:,} {'core' if cores == 1 else 'cores'}"
    # JAX may be told to make several devices of one processor.
    only = described["kind"] == "cpu" and described["count"] == 1
    return host if only else f"{devices} on {host}"


def next_commands(workdir: str, trust_modules: Sequence[str] = ()) -> str:
    """Lists commands that use a finished run.

    Args:
      workdir: Folder of the run.
      trust_modules: Modules of the user's own that the run names.
    """
    trust = f" --trust-modules={','.join(trust_modules)}" if trust_modules else ""
    build = f"index build --run {workdir} --images FOLDER --output INDEX{trust}"
    return f"""Everything is in {workdir}: results.json, codes/, checkpoints/, metrics.jsonl.
  see it                 open {workdir}/report.html
  search images with it  python -m jhash {build}
  evaluate it again      python launch.py --mode=eval --workdir={workdir}{trust}
  watch the curves       tensorboard --logdir={workdir}/tensorboard
  another code length    train again with bits=48 among the words after the colon of --config"""
