"""Print every module with the first line of its docstring, for CONTRIBUTING.md.

    python scripts/tree.py [--write]

--write replaces the tree in CONTRIBUTING.md.
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
BLOCK = re.compile(r"(?<=<!-- tree -->\n```\n).*?(?=```\n)", re.DOTALL)


def tree() -> str:
    """Return one line per folder and module of the two packages."""
    return "".join(_lines(ROOT / "serving", 0)) + "".join(_lines(ROOT / "training", 0))


def _lines(folder: Path, depth: int) -> list[str]:
    """Return the lines of a package: itself, its modules, then its folders."""
    lines = [_line(f"{folder.name}/", folder / "__init__.py", depth)]
    modules = sorted(folder.glob("*.py"))
    lines += [_line(path.stem, path, depth + 1) for path in modules if path.stem != "__init__"]
    for package in sorted(path.parent for path in folder.glob("*/__init__.py")):
        lines += _lines(package, depth + 1)
    return lines


def _line(name: str, path: Path, depth: int) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "(no docstring)"
    return f"{'  ' * depth + name:22} {docstring.splitlines()[0]}\n"


if __name__ == "__main__":
    if "--write" in sys.argv:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(BLOCK.sub(lambda _: tree(), text), encoding="utf-8")
    else:
        sys.stdout.write(tree())
