"""A small share of `python -m tests.fuzz --inputs 30000`."""

from fuzz.driver import fuzz


def test_damaged_inputs_are_read_or_refused_with_a_sentence():
    outcome = fuzz(450)
    assert not outcome.faults, "\n".join(outcome.faults[:5])
    assert outcome.ends["refused"] > 100
