"""Codes from features without labels: one file a method, found by its name.

Hash functions, in float32:

fit(features, bits, key) -> params
    From float [N, z] features, bits and a PRNG key to a dict of arrays. Pure, jitted.
encode(params, features) -> [N, bits]
    Real outputs of float [N, z] features, for any features: bit = output > 0. Pure, jitted.
head(params) -> {"kernel": [z, bits], "bias": [bits]}
    The same as a layer: `encode` is features @ kernel + bias where the module's OUTPUTS is
    "linear", and the cosine of that where it is "cosine".

Embeddings of the samples' graph, which have no answer for other samples:

embed(features, bits, key, folder, **options) -> float32 [N, bits]
    Real outputs of the N samples themselves, bit = output > 0, as a NumPy array. The folder is for
    what a call that was killed can go on from; options are those of `config.method.embedding`.

N are samples, z features; principal components are those of the N samples.
"""
