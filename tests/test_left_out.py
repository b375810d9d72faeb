"""Lists of what an output leaves out."""

import os
from pathlib import Path

import pytest

from skbcnn._left_out import LeftOut, cause, check_left_out, left_out_table


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("It is empty. Select other rows by visits=True.", "It is empty."),
        ("S/N is 0.5, not 1.5, and Teff 4000 K", "S/N is 0.5, not 1.5, and Teff 4000 K"),
        ("It\n  is   broken", "It is broken"),
        (
            "It cannot be read (No card. Try ignore=True): it is cut short. Load it.",
            "It cannot be read (No card): it is cut short.",
        ),
        ("/data/St. Andrews/a.fits has no flux. Pass another.", "The file has no flux."),
        ("There is no file /data/St. Andrews/a.fits. Pass another.", "There is no such file."),
        ("HDU 3 of /data/St. Andrews/a.fits has no flags. Pass another.", "HDU 3 of the file has no flags."),
        (PermissionError(13, "Permission denied", "a.fits"), "Permission denied"),
    ],
)
def test_the_cause_is_what_is_wrong_without_advice(message, expected):
    assert cause(message, Path("/data/St. Andrews/a.fits")) == expected


def test_a_list(tmp_path):
    name = os.fsdecode(b"star-\xe9.fits")  # which is not UTF-8
    with left_out_table(tmp_path / "list.csv") as write:
        write([LeftOut(name, "visit 1", "it has no flux, or no errors", "It is empty. Pass another.", "2M0", 7)])
    header, row, _ = (tmp_path / "list.csv").read_bytes().split(b"\n")
    assert header == b"file,spectrum,reason,detail,star,row"
    assert row == b'star-\xe9.fits,visit 1,"it has no flux, or no errors",It is empty.,2M0,7'


@pytest.mark.parametrize("header", ["file,spectrum,reason", "row,star,file,spectrum,reason,detail"])
def test_a_list_may_be_replaced_and_no_other_file(tmp_path, header):
    path = tmp_path / "a.h5-left-out.csv"
    check_left_out(path, overwrite=False)
    path.write_text(header + "\n")
    check_left_out(path, overwrite=False)
    path.write_text("notes of the user\n" + header)
    with pytest.raises(FileExistsError, match=r"exists\. Choose another name"):
        check_left_out(path, overwrite=False)
    check_left_out(path, overwrite=True)


def test_columns():
    columns = ("file", "spectrum", "reason", "detail", "star", "row")
    assert LeftOut._fields == columns, "programs read these lists by these names"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_under_the_name_of_the_list_is_refused(tmp_path, overwrite):
    with pytest.raises(IsADirectoryError, match="the list of what is left out, is a folder"):
        check_left_out(tmp_path, overwrite)
