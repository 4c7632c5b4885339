"""Stubs: a stub is a solution without the work between its marks."""

from __future__ import annotations

import pytest

from exercises.stub import BEGIN, EMPTY, END, is_untouched, stub_of, with_work, work_in

SOLUTION = f"""def double(n: int) -> int:
    {BEGIN}
    twice = n + n

    return twice
    {END}
"""
STUB = f"""def double(n: int) -> int:
    {BEGIN}
    {EMPTY}
    {END}
"""


def test_the_work_is_extracted_and_inserted_with_its_indentation() -> None:
    assert stub_of(SOLUTION) == STUB
    assert work_in(SOLUTION) == "twice = n + n\n\nreturn twice"
    assert with_work(STUB, work_in(SOLUTION)) == SOLUTION


def test_only_changes_to_the_work_count() -> None:
    assert is_untouched(STUB, SOLUTION)
    assert is_untouched(STUB.replace("\n", "  \n"), SOLUTION)
    assert not is_untouched(STUB.replace(EMPTY, "return 2 * n"), SOLUTION)
    assert not is_untouched("", SOLUTION)


@pytest.mark.parametrize("text", ["", f"{BEGIN}\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n"])
def test_a_file_without_exactly_one_place_to_write_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="your work"):
        work_in(text)
