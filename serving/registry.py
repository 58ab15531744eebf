"""The registry of models: `DIR/versions/NAME/`, and `DIR/current` naming one of them."""

from pathlib import Path

from serving.errors import InputError

CURRENT = "current"
VERSIONS = "versions"


def current_folder(registry: Path) -> Path:
    """Return the folder of the current version; raise InputError when there is none.

    `current` is a file that holds the version's name, or a link to its folder.
    """
    pointer = registry / CURRENT
    remedy = f"A registry has {VERSIONS}/NAME/ and a file {CURRENT} that holds a NAME."
    try:
        if pointer.is_symlink() or pointer.is_dir():
            name = pointer.resolve(strict=True).name
        else:
            name = pointer.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InputError(f"{pointer}: cannot be read ({error.strerror})", remedy) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{pointer}: is no text", remedy) from error
    folder = registry / VERSIONS / name
    if not name or Path(name).name != name or name in (".", "..") or not folder.is_dir():
        raise InputError(f"{pointer}: names no version: {name[:100]!r}", remedy)
    return folder
