"""Nothing half-written is ever left under the final name."""

import errno
import tempfile

import pytest

from skbcnn.atomic import atomic_path


def write_folder(folder, **texts):
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_text(text)


def write_half(path, error, write=lambda file: file.write_text("half")):
    with atomic_path(path) as temporary:
        write(temporary)
        raise error


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_file_appears_under_its_name_alone(tmp_path):
    with atomic_path(tmp_path / "table.csv") as temporary:
        temporary.write_text("teff")
        assert not (tmp_path / "table.csv").exists()
        assert temporary.name == "table.csv"
    assert contents(tmp_path) == {"table.csv": "teff"}


def test_path_may_be_text(tmp_path):
    with atomic_path(str(tmp_path / "table.csv")) as temporary:
        temporary.write_text("teff")
    assert contents(tmp_path) == {"table.csv": "teff"}


def test_file_is_replaced(tmp_path):
    (tmp_path / "table.csv").write_text("old")
    with atomic_path(tmp_path / "table.csv") as temporary:
        temporary.write_text("new")
    assert contents(tmp_path) == {"table.csv": "new"}


def test_file_is_kept_without_overwrite(tmp_path):
    (tmp_path / "table.csv").write_text("old")
    with (
        pytest.raises(FileExistsError, match=r"table\.csv exists.*overwrite=True"),
        atomic_path(tmp_path / "table.csv", overwrite=False),
    ):
        pytest.fail("the block must not run")
    assert contents(tmp_path) == {"table.csv": "old"}


def test_folder_is_replaced_whole(tmp_path):
    write_folder(tmp_path / "model", weights="old", leftover="old")
    with atomic_path(tmp_path / "model") as temporary:
        write_folder(temporary, weights="new")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert contents(tmp_path / "model") == {"weights": "new"}


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_error_in_the_block_leaves_what_was_there(tmp_path, error):
    (tmp_path / "table.csv").write_text("old")
    with pytest.raises(type(error)):
        write_half(tmp_path / "table.csv", error)
    assert contents(tmp_path) == {"table.csv": "old"}


def test_error_in_the_block_leaves_the_folder_that_was_there(tmp_path):
    write_folder(tmp_path / "model", weights="old")
    with pytest.raises(ValueError, match="bad"):
        write_half(tmp_path / "model", ValueError("bad"), write=lambda folder: write_folder(folder, weights="half"))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert contents(tmp_path / "model") == {"weights": "old"}


def test_full_disk_is_a_sentence_and_leaves_nothing(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    sentence = r"table\.csv could not be written \(No space left on device\).*has room"
    with pytest.raises(OSError, match=sentence) as caught:
        write_half(tmp_path / "table.csv", full)
    assert caught.value.errno == errno.ENOSPC
    assert contents(tmp_path) == {}


def test_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(OSError, match="could not be written"), atomic_path(tmp_path / "table.csv"):
        pass
    assert contents(tmp_path) == {}


def test_absent_folder_is_a_sentence(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"could not be written.*choose a folder that exists"),
        atomic_path(tmp_path / "nowhere" / "table.csv"),
    ):
        pytest.fail("the block must not run")


def test_unwritable_folder_is_a_sentence(tmp_path, monkeypatch):
    def refuse(*_, **__):  # chmod does not stop root, under which containers run tests
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with (
        pytest.raises(PermissionError, match=r"could not be written \(Permission denied\).*may write to"),
        atomic_path(tmp_path / "table.csv"),
    ):
        pytest.fail("the block must not run")


def test_file_does_not_replace_a_folder(tmp_path):
    write_folder(tmp_path / "model", weights="old")
    with pytest.raises(OSError, match="could not be written"), atomic_path(tmp_path / "model") as temporary:
        temporary.write_text("a file")
    assert contents(tmp_path / "model") == {"weights": "old"}
