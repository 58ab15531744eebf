"""A Label Studio project's labelling configuration: written for a label scheme, and read back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from serving.errors import InputError
from serving.labels import LabelScheme

# The names of the control and of the text in the configuration that we write.
_CONTROL = "label"
_TEXT = "text"
_REMEDY = (
    "Paste configs/label_studio.xml; for other labels, the .xml of `rasd suggest -o tasks.json`."
)


@dataclass(frozen=True, slots=True)
class Control:
    """The control of a project that asks for the label of a text.

    `key` is where a task's `data` has the text. `choices` has the control's choice for each label.
    """

    name: str
    to_name: str
    key: str
    choices: dict[str, str]

    def text(self, data: dict[str, Any]) -> str | None:
        """Return the text of a task, or None if it has none."""
        text = data.get(self.key)
        return text if isinstance(text, str) else None

    def result(self, label: str) -> list[dict[str, Any]]:
        """Return the result of an annotator, or a model, who chose this label."""
        value = {"choices": [self.choices[label]]}
        names = {"from_name": self.name, "to_name": self.to_name}
        return [names | {"type": "choices", "value": value}]

    def chosen(self, result: Sequence[dict[str, Any]]) -> list[str]:
        """Return what was chosen with this control: label names, other choices as they are."""
        labels = {choice: label for label, choice in self.choices.items()}
        found: list[str] = []
        for one in result:
            value = one.get("value")
            choices = value.get("choices") if isinstance(value, dict) else None
            if one.get("from_name") == self.name and isinstance(choices, list):
                found += [labels.get(str(choice), str(choice)) for choice in choices]
        return found


def suggested_control(scheme: LabelScheme) -> Control:
    """Return the control of the configuration that we write."""
    return Control(_CONTROL, _TEXT, _TEXT, {name: name for name in scheme.names})


def write_configuration(scheme: LabelScheme) -> str:
    """Return the XML of a project that asks for one label of each text.

    Annotators see the Arabic names; what is stored are the names of the scheme.
    """
    view = ElementTree.Element("View", style="direction: rtl; text-align: right")
    ElementTree.SubElement(view, "Text", name=_TEXT, value=f"${_TEXT}")
    control = ElementTree.SubElement(
        view, "Choices", name=_CONTROL, toName=_TEXT, choice="single", required="true"
    )
    for number, label in enumerate(scheme.labels, start=1):
        choice = {"value": label.arabic, "alias": label.name, "hint": label.name}
        keys = {"hotkey": str(number)} if number < 10 else {}
        ElementTree.SubElement(control, "Choice", choice | keys)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def read_configuration(xml: str, scheme: LabelScheme) -> Control:
    """Return the control that asks for the labels of the scheme; raise InputError without one.

    A choice is a label's name or Arabic name, in any case. There may be further choices.
    """
    # Entities, which could make a small text a huge one, are declared in a DOCTYPE only.
    try:
        view = None if "<!DOCTYPE" in xml else ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError):
        view = None
    if view is None:
        raise InputError("the labelling configuration is not plain XML", _REMEDY)
    texts = {text.get("name"): text.get("value", "") for text in view.iter("Text")}
    missing: tuple[str, ...] = scheme.names
    for element in view.iter("Choices"):
        name, to_name = element.get("name"), element.get("toName")
        key = texts.get(to_name, "").removeprefix("$")
        # Label Studio has no control inside another one. A hostile project with thousands of them
        # would be read once for each.
        if not (name and to_name and key) or element.find(".//Choices") is not None:
            continue
        choices = _choices(element, scheme)
        if not (lacking := tuple(label for label in scheme.names if label not in choices)):
            return Control(name, to_name, key, choices)
        missing = min(missing, lacking, key=len)
    raise InputError(
        f"no Choices control of a Text has the choices {', '.join(missing)}",
        _REMEDY,
    )


def _choices(element: ElementTree.Element, scheme: LabelScheme) -> dict[str, str]:
    """Return the choices of a control, as Label Studio stores them, by label."""
    labels = {
        name.casefold(): label.name
        for label in scheme.labels
        for name in (label.arabic, label.name)
    }
    found: dict[str, str] = {}
    for choice in element.iter("Choice"):
        stored = choice.get("alias") or choice.get("value") or ""
        for written in (stored, choice.get("value") or ""):
            if (label := labels.get(written.strip().casefold())) and label not in found:
                found[label] = stored
                break
    return found
