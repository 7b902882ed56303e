"""The short table with which a run ends."""

# Of these metrics the table shows those that a run has.
_ROWS = {
    "map": "MAP",
    "precision_at_100": "precision@100",
    "precision_at_1000": "precision@1000",
    "precision_radius_2": "precision, radius 2",
    "recall_radius_2": "recall, radius 2",
    "f_measure_radius_2": "F-measure, radius 2",
}


def table(results: dict) -> str:
    """A table of the main metrics, a column for each kind of database code, and the times."""
    kinds = [kind for kind in ("learned", "encoded") if kind in results]
    data = results["data"]
    lines = [
        f"{results['method']}, {results['bits']} bits, {data['queries']:,} queries against "
        f"{data['database']:,} images ({data['source']}, split {data['split']})",
        "",
        f"{'database codes':<22}" + "".join(f"{kind:>10}" for kind in kinds),
    ]
    for key, label in _ROWS.items():
        if key in results[kinds[0]]:
            cells = "".join(f"{results[kind][key]:>10.4f}" for kind in kinds)
            lines.append(f"{label:<22}{cells}")
    lines += [
        "",
        f"training {results['train_seconds']:.0f} s; encoding "
        f"{1e3 * results['encode_seconds_per_image']:.3f} ms an image "
        f"(batches of {results['eval_batch_size']}, {results['device']['count']} x "
        f"{results['device']['kind']})",
    ]
    return "\n".join(lines)


def next_commands(workdir: str) -> str:
    """What one does after a run."""
    return f"""Everything is in {workdir}: results.json, metrics.jsonl, codes/, checkpoints/.
  evaluate it again      python launch.py --mode=eval --workdir={workdir}
  watch the curves       tensorboard --logdir={workdir}/tensorboard
  another code length    the same command with :bits=48 behind the config's name"""
