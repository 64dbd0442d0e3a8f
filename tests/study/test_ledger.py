"""A step is done again if and only if something that it depends on has changed."""

from pathlib import Path

import pytest

from leela_probe.study.ledger import BEGUN, DONE, LEFT_OUT, Ledger, Outcome, Step


class Works:
    """Steps that copy and double a text, and remember when they ran."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.source, self.ran = folder, folder / "source.txt", []
        self.source.write_text("a")

    def copy(self, *, code="1", reason=None):
        def run(resumed):
            self.ran.append(("copy", resumed))
            if reason is not None:
                return Outcome(reason=reason)
            target = self.folder / "copy.txt"
            target.write_text(self.source.read_text())
            return Outcome(outputs=[target])

        return Step(
            name="copy", title="", inputs={"source": self.source}, code={"x": code}, run=run
        )

    def double(self, times=2, *, breaks=False):
        def run(resumed):
            self.ran.append(("double", resumed))
            if breaks:
                raise KeyboardInterrupt
            target = self.folder / "double.txt"
            target.write_text((self.folder / "copy.txt").read_text() * times)
            return Outcome(outputs=[target], facts={"times": times})

        return Step(
            name="double", title="", needs=("copy",), options={"times": times},
            makes=("double*.txt",), run=run,
        )  # fmt: skip


@pytest.fixture
def works(tmp_path: Path) -> Works:
    return Works(tmp_path)


def names(works):
    ran, works.ran = [name for name, _ in works.ran], []
    return ran


def both(works, copy, double):
    with Ledger(works.folder) as ledger:
        return [ledger.perform(copy).state, ledger.perform(double).state]


def test_nothing_is_done_twice(works):
    assert both(works, works.copy(), works.double()) == [DONE, DONE]
    assert names(works) == ["copy", "double"]
    both(works, works.copy(), works.double())
    assert names(works) == []


def test_an_option_redoes_its_step_alone(works):
    both(works, works.copy(), works.double(2))
    names(works)
    both(works, works.copy(), works.double(3))
    assert names(works) == ["double"]
    assert (works.folder / "double.txt").read_text() == "aaa"


def test_an_input_redoes_all_that_follows_only_if_its_result_differs(works):
    both(works, works.copy(), works.double())
    names(works)
    works.source.write_text("b")
    both(works, works.copy(), works.double())
    assert names(works) == ["copy", "double"]
    both(works, works.copy(code="2"), works.double())  # other code, the same result
    assert names(works) == ["copy"]


def test_a_file_that_was_changed_or_lost_is_made_again(works):
    both(works, works.copy(), works.double())
    names(works)
    (works.folder / "double.txt").write_text("tampered")
    both(works, works.copy(), works.double())
    (works.folder / "copy.txt").unlink()
    both(works, works.copy(), works.double())
    assert names(works) == ["double", "copy"]


def test_a_step_that_was_cut_off_is_told_so_unless_it_is_another_now(works):
    for times, resumed in ((2, False), (2, True), (3, False), (3, True)):
        with pytest.raises(KeyboardInterrupt):
            both(works, works.copy(), works.double(times, breaks=True))
        assert works.ran[-1] == ("double", resumed)
    with Ledger(works.folder) as ledger:
        assert ledger.record("double").state == BEGUN
    both(works, works.copy(), works.double(3))
    assert works.ran[-1] == ("double", True)


def test_a_result_stays_until_its_replacement_is_complete(works):
    both(works, works.copy(), works.double(2))
    with pytest.raises(KeyboardInterrupt):
        both(works, works.copy(), works.double(3, breaks=True))
    assert (works.folder / "double.txt").read_text() == "aa"
    names(works)
    both(works, works.copy(), works.double(2))  # back to what was asked first
    assert names(works) == []


def test_a_step_that_goes_on_is_not_told_that_the_earlier_result_is_its_own(works):
    both(works, works.copy(), works.double(2))
    with pytest.raises(KeyboardInterrupt):
        both(works, works.copy(), works.double(3, breaks=True))
    both(works, works.copy(), works.double(3))
    assert works.ran[-1] == ("double", False)
    assert (works.folder / "double.txt").read_text() == "aaa"


def test_what_a_step_makes_no_longer_is_removed(works):
    both(works, works.copy(), works.double())
    both(works, works.copy(code="2", reason="no heads"), works.double())
    assert not (works.folder / "double.txt").exists()


def test_files_of_a_step_that_never_finished_are_not_found_and_go_when_it_is_done_anew(works):
    both(works, works.copy(), works.double())
    left, own = works.folder / "double-left.txt", works.folder / "own.txt"
    with pytest.raises(KeyboardInterrupt):
        both(works, works.copy(), works.double(3, breaks=True))
    for path in (left, own):
        path.write_text("x")
    with Ledger(works.folder) as ledger:
        assert ledger.find("double-left.txt") is None
        assert ledger.find("double.txt") == works.folder / "double.txt"
    both(works, works.copy(), works.double(4))
    assert not left.exists()
    assert own.exists()


def test_what_would_be_lost_is_told_with_what_has_changed(works):
    both(works, works.copy(), works.double(2))
    with Ledger(works.folder) as ledger:
        assert ledger.lost(works.double(2)) == []
        assert ledger.lost(works.double(3)) == ["times was 2 and is 3 now"]
        works.source.write_text("b")
        assert ledger.lost(works.copy()) == ["another source"]
        (works.folder / "double.txt").unlink()
        assert ledger.lost(works.double(3)) == []


def test_what_needs_a_step_that_does_not_apply_is_left_out_with_its_reason(works):
    assert both(works, works.copy(reason="no heads"), works.double()) == [LEFT_OUT, LEFT_OUT]
    with Ledger(works.folder) as ledger:
        assert ledger.record("double").reason == "no heads"
    names(works)
    assert both(works, works.copy(reason="no heads"), works.double()) == [LEFT_OUT, LEFT_OUT]
    assert names(works) == []
    assert both(works, works.copy(code="2"), works.double()) == [DONE, DONE]


def test_a_step_before_what_it_needs_is_refused(works):
    with Ledger(works.folder) as ledger, pytest.raises(ValueError, match="needs copy"):
        ledger.perform(works.double())


def test_two_processes_do_not_work_in_one_folder(works):
    with Ledger(works.folder), pytest.raises(RuntimeError, match="another process"):
        Ledger(works.folder).__enter__()
