"""Images that are read by their positions in the file, against what astropy reads."""

import gzip
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from skbcnn.datasets.fits_images import READ_ERRORS, read_first_images, read_plain_images

DATA = Path(__file__).parents[1] / "data"
DWARF = DATA / "apStar-dr17-2M19485057+5005279.fits"
IMAGE = np.arange(12, dtype=np.float32).reshape(2, 6)


def write(path, *hdus, primary=None):
    fits.HDUList([fits.PrimaryHDU(primary), *hdus]).writeto(path)
    return path


def by_astropy(path):
    with fits.open(path) as hdus:
        return read_first_images(hdus)


def check_equal(found, expected):
    assert str(found.header) == str(expected.header)
    assert found.other_names == expected.other_names
    for image, other in zip(found.images, expected.images, strict=True):
        assert (image is None) == (other is None)
        if image is not None:
            assert image.dtype == other.dtype
            np.testing.assert_array_equal(image, other)


def test_a_real_file_is_read_by_positions_as_astropy_reads_it():
    check_equal(read_plain_images(DWARF), by_astropy(DWARF))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, np.float32, np.float64])
def test_types_and_shapes(tmp_path, dtype):
    images = [fits.ImageHDU(image.astype(dtype)) for image in (IMAGE, IMAGE[0], np.ones((7, 301)))]
    path = write(tmp_path / "a.fits", *images)
    check_equal(read_plain_images(path), by_astropy(path))


@pytest.mark.parametrize("n_cards", [0, 27, 28, 29, 100])  # 28 fill the first block, with the mandatory ones and END
def test_lengths_of_headers(tmp_path, n_cards):
    header = fits.Header([(f"KEY{number}", number) for number in range(n_cards)])
    path = write(tmp_path / "a.fits", *[fits.ImageHDU(IMAGE, header) for _ in range(3)])
    check_equal(read_plain_images(path), by_astropy(path))


def three(hdu, **cards):
    hdu.header.update(cards)
    return [fits.ImageHDU(IMAGE), fits.ImageHDU(IMAGE), hdu]


OTHER_FILES = {
    "unsigned": three(fits.ImageHDU(IMAGE.astype(np.uint16))),
    "missing integers": three(fits.ImageHDU(IMAGE.astype(int)), BLANK=3),
    "three axes": three(fits.ImageHDU(IMAGE[None])),
    "no data": three(fits.ImageHDU()),
    "a table": three(fits.BinTableHDU(np.array([(1,)], dtype=[("a", int)]), name="A")),
    "compressed": three(fits.CompImageHDU(IMAGE.astype(np.int32))),
    "two extensions": three(fits.ImageHDU(IMAGE))[:2],
}


@pytest.mark.parametrize("name", OTHER_FILES)
def test_other_extensions_are_left_to_astropy(tmp_path, name):
    path = write(tmp_path / "a.fits", *OTHER_FILES[name])
    assert read_plain_images(path) is None
    check_equal(read_first_images(path), by_astropy(path))


def test_scaled_images_are_left_to_astropy(tmp_path):
    image = fits.ImageHDU(IMAGE.copy())
    image.scale("int16", bscale=0.5, bzero=1)
    path = write(tmp_path / "a.fits", *three(image))
    assert read_plain_images(path) is None
    np.testing.assert_array_equal(read_first_images(path).images[2], IMAGE)


def test_an_image_before_the_extensions_is_left_to_astropy(tmp_path):
    path = write(tmp_path / "a.fits", *three(fits.ImageHDU(IMAGE)), primary=IMAGE)
    assert read_plain_images(path) is None
    check_equal(read_first_images(path), by_astropy(path))


def test_gzipped_files_are_left_to_astropy(tmp_path):
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(DWARF.read_bytes()))
    assert read_plain_images(path) is None
    check_equal(read_first_images(path), by_astropy(DWARF))


@pytest.mark.parametrize("n_bytes", [0, 100, 2880, 4000, 5760, 10_000, 14_000])
def test_files_that_are_cut_short_are_left_to_astropy(tmp_path, n_bytes):
    path = write(tmp_path / "a.fits", *three(fits.ImageHDU(IMAGE)))
    path.write_bytes(path.read_bytes()[:n_bytes])
    assert read_plain_images(path) is None


def test_a_file_without_its_last_padding_is_whole(tmp_path):
    path = write(tmp_path / "a.fits", *three(fits.ImageHDU(IMAGE)))
    expected = by_astropy(path)
    path.write_bytes(path.read_bytes()[: -2880 + IMAGE.nbytes])
    check_equal(read_plain_images(path), expected)


@given(position=st.integers(0, 7 * 2880 - 1), byte=st.integers(0, 255))
def test_a_damaged_byte_gives_the_same_images_as_with_astropy(tmp_path_factory, position, byte):
    path = write(tmp_path_factory.mktemp("damaged") / "a.fits", *three(fits.ImageHDU(IMAGE.astype(np.int16))))
    content = bytearray(path.read_bytes())
    content[position] = byte
    path.write_bytes(content)
    with warnings.catch_warnings(action="ignore"):
        found = read_plain_images(path)
        if found is not None:
            check_equal(found, by_astropy(path))


def test_errors_of_astropy_are_raised(tmp_path):
    path = tmp_path / "a.fits"
    path.write_bytes(DWARF.read_bytes()[:100_000])
    with pytest.raises(READ_ERRORS):
        read_first_images(path)
