"""Vector instructions for `compiled` that Numba does not have; LLVM finds those of the machine.

Numba compiles `compiled` anew when that file changes, and does not look at this one: after a change
here, touch that file.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

# Numbers that are compared at a time: a bit each of the widest integer.
LANES = 64


@intrinsic
def _popcount(typing_context, word):
    """Counts the bits of an integer."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return word(word), generate


@intrinsic
def _lowest_bit(typing_context, word):
    """Returns the place of the lowest bit that is set; the integer is not 0."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return word(word), generate


@intrinsic
def _below(typing_context, values, start, limit):
    """Compares `LANES` unsigned numbers of an array with a limit that is one of their type.

    Returns:
      uint64, whose bit i says whether `values[start + i] < limit`.
    """

    def generate(context, builder, signature, arguments):
        vector = ir.VectorType(context.get_value_type(values.dtype), LANES)
        numbers = _load(context, builder, (values, arguments[0], arguments[1]), vector)
        number = builder.trunc(arguments[2], vector.element)
        nothing = ir.Constant(vector, ir.Undefined)
        limits = builder.insert_element(nothing, number, ir.IntType(32)(0))
        limits = _shuffle(builder, limits, limits, [0] * LANES)
        return builder.bitcast(builder.icmp_unsigned("<", numbers, limits), ir.IntType(64))

    return types.uint64(values, types.int64, types.int64), generate


@intrinsic
def _distances(typing_context, codes, start, query, shape, distances, row):
    """Counts the bits in which a query differs from each of `LANES` codes.

    Args:
      typing_context: Given by Numba.
      codes: All integers of the codes, one after the other.
      start: Where the first of these codes starts.
      query: The integers of the query.
      shape: A tuple with as many members as a code has integers.
      distances: Where the distances go, unsigned.
      row: The place of the first one there.
    """

    def generate(context, builder, signature, arguments):
        codes_at, start_at, query_at, _, distances_at, row_at = arguments
        integers = shape.count
        zero = ir.IntType(64)(0)

        def code(number):
            return codes, codes_at, builder.add(start_at, ir.IntType(64)(number))

        def store(numbers, number):
            vector = ir.VectorType(context.get_value_type(distances.dtype), numbers.type.count)
            place = builder.add(row_at, ir.IntType(64)(number))
            address = _address(context, builder, (distances, distances_at, place), vector)
            builder.store(builder.trunc(numbers, vector), address).align = 1

        word = context.get_value_type(codes.dtype)
        lanes = 512 // word.width
        whole = ir.VectorType(word, integers)
        if integers & (integers - 1):  # One code after the other.
            words = _load(context, builder, (query, query_at, zero), whole)
            for number in range(LANES):
                code_words = _load(context, builder, code(number * integers), whole)
                total = _sum(builder, _popcounts(builder, builder.xor(code_words, words)))
                one = ir.Constant(ir.VectorType(word, 1), ir.Undefined)
                store(builder.insert_element(one, total, ir.IntType(32)(0)), number)
            return context.get_dummy_value()

        # As many codes at a time as a vector has integers, which takes a vector for each integer of
        # a code. Sums of neighbors halve the vectors until one is left.
        vector = ir.VectorType(word, lanes)
        if integers < lanes:
            words = _load(context, builder, (query, query_at, zero), whole)
            tiles = [_shuffle(builder, words, words, [i % integers for i in range(lanes)])]
        else:
            places = [ir.IntType(64)(i) for i in range(0, integers, lanes)]
            tiles = [_load(context, builder, (query, query_at, i), vector) for i in places]
        for number in range(0, LANES, lanes):
            counts = []
            for part in range(integers):
                place = code(number * integers + part * lanes)
                differ = builder.xor(
                    _load(context, builder, place, vector), tiles[part % len(tiles)]
                )
                counts.append(_popcounts(builder, differ))
            while len(counts) > 1:
                counts = [
                    builder.add(
                        _shuffle(builder, one, other, range(0, 2 * lanes, 2)),
                        _shuffle(builder, one, other, range(1, 2 * lanes, 2)),
                    )
                    for one, other in zip(counts[::2], counts[1::2], strict=True)
                ]
            store(counts[0], number)
        return context.get_dummy_value()

    return types.void(codes, types.int64, query, shape, distances, types.int64), generate


def _address(context, builder, place, vector):
    """Returns where some numbers of an array lie; `place` is its type, its value and an index."""
    array_type, value, index = place
    data = make_array(array_type)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _load(context, builder, place, vector):
    loaded = builder.load(_address(context, builder, place, vector))
    loaded.align = place[0].dtype.bitwidth // 8
    return loaded


def _shuffle(builder, one, other, places):
    """Returns the numbers at some places of two vectors."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), list(places))
    return builder.shuffle_vector(one, other, mask)


def _popcounts(builder, words):
    return _call(builder, "llvm.ctpop", words.type, words)


def _sum(builder, words):
    return _call(builder, "llvm.vector.reduce.add", words.type.element, words)


def _call(builder, name, result, value):
    name = f"{name}.v{value.type.count}i{value.type.element.width}"
    function = builder.module.globals.get(name)
    kind = ir.FunctionType(result, [value.type])
    return builder.call(function or ir.Function(builder.module, kind, name), [value])


# What Numba makes of these has other arguments.
popcount: Any = _popcount
lowest_bit: Any = _lowest_bit
below: Any = _below
distances_of: Any = _distances
