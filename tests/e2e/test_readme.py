"""What README says works: its commands parse, its Python runs, its files exist."""

import re
import shlex
from pathlib import Path

import pytest

from serving.cli import build_parser

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


COMMANDS = [
    line.split("|")[-1].strip()
    for block in blocks("sh")
    for line in block.replace("\\\n", " ").splitlines()
    if re.search(r"(^|\| )rasd ", line)
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_parses(command):
    program, *arguments = shlex.split(command, comments=True)
    assert program == "rasd"
    build_parser().parse_args(arguments)


def test_the_python_of_the_readme_runs(capsys):
    (script,) = blocks("python")
    exec(compile(script, "README.md", "exec"), {})
    assert "Prediction(label='denial'" in capsys.readouterr().out


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_a_linked_file_is_there(target):
    assert (ROOT / target).exists()


@pytest.mark.parametrize("target", re.findall(r"`make (\w+)`|^make (\w+)", README, flags=re.M))
def test_a_make_target_is_there(target):
    name = "".join(target)
    assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M)
