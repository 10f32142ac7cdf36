"""Array files of other types, shapes and sizes are sentences, before their numbers are read."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fermodels.data.arrays import Wanted, read_array, read_arrays, write_arrays

WANTED = {"a": Wanted(kinds="iu", shape=(None, 2)), "b": Wanted(kinds="U", optional=True)}


def written(path: Path, **arrays: object) -> Path:
    np.savez(path, **{name: np.asarray(value) for name, value in arrays.items()})
    return path


def test_what_is_written_is_read(tmp_path: Path):
    write_arrays(tmp_path / "x.npz", {"a": np.arange(6).reshape(3, 2), "c": np.zeros(3)})
    found = read_arrays(tmp_path / "x.npz", WANTED)
    assert found["a"].tolist() == [[0, 1], [2, 3], [4, 5]] and set(found) == {"a"}


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"b": ["x"]}, "it has no a, only b"),
        ({"a": [[0.5, 1]]}, "a is float64, expected a type of kind i or u"),
        ({"a": [1, 2, 3]}, r"a has the shape \(3,\), expected \(n, 2\)"),
        ({"a": [[1, 2, 3]]}, r"a has the shape \(1, 3\), expected \(n, 2\)"),
        ({"a": [[1, 2]], "b": [3]}, "b is int64"),
        ({"a": np.array([[{}, {}]])}, "a is object"),
    ],
)
def test_other_arrays_are_refused(arrays: dict, sentence: str, tmp_path: Path):
    with pytest.raises(ValueError, match=sentence):
        read_arrays(written(tmp_path / "x.npz", **arrays), WANTED)


def test_every_flipped_bit_and_every_cut_is_a_sentence_or_harmless(tmp_path: Path):
    whole = written(tmp_path / "x.npz", a=[[1, 2], [3, 4]]).read_bytes()
    chance, refused = np.random.default_rng(0), 0
    for _ in range(400):
        damaged = bytearray(whole)
        damaged[chance.integers(len(whole))] ^= 1 << chance.integers(8)
        (tmp_path / "y.npz").write_bytes(damaged[: chance.integers(len(whole))] if chance.random() < 0.2 else damaged)
        try:
            assert read_arrays(tmp_path / "y.npz", WANTED)["a"].tolist() == [[1, 2], [3, 4]]
        except ValueError as error:
            refused += bool(str(error))
    assert refused > 200


def test_an_array_that_claims_more_than_there_is(tmp_path: Path):
    head = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1099511627776, 2), }"
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)
    with pytest.raises(ValueError, match="which no data set has"):
        read_array(tmp_path / "x.npy", WANTED["a"])


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00\xff\xff((((", b"\x93NUMPY\x09\x00"])
def test_what_is_no_array_is_a_sentence(content: bytes, tmp_path: Path):
    (tmp_path / "x.npy").write_bytes(content)
    for read in (lambda p: read_array(p, WANTED["a"]), lambda p: read_arrays(p, WANTED)):
        with pytest.raises(ValueError, match=r"\w"):
            read(tmp_path / "x.npy")


def test_pickles_are_never_run(tmp_path: Path):
    stream = io.BytesIO()
    np.save(stream, np.array([print]), allow_pickle=True)
    (tmp_path / "x.npy").write_bytes(stream.getvalue())
    with pytest.raises(ValueError, match="object"):
        read_array(tmp_path / "x.npy", Wanted(kinds="O"))


def test_an_error_without_a_word_is_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def ended(*_: object) -> bytes:
        raise EOFError  # of zipfile, where a member is longer than its file

    np.savez(tmp_path / "a.npz", labels=np.arange(3))
    monkeypatch.setattr(zipfile.ZipExtFile, "read", ended)
    with pytest.raises(ValueError, match="EOFError"):
        read_arrays(tmp_path / "a.npz", {"labels": Wanted(kinds="i")})
