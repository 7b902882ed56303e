"""The folder of compiled programs that the runs of a sweep share."""

import os
import stat

import jax
import numpy as np

from jhash.sweeps import programs

FOLDER = "JAX_COMPILATION_CACHE_DIR"
LEAST = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"


def test_the_folder_lasts_as_long_as_the_block_and_belongs_to_this_user(monkeypatch):
    monkeypatch.delenv(FOLDER)
    monkeypatch.delenv(LEAST)
    before = jax.config.jax_compilation_cache_dir
    with programs.shared(here=True):
        folder = os.environ[FOLDER]
        assert os.environ[LEAST] == "0"
        assert stat.S_IMODE(os.stat(folder).st_mode) == stat.S_IRWXU
        programs_before = set(os.listdir(folder))
        np.testing.assert_allclose(jax.jit(lambda x: 0.654321 * x)(np.float32(2)), 1.308642)
        # What compiles at once is kept, too.
        assert set(os.listdir(folder)) > programs_before
    assert not os.path.exists(folder)
    assert FOLDER not in os.environ
    assert LEAST not in os.environ
    assert jax.config.jax_compilation_cache_dir == before


def test_what_the_user_has_set_is_kept(monkeypatch):
    monkeypatch.delenv(FOLDER)
    monkeypatch.setenv(LEAST, "7")
    before = jax.config.jax_persistent_cache_min_compile_time_secs
    with programs.shared(here=True):
        assert os.environ[LEAST] == "7"
        assert jax.config.jax_persistent_cache_min_compile_time_secs == before
    assert os.environ[LEAST] == "7"


def test_a_process_that_trains_nothing_is_left_alone(monkeypatch):
    monkeypatch.delenv(FOLDER)
    before = jax.config.jax_compilation_cache_dir
    with programs.shared(here=False):
        assert os.path.isdir(os.environ[FOLDER])
        assert jax.config.jax_compilation_cache_dir == before


def test_a_folder_of_the_user_stays(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    with programs.shared(here=True):
        assert os.environ[FOLDER] == str(tmp_path)
    assert os.environ[FOLDER] == str(tmp_path)
    assert tmp_path.exists()
