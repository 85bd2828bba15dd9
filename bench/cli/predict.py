"""`bench predict`: classify a folder of pictures with a kept model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import (
    DeviceOption,
    RecordArgument,
    ResultsOption,
    SkipUnreadableOption,
    check_device,
)

if TYPE_CHECKING:
    from bench.engine.predict import Prediction


def predict_folder(
    record: RecordArgument,
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder of pictures.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The CSV file to write.")
    ] = Path("predictions.csv"),
    skip_unreadable: SkipUnreadableOption = False,
    device: DeviceOption = "auto",
    results: ResultsOption = None,
) -> None:
    """Classify a folder of pictures with the model that a run kept (--keep weights).

    Every picture below the folder has a row in the CSV file, sorted by path: file, prediction (the
    number of the class), class (its name) and probability.
    """
    from bench import paths
    from bench.cli import screen
    from bench.cli.output import console
    from bench.engine.lab import find_device
    from bench.engine.model import load_model
    from bench.engine.predict import classify_files, find_files
    from bench.report.page.text import format_count
    from bench.runs import records

    check_device(device)
    path = records.find_record(record, paths.results_root(results))
    find_files(folder)  # before the seconds that a network takes
    model = load_model(path, find_device(device))
    with screen.Screen(console()) as drawing:
        found, left = classify_files(
            model, folder, skip_unreadable=skip_unreadable, tell=drawing.draw
        )
    paths.write_text(out, write_csv(found))
    for sentence in left:
        typer.echo(f"left out: {sentence}", err=True)
    typer.echo(f"{format_count(len(found), 'picture')} classified -> {out}")


def write_csv(found: list["Prediction"]) -> str:
    """The rows of the file, under a line of names."""
    import csv
    from io import StringIO

    from bench.errors import printable

    out = StringIO(newline="")
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(("file", "prediction", "class", "probability"))
    for p in found:
        name = printable(p.file.as_posix())
        rows.writerow((name, p.prediction, p.name, f"{p.probability:.6f}"))
    return out.getvalue()
