"""Nothing but the list of contents names an experiment."""

import ast
import re
from pathlib import Path

import leela_probe
from leela_probe.study import contents

PACKAGE = Path(leela_probe.__file__).parent


def test_no_two_chapters_or_stages_share_a_name():
    ids = [chapter.id for chapter in contents.chapters()]
    assert len(set(ids)) == len(ids)
    assert len(set(contents.stages())) == len(contents.stages())
    tables = [each.table for each in contents.measurements()]
    assert len(set(tables)) == len(tables)


def test_every_chapter_is_listed():
    files = {path.stem for path in (PACKAGE / "study" / "chapters").glob("*.py")} - {"__init__"}
    text = (PACKAGE / "study" / "contents.py").read_text()
    (listed,) = re.findall(r"modules = \(([^)]*)\)", text)
    assert {name.strip() for name in listed.split(",") if name.strip()} == files


def test_every_chapter_has_a_question_and_stands_on_what_was_measured_before_it():
    before: set[str] = set()
    for chapter in contents.chapters():
        assert chapter.title
        assert chapter.question
        assert chapter.stages
        assert set(chapter.reads) <= before
        before.update(chapter.stages)
        assert chapter.heading in (chapter.title, f"{chapter.id}: {chapter.title}")


def test_a_measurement_needs_only_what_comes_before_it():
    before: set[str] = set()
    for measurement in contents.measurements():
        assert set(measurement.needs) <= before
        before.add(measurement.name)


def test_every_table_lies_within_the_folder_of_the_study():
    for measurement in contents.measurements():
        assert not Path(measurement.table).is_absolute()
        assert ".." not in Path(measurement.table).parts


def test_published_numbers_are_of_a_stage_of_the_study():
    for chapter in contents.chapters():
        for number in chapter.published:
            assert number.table is not None
            assert number.stage in contents.stages()


def test_nothing_else_imports_a_chapter():
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parent.name == "chapters" or path.name == "contents.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom | ast.Import):
                assert "chapters" not in ast.unparse(node), f"{path} knows a chapter"
