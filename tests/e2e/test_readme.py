"""What README and docs/ say works: commands parse, examples run, answers are real, links lead."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from serving.classifier import Classifier
from serving.cli import build_parser, main
from serving.labelling import classify_documents
from serving.records import Document

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PAGES}
# Examples are rounded, and another CPU changes them a little.
NEAR = 0.01


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXTS[page], flags=re.DOTALL | re.M)


def commands(page: str) -> list[str]:
    """Every command line of `rasd` on a page: in its blocks (fenced or indented) and its text."""
    indented = re.findall(r"^ {4}(?=\S)(.*)$", TEXTS[page], flags=re.M)
    fenced = "\n".join(blocks(page, "sh") + blocks(page, "console")).replace("\\\n", " ")
    lines = [line.strip() for line in [*indented, *fenced.splitlines()]]
    shell = [re.search(r"(?:^|^\$ |\| |exec rasd )(rasd .*)", line) for line in lines]
    quoted = re.findall(r"`(rasd [^`]+)`", TEXTS[page])
    return [match[1] for match in shell if match] + [line for line in quoted if "…" not in line]


COMMANDS = sorted({(page, command) for page in TEXTS for command in commands(page)})


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_command_line_of_the_documentation_parses(page, command, capsys):
    program, *arguments = shlex.split(command, comments=True)
    assert program == "rasd"
    # In running text a command may be named without what it needs: `rasd train`.
    if len(arguments) <= 2 and not any(name.startswith("-") for name in arguments):
        arguments.append("--help")
    try:
        build_parser().parse_args(arguments)
    except SystemExit as end:
        assert not end.code, f"{page}: {command}\n{capsys.readouterr().err}"


@pytest.mark.parametrize("page", [page for page in TEXTS if blocks(page, "python")])
def test_the_python_of_a_page_runs(page, capsys):
    for script in blocks(page, "python"):
        exec(compile(script, page, "exec"), {})
    assert "Prediction(label='denial'" in capsys.readouterr().out


LINKS = [
    (page, target)
    for page, text in TEXTS.items()
    for target in re.findall(r"\]\(([^)\s]+)\)", text)
    if not target.startswith(("http:", "https:"))
]


def anchors(path: Path) -> set[str]:
    """The names that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.M)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_a_link_leads_to_a_file_and_to_a_heading_of_it(page, target):
    name, _, anchor = target.partition("#")
    path = (ROOT / page).parent / name if name else ROOT / page
    assert path.exists()
    assert not anchor or anchor in anchors(path)


PATHS = sorted(
    {
        (page, name)
        for page, text in TEXTS.items()
        for name in re.findall(
            r"(?<![/\w.])((?:benchmarks|configs|data|docs|serving|training|tests)/[\w./-]*\w/?)(?=[`\s])",
            text,
        )
        if not name.startswith("data/private")
    }
)


@pytest.mark.parametrize(("page", "name"), PATHS)
def test_a_file_that_is_named_is_there(page, name):
    assert (ROOT / name).exists()


@pytest.mark.parametrize("name", ["page.png", "table.png"])
def test_the_pictures_are_small(name):
    assert f"docs/images/{name}" in TEXTS["README.md"]
    assert (ROOT / "docs/images" / name).stat().st_size < 150_000


TARGETS = sorted(
    {
        target
        for text in TEXTS.values()
        for pair in re.findall(r"`make (\w+)`|^make (\w+)", text, flags=re.M)
        for target in pair
        if target
    }
)


@pytest.mark.parametrize("name", TARGETS)
def test_a_make_target_is_there(name):
    assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M)


def test_readme_can_be_read_in_three_minutes():
    assert len(TEXTS["README.md"].splitlines()) <= 120


# --- The examples are the model's own answers ----------------------------------------------------


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(threads=1)


def test_each_labels_example_has_that_label(classifier):
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (.+?)<br>\*(.+)\* \|$", TEXTS["README.md"], flags=re.M)
    assert [label for label, *_ in rows] == list(classifier.bundle.scheme.names)
    answers = classifier.classify([sentence for _, sentence, _ in rows])
    assert [answer.label for answer in answers] == [label for label, *_ in rows]
    assert all(answer.certain for answer in answers)


def documented_answers(page: str) -> list[Any]:
    return [json.loads(block) for block in blocks(page, "json")]


def assert_near(shown: Any, real: Any) -> None:
    """Assert equality, with the tolerance that numbers between 0 and 1 are shown with."""
    if isinstance(shown, dict):
        assert shown.keys() == real.keys()
        for name, value in shown.items():
            assert_near(value, real[name])
    elif isinstance(shown, float):
        assert shown == pytest.approx(real, abs=NEAR)
    else:
        assert shown == real


def test_the_record_in_readme_is_what_classify_writes(tmp_path, monkeypatch):
    shown, _ = documented_answers("README.md")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "data" / "sample_article.txt").read_text(encoding="utf-8")
    Path("article.txt").write_text(text, encoding="utf-8")
    assert main(["classify", "article.txt", "-o", "labelled.jsonl"]) == 0
    records = Path("labelled.jsonl").read_text(encoding="utf-8").splitlines()
    assert_near(shown, json.loads(records[shown["sentence"]]))


def test_the_predict_answer_in_readme_is_real(classifier):
    _, ((*scores,),) = documented_answers("README.md")
    (inputs,) = re.findall(r"""-d '(\{"inputs".+\})'""", TEXTS["README.md"])
    (answer,) = classifier.classify([json.loads(inputs)["inputs"]])
    assert scores[0]["label"] == answer.label
    assert_near({score["label"]: score["score"] for score in scores}, answer.probabilities)


def test_the_classify_answer_in_the_api_page_is_real(classifier):
    (shown,) = documented_answers("docs/api.md")
    (body,) = re.findall(r"""-d '(\{"documents".+\})'""", TEXTS["docs/api.md"])
    (document,) = json.loads(body)["documents"]
    (first,) = shown["documents"][0]["sentences"]
    record, _ = classify_documents([Document(**document)], classifier)
    assert_near(first, record.as_dict())
    assert shown["model"] == classifier.model


def test_the_mistake_in_readme_is_what_validate_reports(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("my.csv").write_text("text,label\nنفت الوزارة سقوط صاروخ.,deny\n", encoding="utf-8")
    assert main(["validate", "my.csv"]) == 2
    assert blocks("README.md", "text") == [capsys.readouterr().err]
