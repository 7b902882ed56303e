"""Paired tests of two rows against SciPy's, and the sentence that a table says about them."""

import dataclasses
import re

import numpy as np
import pytest
import scipy.stats

from jhash.errors import InputError
from jhash.sweeps import comparison
from jhash.sweeps.table import check
from tests.support import stub_run


@pytest.mark.parametrize(("count", "shift"), [(6, 0.0), (7, 0.5), (12, 1.0), (12, -0.3)])
def test_all_patterns_of_signs_are_scipys(count, shift):
    differences = np.random.default_rng(count).normal(shift, 1, count)
    expected = scipy.stats.permutation_test(
        (differences,),
        lambda sample, axis: sample.mean(axis),
        permutation_type="samples",
        n_resamples=2**count,
        vectorized=True,
    )
    found = comparison.sign_flip_test(differences)
    np.testing.assert_allclose(found, expected.pvalue, rtol=1e-12)


def test_drawn_patterns_are_near_the_t_test():
    differences = np.random.default_rng(0).normal(0.4, 1, 40)
    found = comparison.sign_flip_test(differences)
    assert abs(found - scipy.stats.ttest_1samp(differences, 0).pvalue) < 0.005
    assert comparison.sign_flip_test(np.full(40, 0.1)) == 2**-16  # Never 0.


def test_differences_of_equal_size_round_alike():
    assert comparison.sign_flip_test([0.1] * 10) == 2 / 2**10
    assert comparison.sign_flip_test([0.1, -0.1] * 4) == 1.0
    assert comparison.sign_flip_test([0.0] * 6) == 1.0


@pytest.mark.usefixtures("stub", "undrawn")
def test_a_table_compares_its_pairs_by_seed(run, made):
    fields = {"pairs": [("A", "B & C")]}
    done = run(fields=fields)
    said = re.search(
        r"tiny, MAP: A less B & C, mean difference ([+-][\d.]+) over 6 pairs of runs, "
        r"standard deviation ([\d.]+), p = ([\d.]+)\.",
        done.markdown,
    )
    one, other = (
        np.array(
            [
                stub_run.results(cell.config)["map_encoded"]
                for place in made().places
                if place.row.name == name
                for cell in place.candidates[0].cells
            ]
        )
        for name in ("A", "B & C")
    )
    differences = one - other
    assert float(said[1]) == round(100 * differences.mean(), 2)
    # Of another pairing it would be another one.
    assert float(said[2]) == round(100 * differences.std(ddof=1), 2)
    assert round(100 * (one - np.sort(other)).std(ddof=1), 2) != float(said[2])
    assert said[3] == f"{comparison.sign_flip_test(differences):.2g}"
    assert "5 pairs of runs, too few" not in done.markdown
    assert "2 pairs of runs, too few for a test; 6 or more" in run({"seeds": 1}, fields).markdown


def test_pairs_name_rows(table):
    with pytest.raises(InputError, match=r"table\.pairs: 'Z' given; allowed: A, B & C, D"):
        check(dataclasses.replace(table, pairs=[("A", "Z")]))
