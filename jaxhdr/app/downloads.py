"""The formats in which the server gives a result: all that `jaxhdr` writes."""

from typing import Final, NamedTuple

from jaxhdr.options import TRANSFERS


class Download(NamedTuple):
    """One format of a result.

    Attributes:
      label: name of the format.
      suffix: suffix of the file.
      transfer: transfer function, for formats that have a choice.
      media_type: type of the content.
      purpose: what the format is for, as one sentence.
    """

    label: str
    suffix: str
    transfer: str | None
    media_type: str
    purpose: str

    @property
    def ending(self) -> str:
        """What the name of a download ends with."""
        return f" {self.transfer}{self.suffix}" if self.transfer else self.suffix


_DISPLAY_LABELS: Final = {".avif": "AVIF", ".png": "PNG", ".jxl": "JPEG XL"}
_TRANSFER_LABELS: Final = {"pq": "PQ", "hlg": "HLG", "linear": "linear"}


def _for_displays(suffix: str, transfer: str) -> Download:
    label = f"{_DISPLAY_LABELS[suffix]} {_TRANSFER_LABELS[transfer]}"
    purpose = (
        "Linear radiance in a small file."
        if transfer == "linear"
        else "An image for HDR displays."
    )
    return Download(label, suffix, transfer, f"image/{suffix[1:]}", purpose)


PAGE: Final = "page"
"""Key of the web page that shows the result."""

DOWNLOADS: Final[dict[str, Download]] = {
    "exr": Download(
        "OpenEXR", ".exr", None, "image/x-exr", "Linear radiance for other programs."
    ),
    "ultrahdr": Download(
        "Ultra HDR JPEG",
        ".jpg",
        None,
        "image/jpeg",
        "Your photograph, brighter on HDR phones and screens.",
    ),
    **{
        f"{suffix[1:]}-{transfer}": _for_displays(suffix, transfer)
        for suffix, transfers in TRANSFERS.items()
        for transfer in transfers
    },
    "hdr": Download(
        "Radiance .hdr", ".hdr", None, "image/vnd.radiance", "Linear radiance, RGBE."
    ),
    "tif": Download(
        "TIFF", ".tif", None, "image/tiff", "Linear radiance, 32-bit floats."
    ),
    "pfm": Download(
        "PFM", ".pfm", None, "application/octet-stream", "Linear radiance, raw floats."
    ),
    "npy": Download(
        "NumPy", ".npy", None, "application/octet-stream", "Linear radiance in Python."
    ),
    PAGE: Download("web page", ".html", None, "text/html", "This viewer as one file."),
}
"""The formats by their keys, the most usual first."""
