import copy
import json
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard
from statsmodels.stats.proportion import proportion_confint

from advgen.dataset.card import BEGIN, END, make_card, merge_card, read_front_matter, size_category
from advgen.errors import DataError


@pytest.fixture
def build(release: Path) -> dict:
    return json.loads((release / "build.json").read_text(encoding="utf-8"))


def test_front_matter_is_what_the_hub_reads(build: dict) -> None:
    data = DatasetCard(make_card(build)).data.to_dict()
    assert data["license"] == "apache-2.0"
    assert "license_name" not in data
    assert data["size_categories"] == ["n<1K"]
    assert data["task_categories"] == ["image-classification", "zero-shot-image-classification"]
    assert data["annotations_creators"] == ["machine-generated"]
    assert data["configs"] == [
        {"config_name": "default", "data_files": [{"split": "test", "path": "data/test-*"}]}
    ]
    assert data["dataset_info"]["splits"][0]["num_examples"] == 6


def test_the_table_has_wilson_intervals(build: dict) -> None:
    counts = {"images": 90, "fooled": 50, "verified": 60, "fooled_verified": 21}
    build["counts"]["pairs"] = {
        "dog:deer": {**counts, "released": 55, "released_fooled": 20},
        "a|b:<i>": {**counts, "verified": 0, "fooled_verified": 0, "released": 0}
        | {"released_fooled": 0},
    }
    low, high = proportion_confint(21, 60, method="wilson")
    card = make_card(build)
    interval = f"{100 * low:.1f} to {100 * high:.1f} %"
    assert f"| dog | deer | 90 | 60 | 30 | 21 | 35.0 % | {interval} | 55 |" in card
    assert r"| a\|b | &lt;i&gt; | 90 | 0 | 90 | 0 | none verified |  | 0 |" in card


@pytest.mark.parametrize(
    "part",
    ["## How it was made", "## Verification", "**Intended:**", "**Out of scope:**",
     "## Responsible use", "## Licence", "arXiv:2406.04341", "test software"],
)  # fmt: skip
def test_the_card_has_its_parts(build: dict, part: str) -> None:
    assert part in make_card(build)


def test_a_licence_of_its_own_has_a_name_and_a_link(build: dict) -> None:
    terms = [{"name": "DeepFloyd IF License", "link": "https://x.test/if"}]
    build["licence"] = {"identifier": "other", **terms[0], "terms": terms}
    data = read_front_matter(make_card(build))
    assert data["license"] == "other"
    assert data["license_name"] == "deepfloyd-if-license"
    assert data["license_link"] == "https://x.test/if"
    assert "- DeepFloyd IF License: <https://x.test/if>\n" in make_card(build)


def test_rows_and_sizes() -> None:
    sizes = [size_category(rows) for rows in (0, 999, 1000, 10_000, 999_999, 1_000_000)]
    assert sizes == ["n<1K", "n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M"]


def test_merging_keeps_a_person_s_text_and_keys_and_renews_the_rest(build: dict) -> None:
    old = make_card(build)
    old = old.replace("pretty_name: dog-deer", "pretty_name: Deer or dog?\nextra_gated_prompt: Hi")
    old = old.replace("- advgen\n", "- advgen\n- mine\n")
    old = old.replace(BEGIN, f"A word before.\n\n{BEGIN}") + "\nA word after.\n"
    later = copy.deepcopy(build)
    later["counts"]["rows"] = 2345
    merged = merge_card(old, make_card(later))
    data = read_front_matter(merged)
    assert data["pretty_name"] == "Deer or dog?"
    assert data["extra_gated_prompt"] == "Hi"
    assert data["tags"][-1] == "mine"
    assert len(set(data["tags"])) == len(data["tags"])
    assert data["size_categories"] == ["1K<n<10K"]
    before, _, rest = merged.partition(BEGIN)
    body, _, after = rest.partition(END)
    assert before.endswith("A word before.\n\n")
    assert after.strip() == "A word after."
    assert "2345 images" in body
    assert "\n6 images" not in body
    assert merge_card(merged, make_card(later)) == merged
    back = merge_card(make_card(later), merged)
    assert read_front_matter(back)["extra_gated_prompt"] == "Hi"
    assert back.partition("\n---\n")[2] == merged.partition("\n---\n")[2]


def test_merging_into_a_card_without_a_generated_part(build: dict) -> None:
    new = make_card(build)
    merged = merge_card("# Mine\n\nHello.\n", new)
    assert merged.index("# Mine") < merged.index(BEGIN)
    assert read_front_matter(merged) == read_front_matter(new)
    assert merge_card("", new) == merge_card(new, new)
    licensed = merge_card("---\nlicense: other\nlicense_name: x\n---\nHello.\n", new)
    assert read_front_matter(licensed)["license"] == "apache-2.0"
    assert "license_name" not in read_front_matter(licensed)


@pytest.mark.parametrize(
    ("old", "message"),
    [
        (f"text {BEGIN} text", "two marker lines"),
        (f"{END} {BEGIN}", "two marker lines"),
        ("---\n- a\n- b\n---\ntext", "front matter"),
        ("---\na: [\n---\ntext", "front matter"),
    ],
)
def test_a_broken_card_is_not_guessed_at(build: dict, old: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        merge_card(old, make_card(build))
