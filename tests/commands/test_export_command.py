"""The command `export`: what it passes on and what it says."""

import json

import pytest

from jhash import publishing


@pytest.mark.parametrize(("batch", "words"), [(None, "batches of any size"), (1, "1 image at a")])
def test_export_says_what_it_has_written(jhash, monkeypatch, batch, words):
    calls = []

    def export(*arguments, **options):
        calls.append((arguments, options))
        return publishing.Exported("m", ["README.md", "encoder.bin"], 2_500_000, batch, ("cpu",))

    monkeypatch.setattr(publishing, "export", export)
    arguments = ("export", "run", "--output", "m", "--codes", "--license", "mit")
    status, out, err = jhash(*arguments)
    assert (status, err) == (0, "")
    assert out.startswith("The model is in m: README.md, encoder.bin (2.5 MB).\nforward.jax takes ")
    assert words in out
    assert calls == [
        (
            ("run", "m"),
            {
                "codes": True,
                "overwrite": False,
                "model_license": "mit",
                "data_license": "",
                "trust_modules": (),
            },
        )
    ]
    fields = json.loads(jhash(*arguments, "--json")[1])
    assert fields == {
        "output": "m",
        "files": ["README.md", "encoder.bin"],
        "bytes": 2_500_000,
        "batch": batch,
        "platforms": ["cpu"],
    }


def test_errors_name_the_flags(jhash, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "file").write_text("")
    status, _, err = jhash("export", "gone", "--output", tmp_path / "model")
    assert status == 1
    assert err.startswith("jhash: --output: ")
    status, _, err = jhash("export", "gone", "--output", tmp_path / "new")
    assert err.startswith("jhash: RUN: gone given, which holds no finished run")
