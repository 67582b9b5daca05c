"""The results of an evaluation so far, so that a stopped one can go on.

The first line of the file says what is evaluated. Each further line is the JSON of one
image, with its rows and pictures. An image whose line was cut off is scored again.
"""

import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxhdr.atomic import atomic_path
from jaxhdr.errors import UserError
from jaxhdr.evaluation.rows import Row


class RowLog:
    """The file of one evaluation.

    Attributes:
      finished: the rows of each image that is done, by its name, in order.
    """

    def __init__(self, path: pathlib.Path, *, subject: Mapping[str, Any]):
        """Opens or begins the file.

        Args:
          path: path of the file; its folder is made if it does not exist.
          subject: all that the rows depend on; rows of another subject are dropped.

        Raises:
          UserError: the file cannot be read or written.
        """
        header = json.dumps({"evaluation": subject}, sort_keys=True)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = (
                path.read_text(encoding="utf-8").split("\n") if path.exists() else []
            )
            is_same = bool(lines) and lines[0] == header
            # The last part is empty, or a line that was cut off.
            kept = lines[1:-1] if is_same else []
            text = "".join(f"{line}\n" for line in (header, *kept))
            with atomic_path(path) as whole:
                whole.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot use {path}: {error.strerror}") from error
        self._path = path
        self.finished: dict[str, list[Row]] = {}
        for line in kept:
            rows = json.loads(line)["rows"]
            self.finished[rows[0]["image"]] = rows

    def append(self, rows: Sequence[Row], pictures: Mapping[str, Any]) -> None:
        """Adds the rows and pictures of one image.

        Raises:
          UserError: the file cannot be written.
        """
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                found = {"rows": [dict(row) for row in rows], "pictures": pictures}
                file.write(json.dumps(found) + "\n")
        except OSError as error:
            raise UserError(f"cannot use {self._path}: {error.strerror}") from error

    def pictures(self) -> Iterator[Mapping[str, Any]]:
        """Yields the pictures of each image, in order, one at a time."""
        with open(self._path, encoding="utf-8") as file:
            next(file)
            for line in file:
                yield json.loads(line)["pictures"]

    def remove(self) -> None:
        """Deletes the file, when the report is written."""
        self._path.unlink()
