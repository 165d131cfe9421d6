"""A handful of drawn command lines; the slow test and `make trust` try more."""

from pathlib import Path

import pytest

from tests import fuzz


@pytest.mark.parametrize("count", [19, pytest.param(570, marks=pytest.mark.long)])
def test_drawn_command_lines_are_done_or_refused_in_one_line(count: int) -> None:
    found = list(fuzz.rows(count, seed=count))
    assert [wrong for row in found for wrong in row.wrong] == []
    assert sum(row.tried for row in found) == count
    assert all(row.tried == row.refused + row.valid for row in found)


def test_the_judge_sees_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback, two lines, silence, files, an exit code that should be another."""

    def said(code: int, err: str = "", write: bool = False):
        def main(words: list[str]) -> None:
            if write:
                Path("new").touch()
            print(err, end="", file=fuzz.sys.stderr)
            raise KeyError("x") if code < 0 else SystemExit(code)

        monkeypatch.setattr(fuzz.cli, "main", main)
        return fuzz.judge(fuzz.Draw("", "invalid", ["list"]), tmp_path)[1]

    assert said(2, "toymodels: one line\n") == ""
    assert "KeyError" in said(-1)
    assert "not one line" in said(2, "one\ntwo\n")
    assert "not one line" in said(2)
    assert "exit code 0" in said(0)
    assert "exit code 1" in said(1, "toymodels: one line\n")
    assert "wrote files" in said(2, "toymodels: one line\n", write=True)


def test_the_same_seed_draws_the_same() -> None:
    one, other = (fuzz.Grammar(3) for _ in range(2))
    assert [one.draw(kind) for kind in fuzz.KINDS] == [other.draw(kind) for kind in fuzz.KINDS]
