"""Codes of the nodes of a graph of features; images outside the graph get none.

Each file has

embed(v_Nxz, bits, key, folder, **options) -> float32 [N, bits]
    Real outputs for the N samples with the features `v_Nxz`, as a NumPy array; their signs are the
    bits. A call that was killed continues from its files in `folder` if it keeps any. The options
    are the fields of `config.method.embedding` other than its name.
check(nodes, bits, **options)
    Refuses options for a number of nodes, before there are features. Default: nothing is refused.
OPTIONS
    The names of the options, if `embed` has them as `**options` alone.
"""
