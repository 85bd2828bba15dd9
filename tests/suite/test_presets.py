"""Presets: what the shipped ones say, how a suite departs from one; --set; `bench diff`."""

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from children import Children
from helpers import write_pictures, write_suite

from bench import paths
from bench.errors import UsageError
from bench.report.write.render import render_accuracies
from bench.runs import plan, records
from bench.suite import presets, settings, suites
from bench.suite.diff import diff
from bench.suite.recipe import Recipe
from bench.suite.suite import Suite

TABLE = Path(__file__).parents[1] / "golden" / "schedules.table.npz"
CURVES = {
    "toalign": "lr_ms", "gvb": "lr_gvb", "hda": "lr_gvb", "metaalign": "lr_gvb", "cdan": "lr_gvb",
    "bnm": "lr_gvb",
    "mdd": "lr_mdd_thuml", "tllib": "lr_tllib_dann", "dann-jmlr": "lr_dann_jmlr",
    "alda": "lr_gvb", "sdat": "lr_tllib_dann",
    "deepda": "lr_deepda",
}  # fmt: skip
HOLES = {"backbone": "alexnet", "size": 28, "iterations": 8000, "batch": 2, "lr": 1.0}


def complete(name: str) -> Recipe:
    return Recipe.model_validate(HOLES | presets.find_preset(name).recipe)


# the shipped ones


@pytest.mark.parametrize("name", presets.preset_names())
def test_a_preset_says_where_it_was_read_and_is_trained_from_start_to_end(name: str) -> None:
    preset = presets.find_preset(name)
    assert re.search(r"@[0-9a-f]{7} |arXiv:\d{4}\.\d{5}", preset.source), "a commit or a paper"
    assert preset.differences and all(d.endswith(".") for d in preset.differences)
    rates = [complete(name).lr_at(i / 100) for i in range(101)]
    assert rates == sorted(rates, reverse=True) and rates[-1] > 0


@pytest.mark.parametrize("name", CURVES)
def test_its_learning_rate_is_that_of_the_authors_code(name: str) -> None:
    table = np.load(TABLE)
    recipe = complete(name)
    ours = [recipe.lr_at(it / recipe.iterations) for it in table["in.it"].tolist()]
    np.testing.assert_allclose(ours, table[f"out.{CURVES[name]}"], rtol=1e-12)


def test_the_homework_divides_its_rate_after_20_of_30_epochs() -> None:
    recipe = complete("pacs-homework")
    assert recipe.iterations % 30 == 0
    first = next(
        it for it in range(recipe.iterations) if recipe.lr_at(it / recipe.iterations) < 1e-3
    )
    assert first == recipe.iterations * 20 // 30 and recipe.lr_at(1) == pytest.approx(1e-4)


def test_symnets_has_a_rate_for_each_epoch_which_ours_has_at_its_start() -> None:
    recipe = complete("symnets")
    for epoch in (0, 1, 100, 199):
        theirs = 0.01 / (1 + 10 * epoch / 200) ** 0.75
        assert recipe.lr_at(epoch * recipe.eval_every / recipe.iterations) == pytest.approx(theirs)


@pytest.mark.parametrize("name", ["hda", "gvb", "cdan", "metaalign", "bsp", "alda", "mdd"])
def test_it_names_the_hyperparameters_of_a_reversal_that_counts_before_it_is_used(
    name: str,
) -> None:
    T = complete(name).iterations
    text = (paths.tables()[-1] / f"presets/{name}.toml").read_text("utf-8")
    (hyper,) = re.findall(r"hyper = (\{.* lead = .*\})", text)
    stated = tomllib.loads(f"hyper = {hyper}")["hyper"]
    assert stated | {"gamma": T / 1000, "lead": 1 / T} == stated


def test_it_resizes_as_its_code_did_with_the_pillow_of_its_time() -> None:
    filters = {"bsp": "nearest", "cdan": "nearest", "mdd": "nearest", "tllib": "bicubic"}
    filters |= {"alda": "nearest", "sdat": "bicubic"}
    for name in presets.preset_names():
        assert complete(name).resize == filters.get(name, "bilinear")
        said = [d for d in presets.find_preset(name).differences if "Pillow's default" in d]
        assert len(said) == (name in filters)


# a suite that follows one


FOLLOWS = """
title = "Follows"
classes = 3
tasks = ["A-B"]
preset = "toalign"
differences = ["Ours."]

[domains.A]
set = "folder"
path = "A"

[domains.B]
set = "folder"
path = "B"

[recipe]
lr_mult.F = 0.1
iterations = 100

[[rows]]
id = "dann"
label = "DANN"
method = "dann"
"""


def load(folder: Path, text: str = FOLLOWS) -> Suite:
    (folder / "follows.toml").write_text(text, encoding="utf-8")
    return suites.load(folder / "follows.toml")


def test_a_suite_overrides_single_knobs_of_its_preset(tmp_path: Path) -> None:
    suite, preset = load(tmp_path), presets.find_preset("toalign")
    changed = {"lr_mult": {"F": 0.1, "C": 10, "D": 10}, "iterations": 100}
    assert suite.recipe == Recipe.model_validate(preset.recipe | changed)
    assert suite.differences == (*preset.differences, "Ours.")


def test_what_a_preset_says_and_what_the_suite_says_itself_are_the_same_experiment(
    tmp_path: Path,
) -> None:
    (one,) = plan.cells(suite := load(tmp_path), seeds=[0])
    spelt = "\n".join(
        f"{k} = {toml(v)}"
        for k, v in suite.recipe.model_dump(mode="json", exclude_none=True).items()
    )
    text = re.sub(
        r"lr_mult.*\niter.*", lambda _: spelt, FOLLOWS.replace('preset = "toalign"\n', "")
    )
    (other,) = plan.cells(load(tmp_path, text), seeds=[0])
    assert one.key == other.key


def toml(v: Any) -> str:
    if isinstance(v, dict):
        return "{ " + ", ".join(f"{k} = {toml(x)}" for k, x in v.items()) + " }"
    return str(v).lower() if isinstance(v, bool) else repr(v)


# a row that follows one

ROWS = """
[[rows]]
id = "theirs"
label = "Theirs"
method = "cdan"
preset = "cdan"
recipe = { lr_mult = { F = 0.5 } }

[[rows]]
id = "open"
label = "Open"
method = "dann"
preset = "dann-jmlr"
"""


def test_a_row_follows_its_preset_in_place_of_the_recipe_of_the_suite(tmp_path: Path) -> None:
    """Of the suite's recipe it takes what the preset leaves open; tasks and budgets come on top."""
    changes = (
        'task_recipe.A-B = { batch = 4 }\nbudgets.short = { note = "", recipe = { size = 230 } }\n'
    )
    suite = load(tmp_path, changes + FOLLOWS + ROWS)
    stated = presets.find_preset("cdan").recipe
    expected = {**stated, "lr_mult": {"F": 0.5, "C": 10, "D": 10}, "batch": 4}
    assert suite.recipe_for(suite.by_id["theirs"], "A-B") == Recipe.model_validate(expected)
    short = suite.recipe_for(suite.by_id["theirs"], "A-B", "short", {"lr": 0.5})
    assert (short.size, short.lr, short.iterations) == (230, 0.5, 100004)
    left_open, own = suite.by_id["open"], suite.recipe
    jmlr = presets.find_preset("dann-jmlr").recipe
    found, holes = suite.recipe_for(left_open, "A-B"), HOLES.keys() - jmlr.keys() - {"batch"}
    assert "backbone" in holes and all(getattr(found, k) == getattr(own, k) for k in holes)
    assert (own.crop, found.crop, found.batch) == (224, None, 4)
    assert suite.recipe_for(suite.by_id["dann"], "A-B").lr_mult == own.lr_mult


def test_the_differences_of_the_presets_of_rows_are_said_once(tmp_path: Path) -> None:
    text = FOLLOWS.replace('method = "dann"', 'method = "dann"\npreset = "cdan"')
    suite = load(tmp_path, text + ROWS)
    names = ("toalign", "cdan", "dann-jmlr")
    said = [d for name in names for d in presets.find_preset(name).differences]
    assert suite.differences == (*said, "Ours.")


def test_a_row_with_a_preset_is_the_experiment_of_a_suite_with_it(tmp_path: Path) -> None:
    suite = load(tmp_path, FOLLOWS + ROWS)
    (one,) = plan.cells(suite, methods=["theirs"], seeds=[0])
    text = FOLLOWS.replace('"toalign"', '"cdan"').replace(
        "lr_mult.F = 0.1\niterations = 100", "lr_mult.F = 0.5"
    )
    (other,) = plan.cells(load(tmp_path, text.replace('"dann"', '"cdan"')), seeds=[0])
    assert one.key == other.key


def test_a_row_says_which_protocol_it_follows(tmp_path: Path) -> None:
    suite = load(tmp_path, FOLLOWS + ROWS)
    text = render_accuracies(suite, [], references={})
    assert (
        "By the protocol `cdan`: “Theirs”." in text
        and "By the protocol `dann-jmlr`: “Open”." in text
    )
    theirs = {k: y for k, _, y in diff("cdan", f"{tmp_path}/follows.toml:theirs")}
    assert theirs["lr_mult.F"] == 0.5 and "bottleneck.init" not in theirs


WRONG = {
    "a preset of a row": (
        'method = "dann"',
        'method = "dann"\npreset = "cdna"',
        "unknown preset 'cdna'; did you mean 'cdan'",
    ),
    "the recipe of a preset": (
        'title = "Follows"',
        'title = "Follows"\nprotocols = {}',
        "remove the key 'protocols': a row names its `preset`",
    ),
    "a preset": (
        'preset = "toalign"',
        'preset = "toaling"',
        "unknown preset 'toaling'; did you mean 'toalign'",
    ),
    "a preset that is no name": (
        'preset = "toalign"',
        "preset = 3",
        "at preset: Input should be a valid string",
    ),
    "a knob over a preset": (
        "iterations = 100",
        "iteration = 100",
        "at recipe.iteration: .*did you mean 'iterations'",
    ),
    "a part over a preset": (
        "lr_mult.F",
        "lr_mult.f",
        "at recipe.lr_mult.f: unknown key 'f'; did you mean 'F'",
    ),
    "a hole left open": ('"toalign"', '"dann-jmlr"', "at recipe.backbone: Field required"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_in_a_sentence(what: str, tmp_path: Path) -> None:
    old, new, message = WRONG[what]
    with pytest.raises(UsageError, match=message):
        load(tmp_path, FOLLOWS.replace(old, new))


def test_an_own_preset_is_found_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tables/presets").mkdir(parents=True)
    own = tmp_path / "tables/presets/own.toml"
    own.write_text('title = "Own"\nsource = "me"\n[recipe]\nlr = 0.25\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert presets.find_preset("own").recipe == {"lr": 0.25} and "gvb" in presets.preset_names()
    own.write_text(own.read_text("utf-8").replace("lr =", "rl ="), encoding="utf-8")
    with pytest.raises(
        UsageError, match=r"own\.toml: at recipe\.rl: unknown key 'rl'; did you mean 'lr'"
    ):
        presets.find_preset("own")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], {}),
        (["lr=0.1", "nesterov=true"], {"lr": 0.1, "nesterov": True}),
        (["lr_mult.F=0.1", "lr_mult.D=2"], {"lr_mult": {"F": 0.1, "D": 2}}),
        (["schedule=inv", 'resize="nearest"'], {"schedule": "inv", "resize": "nearest"}),
        (["classifier.hidden=[5, 6]"], {"classifier": {"hidden": [5, 6]}}),
        (["classifier = { hidden = [5] }"], {"classifier": {"hidden": [5]}}),
        (["lr=1\nsize=3"], {"lr": "1\nsize=3"}),
    ],
)
def test_settings_are_read_as_toml(texts: list[str], message: dict[str, Any]) -> None:
    assert settings.parse_settings(texts) == message


@pytest.mark.parametrize(
    "texts", [["lr"], ["=3"], ["lr="], ["lr=1", "lr=2"], ["lr_mult.F=1", "lr_mult.F=2"]]
)
def test_settings_that_say_nothing_or_two_things_are_refused(texts: list[str]) -> None:
    with pytest.raises(UsageError, match=r"write key=value|is set twice"):
        settings.parse_settings(texts)


def test_a_setting_is_part_of_the_cells_identity_unless_it_changes_nothing(tmp_path: Path) -> None:
    suite = load(tmp_path)
    key = lambda *texts: plan.cells(suite, override=settings.parse_settings(texts))[0].key  # noqa: E731
    assert key("lr_mult.F=0.1") == key("lr=0.001") == key() != key("lr_mult.F=0.2")
    assert key("lr_mult.F=0.2") == key("lr_mult.F=0.20")


# the commands


@pytest.fixture
def tiny(tmp_path: Path, bench: Children) -> Children:
    write_pictures(tmp_path / "data", "A", "B")
    write_suite(
        tmp_path,
        rows={"one": {"method": "source_only"}, "two": {"method": "dann", "recipe": {"batch": 6}}},
    )
    return bench


@pytest.mark.slow
def test_a_run_with_a_setting_is_recorded_so(tiny: Children, tmp_path: Path) -> None:
    asked = (
        "run",
        "--suite",
        "tiny.toml",
        "--data",
        "data",
        "--methods",
        "one",
        "--set",
        "lr_mult.F=0.5",
        "--set",
        "decay=kernels",
    )
    assert tiny.run(*asked).code == 0
    (record,) = records.read_all(tmp_path / "results" / "tiny")
    assert (
        record.run.recipe["lr_mult"] == {"F": 0.5, "C": 1.0, "D": 1.0}
        and record.run.recipe["decay"] == "kernels"
    )
    assert "1 done, 0 pending" in tiny.run(*asked, "--dry-run").out
    assert "0 done, 0 pending, 1 stale" in tiny.run(*asked[:-4], "--dry-run").out


MISTAKES = {
    "a key": (
        ["--set", "lr_mlt.F=1"],
        "at recipe.lr_mlt: unknown key 'lr_mlt'; did you mean 'lr_mult'?",
    ),
    "a key within": (
        ["--set", "classifier.hiden=[1]"],
        "at recipe.classifier.hiden: unknown key 'hiden'; did you mean 'hidden'?",
    ),
    "a value": (["--set", "lr=fast"], "at recipe.lr: a number is wanted, not the text 'fast'"),
    "a choice": (
        ["--set", "schedule=cosine"],
        "at recipe.schedule: Input should be 'constant', 'inv' or 'step'",
    ),
    "a backbone": (["--set", "backbone=vgg61"], "unknown backbone 'vgg61'; did you mean 'vgg16'?"),
    "no value": (["--set", "lr"], "cannot read --set 'lr'; write key=value"),
    "precision twice": (
        ["--set", "precision=bf16", "--precision", "tf32"],
        "precision is set twice",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_setting_is_refused(mistake: str, tiny: Children, tmp_path: Path) -> None:
    args, message = MISTAKES[mistake]
    ended = tiny.run("run", "--suite", "tiny.toml", "--data", "data", *args)
    assert ended.code == 2 and message in ended.err and len(ended.err.splitlines()) == 1
    assert not (tmp_path / "results").exists()


def test_a_setting_that_takes_away_what_a_method_needs_is_refused(
    tmp_path: Path, bench: Children
) -> None:
    write_pictures(tmp_path / "data", "A", "B")
    write_suite(tmp_path, rows={"shot": {"method": "shot", "recipe": {"first_stage": 0.5}}})
    asked = ("run", "--suite", "tiny.toml", "--data", "data", "--dry-run", "--set")
    assert bench.run(*asked, "first_stage=0.25").code == 0
    ended = bench.run(*asked, "first_stage=0")
    assert ended.code == 2 and ended.err.splitlines() == [
        "bench: row 'shot': shot needs a first stage, such as first_stage = 0.5; add it to the "
        "recipe"
    ]
    write_suite(tmp_path, rows={"fixmatch": {"method": "fixmatch"}})
    ended = bench.run(*asked, "strong_view=randaugment")
    assert ended.code == 2 and "row 'fixmatch': fixmatch needs a second view of" in ended.err


@pytest.mark.slow
def test_precision_is_a_setting(tiny: Children) -> None:
    asked = ("run", "--suite", "tiny.toml", "--data", "data", "--methods", "one")
    tiny.run(*asked, "--precision", "bf16")
    assert "1 done, 0 pending" in tiny.run(*asked, "--set", "precision=bf16", "--dry-run").out


def test_diff_names_the_knobs_that_differ_and_no_others() -> None:
    assert diff("toalign", "gvb") == [
        ("iterations", 8000, 8004),
        *((f"weight_decay.{part}", 5e-4, 1e-3) for part in "FCD"),
        ("schedule_gamma", 10.0, 8.004),
    ]
    assert diff("toalign", "toalign") == []
    assert ("backbone", "unstated", "resnet50") in diff("dann-jmlr", "tllib")
    assert diff("mnistm:dann", "mnistm")[0] == ("method", "dann", "unstated")


def test_diff_shows_the_normalization_that_a_backbone_brings(tiny: Children) -> None:
    recipe = {"backbone": "timm/resnet18"}
    write_suite(
        Path(),
        rows={"one": {"method": "source_only"}, "two": {"method": "source_only", "recipe": recipe}},
    )
    found = {knob: sides for knob, *sides in diff("tiny.toml:one", "tiny.toml:two")}
    assert found["normalize"] == ["unit", "model"]


def test_diff_shows_presets_suites_and_rows_side_by_side(tiny: Children) -> None:
    shown = tiny.run("diff", "tiny.toml:one", "tiny.toml:two")
    assert (
        shown.code == 0
        and re.search(r"batch\W+4\W+6\W", shown.out)
        and "iterations" not in shown.out
    )
    assert "gvb and gvb do not differ in any knob" in tiny.run("diff", "gvb", "gvb").out
    assert "toalign" in tiny.run("ls", "presets").out


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        (("toalgn", "gvb"), "unknown preset or suite 'toalgn'; did you mean 'toalign'?"),
        (("gvb", "mnistm:dan"), "unknown row of mnistm 'dan'; did you mean 'dann'?"),
        (("gvb", "nowhere.toml"), "no suite file nowhere.toml"),
    ],
)
def test_diff_of_something_unknown_is_refused(
    sides: tuple[str, str], message: str, tiny: Children
) -> None:
    ended = tiny.run("diff", *sides)
    assert ended.code == 2 and message in ended.err
