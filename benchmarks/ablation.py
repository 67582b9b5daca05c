"""Compares choices of FHDR's training, with the same budget and protocol for each.

Run     python benchmarks/ablation.py --manual-dir FOLDER --workdir runs/ablation
Every row trains `configs/fhdr_release.py` with the loss of the first row and with the
changes that the row names. All rows see the same number of pixels. The output is JSON
lines and a Markdown table. A row that has a report is neither trained nor scored again.
The protocol is that of docs/training.md.
"""

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
METRICS = (
    "pu21_psnr",
    "pu21_ssim",
    "log2_rmse_clipped",
    "log2_rmse_unclipped",
)
# The fields that all rows share; the loss is that of the first row.
BASE = {
    "train.num_steps": 250,
    "train.evaluate_every": 0,
    "train.checkpoint_every": 0,
    "eval.num_images": 4,
    "optimizer.warmup_steps": 40,
    "optimizer.ema_decay": 0.98,
    "loss.domain": "stops",
    "loss.error": "rms",
    "loss.image_mean": "arithmetic",
    "loss.clipped_pixel_weight": 5.0,
    "loss.clipped_term_weight": 1.0,
}
ROWS = {
    "RMS in stops": {},
    "RMS of mu-law codes": {"loss.domain": "mu_law"},
    "L1 of mu-law codes": {"loss.domain": "mu_law", "loss.error": "l1"},
    "RMS in stops, geometric mean over images": {"loss.image_mean": "geometric"},
    "RMS in stops of unclipped and of clipped pixels": {
        "loss.error": "split_rms",
        "loss.image_mean": "geometric",
        "loss.clipped_pixel_weight": 1.0,
        "loss.clipped_term_weight": 0.5,
    },
    "RMS of mu-law codes and a fifth of 1 - SSIM": {
        "loss.domain": "mu_law",
        "loss.structure_weight": 0.2,
    },
    "head mu_law": {"model.head": "mu_law"},
    "head tanh": {"model.head": "tanh"},
    "initial gain 1": {"model.initial_gain": 1.0},
    "dilations 1, 2, 4": {"model.dilations": (1, 2, 4)},
    "dilations 2, 4, 8": {"model.dilations": (2, 4, 8)},
    "4 patches of 128 pixels": {"data.batch_size": 4, "data.patch_size": 128},
    "8 patches, 500 steps": {"data.batch_size": 8, "train.num_steps": 500},
    "learning rate 1e-3": {"optimizer.learning_rate": 1e-3},
}


def flags(changes: dict) -> list[str]:
    """Returns the arguments of the command line that change these fields."""
    return [f"--config.{name}={value}" for name, value in changes.items()]


def train(workdir: pathlib.Path, changes: dict, options: argparse.Namespace) -> None:
    """Trains one row."""
    fields = BASE | {"data.manual_dir": options.manual_dir} | changes
    if options.data_dir:
        fields["data.data_dir"] = options.data_dir
    command = [sys.executable, "train.py", "--config=configs/fhdr_release.py"]
    command += [f"--workdir={workdir}", *flags(fields)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def score(workdir: pathlib.Path, num_images: int) -> None:
    """Writes the scores of one row."""
    command = [sys.executable, "eval.py", f"--workdir={workdir}", "--no-pictures"]
    command += [f"--num-images={num_images}", "--alignment=median", "--size=full"]
    command += [f"--metrics={','.join(METRICS)}", f"--output={workdir}/scores"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def read(report: pathlib.Path) -> dict[str, dict[str, float]]:
    """Returns the mean scores, keyed by method and metric."""
    scores = json.loads(report.read_text())["scores"]
    return {
        m: {n: cell["mean"] for n, cell in row.items()} for m, row in scores.items()
    }


def main() -> None:
    """Trains and scores every row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manual-dir", required=True, help="folder of HDR panoramas")
    parser.add_argument("--data-dir", default="", help="folder of prepared data")
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--num-images", type=int, default=68)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    options = parser.parse_args()
    table = [f"| | {' | '.join(METRICS)} |", f"|---{'|---:' * len(METRICS)}|"]
    for name in options.rows:
        workdir = options.workdir.absolute() / name.replace(" ", "_").replace(",", "")
        report = workdir / "scores/report.json"
        if not report.exists():
            train(workdir, ROWS[name], options)
            score(workdir, options.num_images)
        means = read(report)
        first, *_, last = means
        if name == options.rows[0]:
            table.append(_row(first, means[first]))
        print(json.dumps({"row": name} | means[last]), flush=True)
        table.append(_row(name, means[last]))
    print("\n".join(["", *table]))


def _row(name: str, scores: dict[str, float]) -> str:
    return f"| {name} | {' | '.join(f'{scores[m]:.3f}' for m in METRICS)} |"


if __name__ == "__main__":
    main()
