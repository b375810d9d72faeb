"""Mirrors that the tests of training sets share: do not change them."""

import pytest

from tests.survey_mirror import write_mirror

N_STARS = 40  # each fault once


@pytest.fixture(scope="session")
def mirror(tmp_path_factory):
    """A mirror of DR17."""
    return write_mirror(tmp_path_factory.mktemp("dr17"), N_STARS)


@pytest.fixture(scope="session")
def mirrors(mirror, tmp_path_factory):
    """Mirrors of all releases, by their numbers."""
    others = {
        release: write_mirror(tmp_path_factory.mktemp(f"dr{release}"), N_STARS, release=release)
        for release in (14, 16, 19)
    }
    return {17: mirror, **others}
