from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import SpecificationError
from skerry.spec import Features, SemanticSpec, TypedColumn
from skerry.spec.semantic import DATA, LIBRARIES, LICENSES, SCENARIOS, TASKS, dock_problems, problems

PLAIN: dict[str, Any] = {
    "data": "Table",
    "task": "Classification",
    "library": "Scikit-learn",
    "scenario": ("Health",),
    "license": "Apache-2.0",
    "name": "Heart disease",
    "description": "Predicts heart disease\nfrom ten columns.",
    "input": Features(2, {0: "age", 1: "cholesterol"}),
    "output": Features(2, {0: "healthy", 1: "ill"}),
}


def document(**changes: Any) -> dict[str, Any]:
    return {**SemanticSpec(**PLAIN).to_reference(), **changes}


def test_the_reference_shape() -> None:
    written = SemanticSpec(**PLAIN).to_reference()
    assert list(written) == [
        "Data", "Task", "Library", "License", "Scenario", "Name", "Description", "Input", "Output",
    ]  # fmt: skip
    assert written["Data"] == {"Values": ["Table"], "Type": "Class"}
    assert written["Scenario"] == {"Values": ["Health"], "Type": "Tag"}
    assert written["Name"] == {"Values": "Heart disease", "Type": "String"}
    assert written["Input"] == {"Dimension": 2, "Description": {"0": "age", "1": "cholesterol"}}


@given(
    data=st.sampled_from(DATA),
    task=st.sampled_from(TASKS),
    library=st.sampled_from(LIBRARIES),
    scenario=st.lists(st.sampled_from(SCENARIOS), min_size=1, unique=True),
    license_=st.sampled_from(LICENSES),
)
def test_the_whole_vocabulary_round_trips(
    data: str, task: str, library: str, scenario: list[str], license_: str
) -> None:
    spec = SemanticSpec(
        **{
            **PLAIN,
            "data": data,
            "task": task,
            "library": library,
            "scenario": tuple(scenario),
            "license": license_,
        }
    )
    assert problems(spec.to_reference()) == []
    assert SemanticSpec.from_reference(spec.to_reference()) == spec
    assert SemanticSpec.from_bytes(spec.to_bytes()) == spec


def test_our_additions_travel_in_bytes_only() -> None:
    spec = SemanticSpec(
        **PLAIN,
        columns=(TypedColumn("age", "a", "integer"), TypedColumn("chol", "mg/dl")),
        classes=("healthy", "ill"),
        intended_use="Teaching.",
        language="en",
        tags=("heart",),
    )
    assert SemanticSpec.from_bytes(spec.to_bytes()) == spec
    assert spec.to_reference() == SemanticSpec(**PLAIN).to_reference()


def test_case_does_not_matter() -> None:
    spec = SemanticSpec(**{**PLAIN, "data": "table", "task": "classification", "scenario": ("health",)})
    assert spec == SemanticSpec(**PLAIN)


def test_old_files_without_a_license_get_the_engine_default() -> None:
    old = document()
    del old["License"]
    assert SemanticSpec.from_reference(old).license == "Apache-2.0"


def test_empty_input_and_output_count_as_absent() -> None:
    text = document(
        Data={"Values": ["Text"], "Type": "Class"},
        Task={"Values": ["Others"], "Type": "Class"},
        Input={},
        Output={},
    )
    assert SemanticSpec.from_reference(text).input is None


BROKEN = [
    ("Data", {"Values": ["Table", "Text"], "Type": "Class"}, "unique"),
    ("Data", {"Values": ["Video"], "Type": "Class"}, "must be in"),
    ("Data", {"Values": ["Table"], "Type": "Tag"}, "type mismatch"),
    ("Data", ["Table"], "type mismatch"),
    ("Scenario", {"Values": [], "Type": "Tag"}, "empty"),
    ("Scenario", {"Values": ["Space"], "Type": "Tag"}, "must be in"),
    ("Name", {"Values": "", "Type": "String"}, "empty"),
    ("Name", {"Values": 5, "Type": "String"}, "string"),
    ("Input", None, "lack of input"),
    ("Input", {"Dimension": "2", "Description": {}}, "whole number"),
    ("Input", {"Dimension": True, "Description": {}}, "whole number"),
    ("Input", {"Dimension": 10**9, "Description": {}}, "whole number"),
    ("Input", {"Dimension": 2, "Description": {"2": "x"}}, "outside"),
    ("Input", {"Dimension": 2, "Description": {"-1": "x"}}, "outside"),
    ("Input", {"Dimension": 2, "Description": {"0": 5}}, "string"),
    ("Input", {"Dimension": 2, "Description": ["x"]}, "map"),
    ("Output", {"Dimension": 1, "Description": {}}, "from 2"),
]


@pytest.mark.parametrize(("key", "value", "word"), BROKEN)
def test_each_rule_is_reported_under_its_key(key: str, value: object, word: str) -> None:
    broken = problems(document(**{key: value}))
    assert len(broken) == 1
    assert broken[0].startswith(key)
    assert word in broken[0]
    with pytest.raises(SpecificationError) as caught:
        SemanticSpec.from_reference(document(**{key: value}))
    assert caught.value.where == key


def test_every_broken_rule_is_named_at_once() -> None:
    with pytest.raises(SpecificationError) as caught:
        SemanticSpec(**{**PLAIN, "data": "Video", "license": "Mine", "name": ""})
    assert all(word in str(caught.value) for word in ("Data", "License", "Name"))


def test_the_dock_wants_longer_texts() -> None:
    assert dock_problems(document()) == []
    short = document(
        Name={"Values": "svm", "Type": "String"}, Description={"Values": "short", "Type": "String"}
    )
    assert problems(short) == []
    assert [line.split(":")[0] for line in dock_problems(short)] == ["Name", "Description"]


@pytest.mark.parametrize(
    "changes",
    [
        {"columns": (TypedColumn("age"),)},
        {"classes": ("only one",)},
        {"tags": ("x" * 41,)},
        {"name": "a\nb"},
        {"name": "x" * 101},
        {"description": "\x00"},
    ],
)
def test_our_rules_are_enforced(changes: dict[str, Any]) -> None:
    with pytest.raises(SpecificationError):
        SemanticSpec(**{**PLAIN, **changes})


def test_unknown_column_type_is_refused() -> None:
    with pytest.raises(SpecificationError, match="is not one of"):
        TypedColumn("age", type="quaternion")


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_cleanly(blob: bytes) -> None:
    with pytest.raises(SpecificationError):
        SemanticSpec.from_bytes(blob)
