"""What went wrong in somebody's code, as one line: file, line, what, and the cure."""

from __future__ import annotations

import importlib.util
import traceback
from pathlib import Path

#: Packages that are installed under another name than they are imported by.
_INSTALLED_AS = {
    "cv2": "opencv-python", "PIL": "pillow", "sklearn": "scikit-learn", "skimage": "scikit-image", "yaml": "pyyaml",
    "attr": "attrs", "dateutil": "python-dateutil", "git": "gitpython", "pytorch_lightning": "lightning", "dotenv": "python-dotenv",
}  # fmt: skip


class TookTooLong(BaseException):
    """The target's import, stopped. No Exception, since a training loop may catch those and go on."""


class Download(Exception):
    """The target wants something from the network."""


def describe(error: BaseException, root: Path, doing: str) -> str:
    """``model.py:3: needs the package 'timm' ...``. ``root`` is the repository; ``doing`` says what was tried."""
    where = _place(error, root)
    return f"{where}: {_what(error, root, doing)}" if where else _what(error, root, doing)


def first_line(error: BaseException, most: int = 300) -> str:
    """``NameError: name 'nn' is not defined``, the rest of a long message left out."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text if len(text) <= most else text[: most - 3] + "..."


def shown_path(path: Path) -> str:
    """As short as it is seen from the folder where the command was given."""
    try:
        return path.resolve().relative_to(START).as_posix()
    except ValueError:
        return path.name


#: The folder where the command was given; the target may go elsewhere.
START = Path.cwd()


def _what(error: BaseException, root: Path, doing: str) -> str:
    match error:
        case Download():
            return f"{doing} downloads {error}; an audit doesn't: switch it off with an argument in the target, such as pretrained=False"
        case TookTooLong():
            return f'{doing} was still running after {error}; put what trains under `if __name__ == "__main__":`, or give more --timeout'
        case ModuleNotFoundError(name=str(name)):
            return _missing(name, root)
        case ImportError():
            return f"{first_line(error).split(' (')[0]}; the file that it comes from doesn't define that name"
        case SyntaxError():
            return f"{doing} fails: {type(error).__name__}: {error.msg}; Python 3 can't read the file"
        case SystemExit():
            return f"{doing} ends the process (exit {error.code}), perhaps for want of arguments on a command line"
        case EOFError():
            return f"{doing} asks for input; there is none"
        case FileNotFoundError(filename=str(name)):
            return f"{doing} needs the file {Path(name).name if Path(name).is_absolute() else name}, which isn't there"
    return f"{doing} fails: {first_line(error)}"


def _missing(name: str, root: Path) -> str:
    top = name.split(".")[0]
    if top != name and importlib.util.find_spec(top) is not None:
        return f"there is no module {name!r} in {top!r}"
    found = next((path for pattern in (f"*/{top}", f"*/{top}.py", f"*/*/{top}", f"*/*/{top}.py") for path in root.glob(pattern)), None)
    if found is not None:
        return f"no module named {name!r} on the path; PYTHONPATH={shown_path(found.parent)} would find it"
    return (
        f"needs the package {top!r}, which isn't installed: `pip install {_INSTALLED_AS.get(top, top)}`; "
        "where it is a folder of the repository, put the folder that holds it into PYTHONPATH"
    )


def _place(error: BaseException, root: Path) -> str:
    """The line of the repository that was running last; a file that can't be parsed says its own."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{shown_path(Path(error.filename))}:{error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.suffix == ".py" and root in path.resolve().parents and "site-packages" not in path.parts:
            return f"{shown_path(path)}:{frame.lineno}"
    return ""
