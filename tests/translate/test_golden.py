"""What every case of `testdata/` is translated to, byte for byte as people read it."""

from __future__ import annotations

import pytest
from golden_case import CASES, expected, outcome, rewrite


@pytest.mark.parametrize("case", CASES)
def test_golden(case, update_golden):
    files = outcome(case).files()
    if update_golden:
        rewrite(case, files)
    assert files == expected(case), "run `make golden` and read the diff"


def test_there_are_cases():
    assert len(CASES) >= 30
