"""Reading PyTorch checkpoints against torch.load, and refusing what is none."""

import os
import pickle
import re

import numpy as np
import pytest
import torch

from jhash.errors import InputError
from jhash.pretrained import torch_file


def state_dict():
    base = torch.arange(24.0).reshape(4, 6)
    return {
        "plain": base,
        "transposed": base.T,
        "part": base[1:3, ::2],
        "shared": base[0],
        "parameter": torch.nn.Parameter(torch.ones(3)),
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 5),
        "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
        "bfloat16": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "bytes": torch.tensor([0, 255], dtype=torch.uint8),
        "flags": torch.tensor([True, False]),
        "longs": torch.tensor([-(2**40)]),
    }


@pytest.fixture(params=[True, False], ids=["zip", "before 1.6"])
def saved(request, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(state_dict(), path, _use_new_zipfile_serialization=request.param)
    return path


def test_every_tensor_is_the_one_that_was_saved(saved):
    found, expected = torch_file.load(saved), state_dict()
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        wide = torch.float32 if tensor.dtype == torch.bfloat16 else tensor.dtype
        expected_array = tensor.detach().to(wide).numpy()
        np.testing.assert_array_equal(np.asarray(found[name], expected_array.dtype), expected_array)
        assert str(found[name].dtype) == str(tensor.dtype).removeprefix("torch.")


def test_a_module_s_state_dict(tmp_path):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    torch.save(module.state_dict(), tmp_path / "module.pth")
    found = torch_file.load(tmp_path / "module.pth")
    for name, tensor in module.state_dict().items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_the_file_is_not_run(tmp_path, zipped):
    path, trace = tmp_path / "bad.pth", tmp_path / "trace"
    torch.save({"w": Malicious(str(trace))}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        InputError, match=r"^path: .*bad\.pth given; allowed: .*, but it names \w+\.mkdir"
    ):
        torch_file.load(path)
    assert not trace.exists()


def test_a_cut_file_is_refused_wherever_it_was_cut(saved):
    data = saved.read_bytes()
    for share in (0, 0.01, 0.3, 0.6, 0.9, 0.99):
        saved.write_bytes(data[: int(share * len(data))])
        with pytest.raises(InputError, match=re.escape(str(saved))):
            torch_file.load(saved)


@pytest.mark.parametrize(
    "content", [b"no pickle at all", pickle.dumps([1, 2]), pickle.dumps({"w": 1})]
)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"other\.pth"):
        torch_file.load(path)


def test_a_dict_is_needed_and_a_file(tmp_path):
    torch.save([torch.ones(2)], tmp_path / "list.pth")
    with pytest.raises(InputError, match="holds a list"):
        torch_file.load(tmp_path / "list.pth")
    with pytest.raises(InputError, match=r"missing\.pth"):
        torch_file.load(tmp_path / "missing.pth")
