"""Codes of the nodes of a graph of features, with no answer for other images.

Each file has

embed(features, bits, key, folder, **options) -> float32 [N, bits]
    Real outputs of the N samples themselves, a NumPy array; bit = output > 0. `folder` holds what a
    call that was killed goes on from; options are those of `config.method.embedding`.
"""
