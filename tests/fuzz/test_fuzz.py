"""The fuzz targets without a fuzzer: their corpus, and a few hundred inputs. `make fuzz` digs deeper."""

from __future__ import annotations

import random
from pathlib import Path

import fuzz_loads
import fuzz_redaction
import fuzz_requests
import fuzz_streams
import pytest

CORPUS = Path(__file__).parent / "corpus"
TARGETS = {"requests": fuzz_requests, "streams": fuzz_streams, "loads": fuzz_loads, "redaction": fuzz_redaction}
INPUTS = 300


def test_there_is_a_corpus_for_each_target_and_for_nothing_else():
    assert {path.name for path in CORPUS.iterdir()} == {*TARGETS}


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus(target):
    paths = sorted((CORPUS / target).iterdir())
    assert paths
    for path in paths:
        try:
            TARGETS[target].run(path.read_bytes())
        except Exception as error:
            error.add_note(f"input: {path}")
            raise


@pytest.mark.parametrize("target", TARGETS)
def test_random_inputs(target):
    chance = random.Random(target)
    for number in range(INPUTS):
        data = chance.randbytes(chance.randrange(600))
        try:
            TARGETS[target].run(data)
        except Exception as error:
            error.add_note(f"input {number}: {data!r}")
            raise
