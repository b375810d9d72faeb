"""Files and folders are written completely or not at all."""

import errno
import tempfile
from pathlib import Path

import pytest

from skbcnn import _atomic_writes as atomic
from skbcnn._atomic_writes import atomic_path

needs_locks = pytest.mark.skipif(atomic.fcntl is None, reason="without locks, nothing is removed")


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


def test_file_is_the_only_thing_left(tmp_path):
    with atomic_path(tmp_path / "table.csv") as temporary:
        temporary.write_text("teff")
        assert not (tmp_path / "table.csv").exists()
        assert temporary.name == "table.csv"
    assert contents(tmp_path) == {"table.csv": "teff"}


def test_path_may_be_a_string(tmp_path):
    with atomic_path(str(tmp_path / "table.csv")) as temporary:
        temporary.write_text("teff")
    assert contents(tmp_path) == {"table.csv": "teff"}


def test_file_is_replaced(tmp_path):
    (tmp_path / "table.csv").write_text("old")
    with atomic_path(tmp_path / "table.csv") as temporary:
        temporary.write_text("new")
    assert contents(tmp_path) == {"table.csv": "new"}


@pytest.mark.parametrize("exists", [True, False])
def test_the_file_that_a_link_points_to_is_replaced(tmp_path, exists):
    (tmp_path / "links").mkdir()
    (tmp_path / "files").mkdir()
    link, middle, target = tmp_path / "links/table.csv", tmp_path / "links/current", tmp_path / "files/of-may.dat"
    link.symlink_to("current")
    middle.symlink_to(target)
    if exists:
        target.write_text("old")
        with pytest.raises(FileExistsError, match=r"links/table\.csv exists"), atomic_path(link, overwrite=False):
            pytest.fail("the block must not run")
    with atomic_path(link) as temporary:
        temporary.write_text("new")
        assert temporary.name == "table.csv", "libraries choose the format by the name that the user gave"
    assert link.is_symlink()
    assert middle.is_symlink()
    assert contents(target.parent) == {"of-may.dat": "new"}
    assert {path.name for path in link.parent.iterdir()} == {"table.csv", "current"}


def test_the_folder_that_a_link_points_to_is_replaced(tmp_path):
    write_folder(tmp_path / "model-1", weights="old")
    (tmp_path / "model").symlink_to("model-1")
    with atomic_path(tmp_path / "model") as temporary:
        write_folder(temporary, weights="new")
    assert (tmp_path / "model").is_symlink()
    assert contents(tmp_path / "model-1") == {"weights": "new"}


def test_a_link_that_leads_back_to_itself_is_refused(tmp_path):
    (tmp_path / "a.csv").symlink_to("b.csv")
    (tmp_path / "b.csv").symlink_to("a.csv")
    with (
        pytest.raises(OSError, match=r"a\.csv is a symbolic link that leads back to itself"),
        atomic_path(tmp_path / "a.csv"),
    ):
        pytest.fail("the block must not run")


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


def test_full_disk_leaves_nothing(tmp_path):
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


def test_missing_folder(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"could not be written.*choose a folder that exists"),
        atomic_path(tmp_path / "nowhere" / "table.csv"),
    ):
        pytest.fail("the block must not run")


def test_folder_without_permission(tmp_path, monkeypatch):
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


def test_folder_is_replaced_where_the_system_cannot_exchange_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    test_folder_is_replaced_whole(tmp_path)


def test_failed_rename_restores_the_old_folder(tmp_path, monkeypatch):
    def replace(first, second, really=Path.replace):
        if first.name == second.name == "model" and (first / "weights").read_text() == "new":
            raise PermissionError(errno.EACCES, "Permission denied")
        return really(first, second)

    write_folder(tmp_path / "model", weights="old")
    monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(PermissionError, match="could not be written"), atomic_path(tmp_path / "model") as temporary:
        write_folder(temporary, weights="new")
    assert contents(tmp_path / "model") == {"weights": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def create_remains(path, **folders):
    """Create a temporary folder as a killed process leaves it."""
    temporary_folder = path.with_name(f".{path.name}.abcd_123.partial")
    temporary_folder.mkdir()
    for name, text in folders.items():
        write_folder(temporary_folder / name, weights=text)
    return temporary_folder


@needs_locks
@pytest.mark.parametrize("written", [{}, {"model": "half"}])
def test_remains_of_a_killed_process_are_removed(tmp_path, written):
    create_remains(tmp_path / "model", **written)
    with atomic_path(tmp_path / "model") as temporary:
        write_folder(temporary, weights="new")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert contents(tmp_path / "model") == {"weights": "new"}


@needs_locks
def test_folder_set_aside_by_a_killed_process_is_restored(tmp_path):
    create_remains(tmp_path / "model", model="new", replaced="old")
    with pytest.raises(FileExistsError), atomic_path(tmp_path / "model", overwrite=False):
        pytest.fail("the block must not run")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert contents(tmp_path / "model") == {"weights": "old"}


def test_files_of_a_running_process_are_kept(tmp_path):
    with atomic_path(tmp_path / "table.csv") as first:
        first.write_text("slow")
        with atomic_path(tmp_path / "table.csv") as second:
            second.write_text("quick")
        assert contents(first.parent) == {"table.csv": "slow"}
    assert contents(tmp_path) == {"table.csv": "slow"}


def test_folders_with_similar_names_are_kept(tmp_path):
    names = [".model.abcd_123", ".model.abcd_123.partial2", ".models.abcd_123.partial", "model.abcd_123.partial"]
    for name in names:
        (tmp_path / name).mkdir()
    with atomic_path(tmp_path / "model") as temporary:
        temporary.write_text("new")
    assert {path.name for path in tmp_path.iterdir()} == {*names, "model"}


def test_without_locks_nothing_is_removed(tmp_path, monkeypatch):
    temporary_folder = create_remains(tmp_path / "model", model="half")
    monkeypatch.setattr(atomic, "fcntl", None)
    with atomic_path(tmp_path / "model") as temporary:
        temporary.write_text("new")
    assert temporary_folder.exists()
    assert (tmp_path / "model").read_text() == "new"


@needs_locks
def test_temporary_folder_is_created_again_if_another_process_removed_it(tmp_path, monkeypatch):
    created = []

    def create(really=tempfile.mkdtemp, **options):
        created.append(really(**options))
        if len(created) == 1:
            Path(created[0]).rmdir()  # another process took it for the remains of a killed one
        return created[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", create)
    with atomic_path(tmp_path / "table.csv") as temporary:
        temporary.write_text("teff")
    assert len(created) == 2
    assert contents(tmp_path) == {"table.csv": "teff"}


@needs_locks
def test_file_system_without_locks(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(atomic.fcntl, "flock", refuse)
    remains = create_remains(tmp_path / "model", model="half")
    with atomic_path(tmp_path / "model") as temporary:
        write_folder(temporary, weights="new")
    assert remains.exists()
    assert contents(tmp_path / "model") == {"weights": "new"}


def test_folder_is_replaced_where_the_c_library_has_no_exchange(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic.ctypes, "CDLL", lambda name: object())
    test_folder_is_replaced_whole(tmp_path)
