"""A Label Studio project's configuration: the one that we include, and those of other people."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import InputError
from serving.label_studio import read_configuration, suggested_control, write_configuration
from serving.labels import LabelScheme

ROOT = Path(__file__).parents[2]
SCHEME = LabelScheme.read(ROOT / "configs" / "labels.yaml")
INCLUDED = (ROOT / "configs" / "label_studio.xml").read_text(encoding="utf-8")
CHOICES = "".join(f'<Choice value="{name}"/>' for name in SCHEME.names)


def project(choices: str = CHOICES, text: str = '<Text name="body" value="$sentence"/>') -> str:
    return f'<View>{text}<Choices name="kind" toName="body">{choices}</Choices></View>'


def test_the_included_file_is_that_of_the_included_labels():
    assert write_configuration(SCHEME) == INCLUDED
    assert read_configuration(INCLUDED, SCHEME) == suggested_control(SCHEME)


def test_annotators_see_arabic_from_right_to_left_and_names_are_stored():
    assert 'style="direction: rtl; text-align: right"' in INCLUDED
    for number, label in enumerate(SCHEME.labels, 1):
        assert f'value="{label.arabic}" alias="{label.name}"' in INCLUDED
        assert f'hotkey="{number}"' in INCLUDED


@pytest.mark.parametrize(
    ("choices", "stored"),
    [
        (CHOICES, {name: name for name in SCHEME.names}),
        (CHOICES.upper().replace("CHOICE VALUE", "Choice value"), None),
        (
            "".join(f'<Choice value=" {label.arabic} "/>' for label in SCHEME.labels),
            {label.name: f" {label.arabic} " for label in SCHEME.labels},
        ),
        (
            "".join(
                f'<Choice alias="{n}" value="{label.arabic}"/>'
                for n, label in enumerate(SCHEME.labels)
            ),
            {label.name: str(n) for n, label in enumerate(SCHEME.labels)},
        ),
        (CHOICES + '<Choice value="not sure"/>', {name: name for name in SCHEME.names}),
    ],
    ids=["names", "capitals", "Arabic", "own aliases", "one more"],
)
def test_a_project_of_ones_own_is_read_and_answered_in_its_own_words(choices, stored):
    control = read_configuration(project(choices), SCHEME)
    assert (control.name, control.to_name, control.key) == ("kind", "body", "sentence")
    assert control.choices == (stored or {name: name.upper() for name in SCHEME.names})
    for name in SCHEME.names:
        result = control.result(name)
        assert result[0]["value"]["choices"] == [control.choices[name]]
        assert control.chosen(result) == [name]


def test_of_several_controls_the_one_with_the_labels_is_taken():
    topic = '<Choices name="topic" toName="body"><Choice value="war"/></Choices>'
    text = '<Text name="body" value="$sentence"/>'
    control = read_configuration(project(text=text + topic), SCHEME)
    assert control.name == "kind"
    other = {"from_name": "topic", "value": {"choices": ["war"]}}
    assert control.chosen([other, *control.result("claim")]) == ["claim"]


WRONG = {
    "nothing": ("", "not plain XML"),
    "a word": ("View", "not plain XML"),
    "an open tag": ("<View>", "not plain XML"),
    "entities": (
        '<!DOCTYPE a [<!ENTITY b "' + "x" * 1000 + '">]>' + project().replace("war", "&b;"),
        "not plain XML",
    ),
    "an empty project": ("<View></View>", "attack_report, claim, denial, official_response, other"),
    "a label less": (
        project(CHOICES.replace('<Choice value="denial"/>', "")),
        "no Choices control of a Text has the choices denial",
    ),
    "an image": (project(text='<Image name="body" value="$image"/>'), "no Choices control"),
    "labels of parts": (
        project().replace("Choices", "Labels").replace("Choice ", "Label "),
        "no Choices control",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_project_that_does_not_ask_for_the_labels_is_refused_in_two_lines(name):
    xml, problem = WRONG[name]
    with pytest.raises(InputError) as caught:
        read_configuration(xml, SCHEME)
    assert problem in caught.value.problem
    assert "configs/label_studio.xml" in caught.value.remedy
    assert len(str(caught.value).splitlines()) == 2


@given(st.text() | st.text(alphabet="<>/ab=\"'&!-?$ \0").map(lambda text: f"<View>{text}</View>"))
def test_no_text_does_more_than_be_refused(text):
    with pytest.raises(InputError):
        read_configuration(text, SCHEME)


def test_of_controls_in_one_another_only_the_innermost_is_read():
    """Reading each of thousands with all that it holds took a quadratic time."""
    opened = '<Choices name="outer" toName="body">'
    inner = f'<Choices name="inner" toName="body">{CHOICES}</Choices>'
    deep = project(opened * 20_000 + inner + "</Choices>" * 20_000)
    assert read_configuration(deep, SCHEME).name == "inner"
    with pytest.raises(InputError):
        read_configuration(deep.replace(CHOICES, ""), SCHEME)
