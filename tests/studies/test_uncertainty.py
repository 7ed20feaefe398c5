"""Studies of uncertainty: results, resuming, outputs of other networks, the page, bad options."""

from __future__ import annotations

import json

import numpy as np
import pytest

from energax import report, studies
from energax._errors import ArgumentError, DataError, RunError
from energax.cli import main
from energax.studies import plan_uncertainty, uncertainty

RNG = np.random.default_rng(6)
LABELS = np.arange(150) % 3


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A graph of three classes with words of their own, and outputs of some network."""
    folder = tmp_path_factory.mktemp("graphs")
    same = RNG.permutation(150)[:, None] * 3 % 150 + RNG.integers(0, 50, (150, 3)) * 3
    edges = np.stack([np.repeat(np.arange(150), 3), ((same + LABELS[:, None]) % 150).ravel()])
    features = RNG.random((150, 12)) < np.where(np.arange(12)[None] % 3 == LABELS[:, None], 0.6, 0.15)
    np.savez(folder / "small.npz", features=features.astype(float), edge_index=edges, labels=LABELS)
    h = RNG.normal(size=(150, 4)) + np.eye(4)[LABELS] * 3
    masks = {"train": np.arange(150) < 60, "valid": np.arange(150) >= 100}
    outputs = {"logits": h[:, :3], "embeddings": h, "alone_logits": h[:, :3], "alone_embeddings": h}
    np.savez(folder / "outputs.npz", **outputs, **masks)
    ood = (np.arange(150) % 5 == 4) & ~masks["train"]
    np.savez(
        folder / "judged.npz", **{k: np.where(ood, 9.0, 1.0)[:, None] * v for k, v in outputs.items()}, **masks, ood=ood
    )
    return folder


METHODS = "gebm,gebm-fisher,energy,ensemble,mc-dropout"


@pytest.fixture(scope="module")
def study(files, tmp_path_factory):
    """A study that was interrupted after its first shift, and its continuation."""
    plan = plan_uncertainty(
        str(files / "small.npz"), method=METHODS, shift="leave-out-class,bernoulli-1,far-normal", splits=1, inits=2
    )
    directory = tmp_path_factory.mktemp("study")
    plan.save(directory)

    def stop(stage, done, total):
        if done == 2 and total:
            raise KeyboardInterrupt

    first = uncertainty(plan, directory=directory, progress=stop)
    trained = sorted(path.name for path in (directory / "pieces").iterdir())
    seen = []
    second = uncertainty(plan, directory=directory, progress=lambda stage, done, total: seen.append(stage))
    return plan, directory, first, second, trained, seen


def test_an_interrupted_study_goes_on_behind_what_it_has(study):
    plan, directory, first, second, trained, seen = study
    assert first.interrupted
    assert list(first.first) == ["leave-out-class"]
    # One network for each initialisation of either graph; the shifts of features share theirs.
    assert sum(name.startswith("network") for name in trained) == 4
    assert not any("epoch" in stage for stage in seen)
    assert not second.interrupted
    assert second.results["gebm"]["leave-out-class"] == first.results["gebm"]["leave-out-class"]
    assert studies.UncertaintyPlan.load(directory) == plan
    with pytest.raises(RunError, match="holds another study"):
        plan_uncertainty("cora-ml").save(directory)


def test_the_command_of_a_plan_asks_for_the_same_plan():
    for options in ({"inits": 1}, {"shift": "near"}, {"method": "gebm,gkde"}, {"outputs": "file.npz"}):
        words = plan_uncertainty("small.npz", **options).command.split()
        given = dict(zip((word[2:] for word in words[3::2]), words[4::2], strict=True))
        numbers = {name: int(value) for name, value in given.items() if name in ("splits", "inits", "seed")}
        assert plan_uncertainty("small.npz", **{**given, **numbers}) == plan_uncertainty("small.npz", **options)
    assert "--method all" in plan_uncertainty("small.npz").command


def test_results_have_their_form_and_counts(study):
    told = json.loads(json.dumps(study[3].to_json(), allow_nan=False))
    assert list(told["results"]) == METHODS.split(",")
    for method, by_shift in told["results"].items():
        assert list(by_shift) == ["leave-out-class", "bernoulli-1", "far-normal"]
        for cell in by_shift.values():
            assert set(cell) == {"auc_roc", "auc_pr", "stderr", "accuracy", "ece", "brier"}
            assert cell["auc_roc"]["n"] == (1 if method == "ensemble" else 2)
            assert 0.0 <= cell["auc_roc"]["mean"] <= 1.0
    # The words of the classes are easy to learn.
    assert told["accuracy"]["leave-out-class"]["clean"]["mean"] > 0.8
    assert told["accuracy"]["leave-out-class"]["out_of_distribution"]["mean"] is None


def test_the_page_has_all_parts_and_fetches_nothing(study, tmp_path):
    page = report.write_uncertainty(study[3], tmp_path / "page.html").read_text()
    for words in ("AUC-ROC", "AUC-PR", "ROC curves", "The graph and its uncertainty", "Calibration", "uncertainty"):
        assert words in page
    assert "src=" not in page
    assert report.write_uncertainty(study[3], tmp_path / "again.html").read_text() == page
    interrupted = report.write_uncertainty(study[2], tmp_path / "part.html").read_text()
    assert "only 1 of 3 shifts" in interrupted


def test_outputs_of_another_network_by_command(files, tmp_path, capsys):
    graph, out = str(files / "small.npz"), tmp_path / "out"
    arguments = ["uncertainty", graph, "--outputs", str(files / "judged.npz"), "--method", "gebm,energy"]
    assert main([*arguments, "--json", "--out", str(out)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["results"]["gebm"]["given"]["auc_roc"]["mean"] > 0.9
    assert told["results"]["gebm"]["given"]["auc_roc"]["mean"] > told["results"]["energy"]["given"]["auc_roc"]["mean"]
    assert json.loads((out / "results.json").read_text())["results"] == told["results"]
    with np.load(out / "nodes.npz") as nodes:
        assert nodes["gebm"].shape == (150,)
    assert main(["uncertainty", graph, "--outputs", str(files / "outputs.npz"), "--out", str(tmp_path / "all")]) == 0
    assert "does not say which nodes are out" in (tmp_path / "all" / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cora-mk"], "no named graph and no file"),
        (["small.npz", "--shift", "nera"], "There is no shift 'nera'. Did you mean 'near'"),
        (["small.npz", "--method", "gbem"], "There is no method 'gbem'. Did you mean 'gebm'"),
        (["small.npz", "--model", "gnc"], "There is no model 'gnc'. Did you mean 'gcn'"),
        (["small.npz", "--splits", "0"], "--splits must lie between 1 and"),
        (["small.npz", "--seed", "-1"], "--seed must be a whole number"),
        (["small.npz", "--inits", "1", "--method", "ensemble"], "needs several networks"),
        (["small.npz", "--outputs", "nothing.npz"], "There is no file nothing.npz"),
        (["small.npz", "--outputs", "small.npz"], "lacks logits, embeddings, alone_logits, alone_embeddings, train"),
        (["small.npz", "--outputs", "outputs.npz", "--method", "ensemble"], "needs ensemble_logits, which"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing_behind(files, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(files)
    assert main(["uncertainty", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") <= 2
    assert not any(files.glob("runs/*"))


ROWS = np.arange(150)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"labels": LABELS - 1}, "Labels are out of range: node 0 has the label -1"),
        ({"labels": LABELS * 2}, "Labels are out of range: they go up to 4, but no node has the label 1"),
        ({"labels": LABELS * 0}, "of one class: there is nothing to predict"),
        ({"labels": LABELS // 2}, "A graph of 2 classes has none to leave out"),
        ({"labels": np.where(ROWS == 0, 3, LABELS)}, "0 of the 30 test nodes are out of distribution"),
        ({"features": np.full((150, 2), np.nan)}, "300 numbers that are NaN or infinite in single precision"),
        ({"features": np.ones((149, 2))}, "`features` has 149 rows, but `labels` has 150 nodes"),
        ({"edge_index": [[0], [150]]}, "Edge 0 joins 0 – 150, but nodes are numbered from 0 to 149"),
        ({"edge_index": [[0, 1]]}, "`edges` must have the shape (2, edges); got (1, 2)"),
    ],
)
def test_bad_graphs_are_one_line(files, tmp_path, monkeypatch, capsys, changed, words):
    monkeypatch.chdir(tmp_path)
    with np.load(files / "small.npz") as file:
        np.savez(tmp_path / "bad.npz", **{**file, **changed})
    assert main(["uncertainty", "bad.npz", "--method", "gebm"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") <= 2


def test_small_graphs_in_parts_are_scored_and_told(tmp_path, capsys):
    """Twenty nodes of a class, one of them isolated, in two parts; features far from norm 1."""
    labels = np.arange(60) % 3
    start = np.asarray([i for i in range(57) if i // 30 == (i + 3) // 30])
    features = 1e25 * (RNG.random((60, 12)) < np.where(np.arange(12)[None] % 3 == labels[:, None], 0.6, 0.15))
    np.savez(tmp_path / "parts.npz", features=features, edge_index=np.stack([start, start + 3])[:, 1:], labels=labels)
    options = ["--splits", "1", "--inits", "1", "--method", "gebm,gkde", "--shift", "homophily", "--json"]
    assert main(["uncertainty", str(tmp_path / "parts.npz"), *options, "--out", str(tmp_path / "out")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "isolated" in told["notes"][0]
    assert "disconnected" in told["notes"][1]
    assert 0.0 <= told["results"]["gebm"]["homophily"]["auc_roc"]["mean"] <= 1.0


def test_outputs_that_do_not_fit_the_graph(files, tmp_path):
    with np.load(files / "outputs.npz") as file:
        arrays = dict(file)
    bad = {
        r"train in .*bad.npz has the shape \(5,\)": {"train": arrays["train"][:5]},
        "valid in .*bad.npz must hold truth values": {"valid": ROWS},
        "valid in .*bad.npz holds no node": {"valid": ROWS < 0},
        "60 nodes in .* are both in train and in ood": {"ood": ROWS < 120},
        "must come first: they go up to 2, and there are 2": {
            "ood": LABELS == 0,
            "train": LABELS == 1,
            "valid": LABELS == 2,
        },
        "Class 1 has no training node": {"train": LABELS != 1},
        "`logits` holds 450 numbers that are NaN": {"logits": np.full((150, 3), np.nan)},
        "outputs of 149 nodes, but the graph has 150": {k: v[1:] for k, v in arrays.items() if v.ndim == 2},
    }
    for words, changed in bad.items():
        np.savez(tmp_path / "bad.npz", **{**arrays, **changed})
        with pytest.raises(DataError, match=words):
            uncertainty(plan_uncertainty(str(files / "small.npz"), outputs=str(tmp_path / "bad.npz")))
    with pytest.raises(ArgumentError, match="--method is empty"):
        plan_uncertainty("cora-ml", method=",")


@pytest.mark.slow
@pytest.mark.needs_data
def test_the_gates_of_the_published_method_on_cora():
    """Two splits of two networks; the gates are far outside of the spread between runs."""
    plan = plan_uncertainty(
        "cora-ml", method="gebm,energy", shift="leave-out-class,page-rank,bernoulli-0.5,far-normal", splits=2, inits=2
    )
    roc = {m: {s: c["auc_roc"]["mean"] for s, c in by.items()} for m, by in uncertainty(plan).results.items()}
    assert roc["gebm"]["far-normal"] > 0.75 > 0.35 > roc["energy"]["far-normal"]
    assert roc["gebm"]["bernoulli-0.5"] > 0.85 > 0.75 > roc["energy"]["bernoulli-0.5"]
    assert roc["gebm"]["leave-out-class"] > 0.87
    assert roc["gebm"]["page-rank"] < roc["energy"]["page-rank"] - 0.1


@pytest.mark.slow
def test_a_graph_with_a_million_edges_fits():
    """Fit and energies in a process of its own that may have 4 GB."""
    import subprocess
    import sys

    code = """
import resource, numpy as np
from energax.systems import GEBM, Graph, NodeOutputs
rng = np.random.default_rng(0)
n = 200_000
h = rng.normal(size=(n, 64)).astype(np.float32)
o = h[:, :10]
graph = Graph(rng.integers(0, n, (2, 1_000_000)), np.arange(n) % 10)
outputs = NodeOutputs(o, h, o, h)
found = GEBM.fit(outputs, graph, np.arange(n) < 200).energies(outputs, graph).total
assert np.isfinite(found).all()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
assert peak < 4.0, peak
print("peak", peak)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
