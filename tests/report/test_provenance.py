"""What is said of images, machines and program, and when a reader is warned."""

from dataclasses import replace

import pytest
from fakes import CPU, cell, record, toy

from bench.report.page.provenance import describe_provenance, warn_of_other_images
from bench.runs.lines import Weights

TOY = toy()


def warnings(change=None, *, fingerprint="beef", **override):
    """Of a record and of another one, of other images and perhaps another recipe."""
    first = record(cell(TOY, "plain", "A-B", 0))
    other = record(cell(TOY, "plain", "A-B", 1, **override), fingerprint=fingerprint)
    if change:
        run = other.run.model_copy(update={"data": change(other.run.data)})
        other = replace(other, run=run)
    cells = (cell(TOY, "plain", "A-B", seed) for seed in (0, 1))
    return warn_of_other_images(zip(cells, [first, other], strict=True))


def test_other_images_are_warned_of_once_for_each_domain():
    found = warnings()
    assert [w.split(",")[0].rpartition(" ")[2] for w in found] == ["A", "B"]
    assert warnings(fingerprint="f00d") == []


@pytest.mark.parametrize(
    "override", [{"size": 32}, {"resize": "nearest"}, {"train_limit": 9}, {"test_limit": 9}]
)
def test_images_that_were_prepared_otherwise_are_other_images_of_course(override):
    assert warnings(**override) == []


@pytest.mark.parametrize("split", ["train", "test"])
def test_one_split_that_differs_is_enough(split):
    def change(data):
        part = getattr(data["A"], split).model_copy(update={"fingerprint": "beef"})
        return data | {"A": data["A"].model_copy(update={split: part})}

    (found,) = warnings(change, fingerprint="f00d")
    assert f"{split} images beef" in found


def test_a_domain_has_the_name_of_the_suite_that_shows_it():
    """The suite that ran a record may have called other images so."""
    first, other = cell(TOY, "plain", "A-B", 0), cell(TOY, "plain", "B-A", 1)
    made = record(other, fingerprint="beef")
    odd = dict(zip("XB", made.run.data.values(), strict=True))  # X: B here, and B: A here
    pairs = [(other, replace(made, run=made.run.model_copy(update={"data": odd})))]
    assert describe_provenance(pairs)[0].startswith("Images: A, ")
    (about_a, about_b) = warn_of_other_images([(first, record(first)), *pairs])
    assert "the same A" in about_a and "the same B" in about_b


def test_uncommitted_changes_and_records_without_a_probe_are_counted():
    changed = CPU._replace(code=CPU.code.model_copy(update={"dirty": True}))
    cells = [cell(TOY, "plain", "A-B", s) for s in range(3)]
    made = [(c, record(c)) for c in cells[:2]]
    made.append((cells[2], record(cells[2], machine=changed, probe=None)))
    text = " ".join(describe_provenance(made))
    assert "; 1 of 3 records from a checkout with uncommitted changes" in text
    assert "; 1 of 3 records without a probe of what their code does" in text
    clean = " ".join(describe_provenance(made[:2]))
    assert "uncommitted" not in clean and "probe" not in clean


def test_downloaded_weights_are_told_by_their_tensors():
    about = Weights(asked="timm/any", file="timm/any", tensors="ab" * 32)
    made = [record(cell(TOY, "plain", "A-B", s), weights=about) for s in range(2)]
    said = describe_provenance([(cell(TOY, "plain", "A-B", s), r) for s, r in enumerate(made)])
    assert "Weights timm/any: downloaded, their tensors' sha256 abababababab… (2 records)." in said
