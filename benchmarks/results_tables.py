"""Kept results as the tables of docs/results.md: JSON in, header, rows and sentences out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from advgen.experiments.paper import TABLE_3_PAIRS

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """A result as it stands on the page.

    Attributes:
        header: Names of the columns.
        rows: Cells as text.
        lines: Sentences below the table.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    lines: Sequence[str] = field(default_factory=tuple)


def percent(share: float | None) -> str:
    """A share in percent with one decimal; `-` where there is none."""
    return "-" if share is None else f"{100 * share:.1f}"


def interval(bounds: Sequence[float] | None) -> str:
    """`[7.4, 10.3]` in percent; empty without bounds."""
    return "" if bounds is None else f" [{percent(bounds[0])}, {percent(bounds[1])}]"


def layers_of(row: Result) -> str:
    """`layer 3` or `layers 2-4`."""
    layers = row["layers"]
    return f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]}-{layers[-1]}"


def paper_lines(result: Result) -> list[str]:
    """The paper's own figures, a sentence each."""
    lines = []
    for figure in result["paper"]:
        value = "" if figure["value"] is None else f": {figure['value']:.1f} %"
        lines.append(f"Paper, {figure['source']}: {figure['text']}{value}.")
    return lines


def sentences(texts: Sequence[str]) -> list[str]:
    """Findings as sentences."""
    return [f"{text[0].upper()}{text[1:]}." for text in texts]


def fig3(result: Result) -> Shown:
    """Mean ablation, large and small norms, first component."""
    accuracy = result["accuracy"]
    rows = [
        [
            layers_of(row),
            percent(row["ablated"]),
            percent(row["without_large"]),
            percent(row["without_small"]),
            percent(row["first_component"]),
            percent(row["explained_variance"]),
            percent(row["share_large"]),
        ]
        for row in accuracy["rows"]
    ]
    header = ["", "all ablated", "large ablated", "small ablated", "PC1 kept", "PC1 variance"]
    verdicts = [
        f"{verdict['claim'].capitalize()} ({'holds' if verdict['holds'] else 'does not hold'}): "
        f"{verdict['text']}."
        for verdict in result["verdicts"]
    ]
    first = f"Accuracy in %, not ablated {percent(accuracy['not_ablated'])}."
    return Shown([*header, "large effects"], rows, [first, *verdicts, *paper_lines(result)])


def table1(result: Result) -> Shown:
    """Indirect against second-order effects."""
    rows = [
        [
            f"layer {row['layer']}",
            percent(row["second_order"]),
            percent(row["indirect"]),
            percent(row["explained"]["mean"]),
            percent(row["explained_indirect"]["mean"]),
        ]
        for row in result["comparison"]["layers"]
    ]
    header = ["", "second-order ablated", "neurons ablated", "PC1, second-order", "PC1, indirect"]
    unablated = percent(result["comparison"]["unablated"])
    lines = [f"Accuracy and mean variance in %, not ablated {unablated}."]
    return Shown(header, rows, [*lines, *sentences(result["findings"]), *paper_lines(result)])


def fig4(result: Result) -> Shown:
    """Accuracy rebuilt from m texts."""
    accuracy = result["accuracy"]
    rows = [
        [layers_of(row), name, percent(row["ablated"]), *map(percent, values)]
        for row in accuracy["rows"]
        for name, values in row["pools"].items()
    ]
    header = ["", "pool", "none", *(f"m = {length}" for length in accuracy["lengths"])]
    lines = [
        f"Accuracy in %, not ablated {percent(accuracy['not_ablated'])}.",
        *sentences([result["verdict"]["text"]]),
    ]
    return Shown(header, rows, [*lines, *paper_lines(result)])


def fig10(result: Result) -> Shown:
    """Cumulative ablation of the attention's direct effects."""
    found = result["attention"]
    rows = [
        [str(layer), percent(first), percent(last), percent(single)]
        for layer, (first, last, single) in enumerate(
            zip(found["first"], found["last"], found["single"], strict=True)
        )
    ]
    header = ["layer", "it and all before", "it and all after", "it alone"]
    return Shown(header, rows, [*sentences(result["findings"]), *paper_lines(result)])


def selectivity(result: Result) -> Shown:
    """Accuracy with only the largest effects kept."""
    accuracy = result["accuracy"]
    rows = [
        [layers_of(row), percent(row["ablated"]), *map(percent, row["kept"])]
        for row in accuracy["rows"]
    ]
    header = ["", "none", *(f"{100 * share:g} %" for share in accuracy["shares"])]
    first = (
        f"Accuracy in % when every neuron keeps its largest effects on that share of images; not "
        f"ablated {percent(accuracy['not_ablated'])}."
    )
    return Shown(header, rows, [first, *paper_lines(result)])


def table2(result: Result) -> Shown:
    """Neurons as signed words."""
    rows = [
        [
            f"{row['layer']}:{row['index']}",
            percent(row["explained_variance"]),
            f"{row['concepts']:.1f}",
            ", ".join(f"{value:+.2f} {word}" for word, value in row["words"]),
        ]
        for row in result["neurons"]
    ]
    lines = [
        f"Layer {row['layer']}, median over {row['neurons']} neurons drawn by chance: PC1 "
        f"{percent(row['explained_variance'])} % of the variance, {row['concepts']:.1f} concepts."
        for row in result["layers"]
    ]
    return Shown(["neuron", "PC1 variance", "concepts", "code"], rows, lines)


def success(table: Result, paper: Result | None = None) -> Shown:
    """Attack success by method and pair, with intervals of the pooled counts."""
    methods = list(table)
    pairs = [*TABLE_3_PAIRS, *(name for name in table[methods[0]] if name not in TABLE_3_PAIRS)]
    rows = []
    for method in methods:
        cells = []
        for pair in pairs:
            found = table[method][pair]["verified"]
            cells.append(percent(found["mean"]) + interval(found["interval"]))
        rows.append([method, *cells])
        if paper and method in paper:
            own = [f"{paper[method][pair]:.1f}" if pair in paper[method] else "" for pair in pairs]
            rows.append([f"{method}, paper", *own])
    counts = table[methods[0]]["pooled"]["verified"]
    lines = [
        f"Success in % among verified images, 95 % Wilson intervals; {counts['images']} images per "
        "method in the pooled column."
    ]
    return Shown(["", *pairs], rows, lines)


def described(found: Result) -> list[str]:
    """Pooled rates when whole descriptions are drawn again, and the leads, as sentences."""
    rates = "; ".join(
        f"{method} {percent(row['rate'])}{interval(row['interval'])}"
        for method, row in found.items()
    )
    count = max(row["descriptions"] for row in found.values())
    leads = []
    for method, row in found.items():
        if row["lead"] is not None:
            value, low, high = (100 * end for end in row["lead"])
            leads.append(f"{method} {value:+.1f} [{low:+.1f}, {high:+.1f}]")
    return [
        "Images of one description are alike, so Wilson's intervals are too narrow. With whole "
        f"descriptions drawn again ({count} per method), pooled: {rates}.",
        f"Lead of second-order in points, likewise: {'; '.join(leads)}.",
    ]


def table3(result: Result) -> Shown:
    """Table 3 beside the paper's."""
    order = ("second-order", "random", "indirect", "similar-words")
    shown = success({method: result["table"][method] for method in order}, result["paper"])
    found = [line for line in result["findings"] if "verified images" in line]
    lines = [*shown.lines, *sentences(found), *described(result["by_description"])]
    return Shown(shown.header, shown.rows, lines)


def closed_loop(result: Result) -> Shown:
    """The closed loop on the scored pairs."""
    order = ("second-order", "random", "indirect", "similar-words", "random-words")
    table = result["table"]["5x5-w10"]
    shown = success({method: table[method] for method in order})
    lines = [*shown.lines, *described(result["by_description"]["5x5-w10"])]
    return Shown(shown.header, shown.rows, lines)


def share(found: Result) -> str:
    """A counted share with its interval: `8.7 [7.4, 10.3]`; `-` where nothing was counted."""
    return percent(found["share"]) + interval(found["interval"])


def transfer(result: Result) -> Shown:
    """Attacked against evaluated models."""
    evaluation = result["evaluation"]
    models = [model["name"] for model in evaluation["models"]]
    cells = {(cell["attacked"], cell["evaluated"]): cell for cell in evaluation["transfer"]}
    attacked = list(dict.fromkeys(pair[0] for pair in cells))
    rows = [
        [
            f"made against {name}, {label}",
            *(share(cells[name, model][key]) for model in models),
        ]
        for name in attacked
        for label, key in (("all", "success"), ("those that fooled it", "given_fooled"))
    ]
    clean = [share(model["clean"]) if model["clean"] else "-" for model in evaluation["models"]]
    rows.append(["clean accuracy on the true class", *clean])
    counts = result["dataset"]
    lines = [
        f"Share in % of images that fool the model in the column, 95 % Wilson intervals; "
        f"{counts['rows']} images in the data set, dropped when it was built: "
        + (", ".join(f"{count} {why}" for why, count in counts["dropped"].items()) or "none")
        + "."
    ]
    lines += [
        f"{test['evaluated']} on images made against {test['attacked']}: fooled alone "
        f"{test['only_evaluated']}, the attacked model alone {test['only_attacked']}; p after Holm "
        f"{test['p_descriptions_holm']:.2g} by whole descriptions, {test['p_holm']:.2g} by images."
        for test in evaluation["comparisons"]
    ]
    lines.append(
        "By images: McNemar's exact test, as if all images were independent. By whole "
        "descriptions: an exact sign-flip test that lets images of one sentence be alike."
    )
    return Shown(["", *models], rows, lines)


def fig6(result: Result) -> Shown:
    """Where the heat lies in images that fooled the model."""
    rows = [
        [name, str(found["images"]), percent(found["colder"] / found["images"])]
        for name, found in result["colder_on_the_true_thing"].items()
        if found["images"]
    ]
    lines = [
        f"{result['fooled']} of {result['images']} images fooled {result['model']['name']}; heat "
        "speaks for the target class, so it should be colder where the true thing is."
    ]
    return Shown(["map", "images", "colder on the true thing than beside it, %"], rows, lines)


def concepts(result: Result) -> Shown:
    """Precision of the words found in an image."""
    levels = list(result["levels"])
    depths = ("1", "5", "10")
    rows = []
    for name, found in result["methods"].items():
        cells = [
            "/".join(percent(found["precision"][level][depth]["mean"]) for depth in depths)
            for level in levels
        ]
        recall = found["thing_recall_at_10"]
        rows.append([name, *cells, percent(recall and recall["mean"])])
    lines = [
        f"Precision at 1/5/10 words in %, over {result['images']['count']} scenes and a pool of "
        f"{result['pool']['words']} words; the last column is the share of drawn things that the "
        "ten words name.",
        *(f"{level}: {text}." for level, text in result["levels"].items()),
        *sentences(result["findings"]),
    ]
    return Shown(["method", *levels, "things named"], rows, lines)


def table4(result: Result) -> Shown:
    """Segmentation methods beside the paper's figures, and the options of the second-order one."""
    metrics = ("pixel_accuracy", "mean_iou", "mean_precision")
    protocol = result["rows"][0]["protocol"]
    rows = []
    for row in (*result["rows"], *result["ablation"]):
        if row["protocol"] != protocol or row["threshold"] != "0.5":
            continue
        lead = row["base_minus_this"].get("mean_precision")
        own = result["paper"]["rows"].get(row["method"])
        rows.append(
            [
                row["method"],
                *(percent(row[metric]) for metric in metrics),
                "-" if own is None else "/".join(f"{value:.1f}" for value in own),
                ""
                if lead is None
                else f"{100 * lead['difference']:+.1f} ± {100 * lead['half_width']:.1f}",
            ]
        )
    asked = "true" if result["config"]["class_choice"] == "truth" else "predicted"
    rows.sort(key=lambda cells: -float(cells[3]))
    lines = [
        f"In %, {result['masks']['scored']} images of {result['masks']['name']}, threshold 0.5, "
        f"{asked} class; sorted by mAP. The last column is second-order as in the paper minus the "
        "row, with its 95 % interval. Rows without a figure of the paper are newer methods and our "
        "options of the second-order one.",
        *sentences(result["findings"]),
    ]
    header = ["method", "PixAcc", "mIoU", "mAP", "paper (ImageNet-Segmentation)", "lead in mAP"]
    return Shown(header, rows, lines)
