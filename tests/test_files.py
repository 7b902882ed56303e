import contextlib

import pytest

from jhash import files


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder" / "value.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"a": [1.0, float("nan")]})
    assert path.read_text() == '{\n  "a": 1\n}\n'
    with contextlib.suppress(KeyboardInterrupt), files.replacing(path) as file:
        file.write("half of")
        raise KeyboardInterrupt
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert [entry.name for entry in path.parent.iterdir()] == ["value.json"]
