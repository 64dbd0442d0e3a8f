"""CSV records: what Python's reader reads, and every fault in its own line."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from leela_probe.files import csv_records
from leela_probe.files.csv_records import Fault, Record


class Dripping(io.BytesIO):
    """A stream that gives few bytes at a time, as pipes may."""

    def __init__(self, data, size):
        super().__init__(data)
        self.size = size

    def read1(self, size=-1):
        return super().read1(self.size)


def records(text, width, drip=1000):
    data = text if isinstance(text, bytes) else text.encode()
    return list(csv_records.records(csv_records.lines(Dripping(data, drip)), [width]))


FIELD = st.text(st.sampled_from('ab ,"\n\rü'), max_size=6)


@given(
    st.lists(st.lists(FIELD, min_size=3, max_size=3), max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.integers(1, 40),
)
def test_what_python_writes_is_read(rows, end, drip):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)
    found = records(text.getvalue(), 3, drip)
    assert [record.fields for record in found] == rows


@given(st.binary(max_size=200), st.integers(1, 50))
def test_lines_are_those_of_the_whole_however_they_drip(data, drip):
    lines = list(csv_records.lines(Dripping(data, drip)))
    assert [line.data for line in lines] == data.splitlines(keepends=True)
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))


@given(st.lists(st.binary(max_size=30), max_size=20), st.integers(1, 50))
def test_every_line_gives_at_most_one_answer_and_goes_by_its_number(lines, drip):
    found = records(b"\n".join(lines), 2, drip)
    numbers = [record.line for record in found]
    assert numbers == sorted(set(numbers))


def test_an_open_quote_is_a_fault_of_its_line_and_those_after_it_are_read():
    found = records('1,"a\n2,b\n"3,c\n4,d\n', 2)
    assert [type(record) for record in found] == [Fault, Record, Fault, Record]
    assert found[0].reason == "not a row of CSV: unexpected end of data"
    assert [record.line for record in found] == [1, 2, 3, 4]


def test_lines_that_together_have_the_wrong_width_are_not_put_together():
    found = records('1,"a\n2,b"\n3,c,d,"e\nf"\n4,d\n', 3)
    assert [record.line for record in found] == [1, 2, 3, 4, 5]
    assert all(isinstance(record, Fault) for record in found)


def test_a_record_is_no_longer_than_the_longest(monkeypatch):
    monkeypatch.setattr(csv_records, "LONGEST_RECORD", 100)
    quoted = "x\n" * 30
    assert records(f'1,"{quoted}"\n', 2)[0].fields == ["1", quoted]
    found = records('1,"' + "x\n" * 60 + '"\n2,b\n', 2)
    assert found[0] == Fault(1, "not a row of CSV: unexpected end of data")
    assert found[-1] == Record(63, ["2", "b"]) or found[-1].line == 62


def test_a_long_line_is_a_fault_and_the_next_is_read_whatever_ends_it(monkeypatch):
    monkeypatch.setattr(csv_records, "LONGEST_RECORD", 100)
    for end in ("\n", "\r", "\r\n"):
        for drip in (1, 7, 64, 5000):
            first, second = records(f"{'x' * 1000}{end}2,b{end}", 2, drip)
            assert first == Fault(1, "the line is longer than 100 bytes")
            assert second == Record(2, ["2", "b"])


def test_many_open_quotes_take_no_longer_than_others():
    found = records('1,"a\n' * 20_000, 2)
    assert len(found) == 20_000
    assert all(isinstance(record, Fault) for record in found)
