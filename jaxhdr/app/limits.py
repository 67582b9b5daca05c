"""What the server accepts and keeps, and how it refuses more."""

import dataclasses
from typing import Final

MEGABYTE: Final = 10**6


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Attributes:
      upload_bytes: largest photograph.
      photographs: most photographs in the list, uploads included.
      kept_bytes: most bytes of finished photographs in the private folder.
      pixels: most pixels of a photograph.
      silence_seconds: longest time in which an upload may send nothing.
      least_rate: bytes a second that an upload must reach on average, after
        `silence_seconds`.
    """

    upload_bytes: int = 200 * MEGABYTE
    photographs: int = 24
    kept_bytes: int = 4000 * MEGABYTE
    pixels: int = 64 * 10**6
    silence_seconds: float = 20.0
    least_rate: float = 16_384.0


class Refused(Exception):
    """A request that the server does not fulfil.

    Attributes:
      status: status of HTTP.
      sentence: what the person reads, without a final period.
    """

    def __init__(self, status: int, sentence: str):
        """Keeps both."""
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


def megabytes(count: int) -> str:
    """Returns a number of bytes for a sentence, as in "12.5 MB"."""
    return f"{count / MEGABYTE:.4g} MB"
