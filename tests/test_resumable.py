"""`skbcnn._resumable`: work in chunks that a later run takes up."""

import os
import subprocess
import sys

import numpy as np
import pytest

import skbcnn._resumable as resumable
from skbcnn._resumable import resumable_job, unfinished_folder

SETTINGS = {"n_draws": 10, "naming": "skbcnn"}


def squares(out, *, stop_before=None, inputs=(), settings=SETTINGS, n_chunks=4, overwrite=False):
    """Write the squares of the chunk numbers, and return which were computed."""
    computed = []
    with resumable_job(out, settings=settings, inputs=inputs, n_chunks=n_chunks, overwrite=overwrite) as job:
        for number in job.remaining:
            if number == stop_before:
                raise KeyboardInterrupt
            job.save(number, {"square": np.array([number**2])}, {"note": f"chunk {number}"})
            computed.append(number)
        with job.output() as temporary:
            chunks = [job.load(number) for number in range(n_chunks)]
            temporary.write_text(" ".join(f"{chunk.record['note']}: {chunk.arrays['square'][0]}" for chunk in chunks))
    return computed


@pytest.fixture
def interrupted(tmp_path):
    """Output of work that was interrupted after two of four chunks."""
    out = tmp_path / "squares.txt"
    with pytest.raises(KeyboardInterrupt):
        squares(out, stop_before=2)
    return out


def test_interrupted_work_goes_on_from_the_chunks_that_are_saved(interrupted):
    assert not interrupted.exists()
    assert squares(interrupted) == [2, 3]
    assert interrupted.read_text() == "chunk 0: 0 chunk 1: 1 chunk 2: 4 chunk 3: 9"
    assert [path.name for path in interrupted.parent.iterdir()] == ["squares.txt"]


@pytest.fixture
def unremoved(tmp_path, monkeypatch):
    """Output of a run that was killed after the output got its name, and before its chunks were removed."""
    out = tmp_path / "squares.txt"
    with monkeypatch.context() as patch:
        patch.setattr(resumable, "_remove", lambda folder: None)
        squares(out)
    assert unfinished_folder(out).exists()
    return out


def test_finished_work_whose_process_was_killed_is_recognised(unremoved):
    content = unremoved.read_bytes()
    assert squares(unremoved) == []
    assert unremoved.read_bytes() == content
    assert [path.name for path in unremoved.parent.iterdir()] == ["squares.txt"]


def test_finished_work_is_not_replaced_by_other_work(unremoved):
    with pytest.raises(FileExistsError, match=r"squares\.txt exists"):
        squares(unremoved, settings={})
    assert squares(unremoved, settings={}, overwrite=True) == [0, 1, 2, 3]


def test_nothing_remains_of_work_that_failed_before_its_first_chunk(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        squares(tmp_path / "squares.txt", stop_before=0)
    assert not list(tmp_path.iterdir())


def test_another_file_in_the_place_of_finished_work_is_kept(unremoved):
    unremoved.unlink()
    unremoved.write_text("mine")
    with pytest.raises(FileExistsError, match=r"squares\.txt exists"):
        squares(unremoved)
    assert unremoved.read_text() == "mine"


def test_an_old_output_is_kept_if_work_that_was_to_replace_it_was_interrupted(tmp_path):
    out = tmp_path / "squares.txt"
    out.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        squares(out, stop_before=2, overwrite=True)
    with pytest.raises(FileExistsError, match=r"squares\.txt exists"):
        squares(out)
    assert squares(out, overwrite=True) == [2, 3]


def test_names_that_link_to_one_output_share_its_work(tmp_path):
    (tmp_path / "files").mkdir()
    link = tmp_path / "latest.txt"
    link.symlink_to("files/squares.txt")
    with pytest.raises(KeyboardInterrupt):
        squares(link, stop_before=2)
    assert squares(tmp_path / "files/squares.txt") == [2, 3]
    assert link.read_text().startswith("chunk 0")
    assert link.is_symlink()


def test_damaged_chunks_are_computed_again(interrupted):
    (chunk,) = unfinished_folder(interrupted).glob("chunk-00000000-*")
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    assert squares(interrupted) == [0, 2, 3]


def test_remains_of_a_write_that_was_cut_short_are_removed(interrupted):
    remains = unfinished_folder(interrupted) / "chunk-00000002-0123.npz.partial"
    remains.write_bytes(b"PK")
    assert squares(interrupted) == [2, 3]
    assert not remains.exists()


def test_other_settings_are_refused_by_name(interrupted):
    with pytest.raises(ValueError, match=r"n_draws was 10 and is now 20\. Pass overwrite=True"):
        squares(interrupted, settings=SETTINGS | {"n_draws": 20})
    assert squares(interrupted) == [2, 3], "the refused run has changed the unfinished work"


def test_another_number_of_chunks_is_refused(interrupted):
    with pytest.raises(ValueError, match="the number of spectra has changed"):
        squares(interrupted, n_chunks=5)


def test_overwrite_begins_again_if_the_settings_differ(interrupted):
    assert squares(interrupted, settings={}, overwrite=True) == [0, 1, 2, 3]


def test_overwrite_goes_on_if_the_settings_are_the_same(interrupted):
    assert squares(interrupted, overwrite=True) == [2, 3]


def test_inputs_that_changed_are_refused_by_name(tmp_path):
    out, inputs = tmp_path / "squares.txt", [tmp_path / "a.fits", tmp_path / "b.fits"]
    for path in inputs:
        path.write_text("1")
    with pytest.raises(KeyboardInterrupt):
        squares(out, stop_before=2, inputs=inputs)
    os.utime(inputs[1], ns=(0, 0))
    with pytest.raises(ValueError, match=r"b\.fits has changed"):
        squares(out, inputs=inputs)
    with pytest.raises(ValueError, match=r"the inputs are others, from .*b\.fits on"):
        squares(out, inputs=inputs[:1])
    inputs[1].unlink()
    with pytest.raises(ValueError, match=r"b\.fits has changed"):
        squares(out, inputs=inputs)


def test_an_existing_output_is_refused(tmp_path):
    out = tmp_path / "squares.txt"
    squares(out)
    with pytest.raises(FileExistsError, match=r"squares\.txt exists"):
        squares(out)
    assert squares(out, overwrite=True) == [0, 1, 2, 3]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_second_process_is_refused_until_the_first_ends(tmp_path):
    out = tmp_path / "squares.txt"
    code = (
        "import sys; from pathlib import Path; from skbcnn._resumable import resumable_job\n"
        f"with resumable_job(Path({str(out)!r}), settings={SETTINGS}, inputs=[], n_chunks=4) as job:\n"
        "    print('locked', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(BlockingIOError, match=r"Another process is writing .*squares\.txt"):
            squares(out)
    finally:
        process.kill()  # as by kill -9: the lock goes with the process
        process.communicate()
    assert squares(out) == [0, 1, 2, 3]


def test_a_full_disk_keeps_the_chunks(interrupted, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="2 of 4 parts are finished"):
            squares(interrupted)
    assert squares(interrupted) == [2, 3]


def test_damaged_records_are_refused_rather_than_mixed(interrupted):
    (unfinished_folder(interrupted) / "settings.json").write_text("{")
    with pytest.raises(ValueError, match="n_draws was absent and is now 10"):
        squares(interrupted)


def test_arrays_of_objects_are_refused(tmp_path):
    with (
        pytest.raises(ValueError, match="names of a chunk holds objects"),
        resumable_job(tmp_path / "out", settings={}, inputs=[], n_chunks=1) as job,
    ):
        job.save(0, {"names": np.array([None])})
