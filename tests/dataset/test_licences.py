from pathlib import Path

import pytest
from doubles.runs import write_run

from advgen.dataset import build_dataset
from advgen.dataset.licences import compose_licence
from advgen.errors import ConfigError

IF = "DeepFloyd IF License"
IF_PAGE = "https://huggingface.co/DeepFloyd/IF-I-XL-v1.0"
TURBO = "Stability AI Community License (https://x.test/turbo)"


@pytest.mark.parametrize(
    ("drawn_under", "identifier", "name", "link"),
    [
        (["Apache-2.0"], "apache-2.0", "Apache-2.0", "https://spdx.org/licenses/Apache-2.0.html"),
        (["apache-2.0 (https://x.test/a)"] * 2, "apache-2.0", "Apache-2.0", "https://x.test/a"),
        (["CreativeML Open RAIL++-M (https://x.test/r)"], "openrail++",
         "CreativeML Open RAIL++-M", "https://x.test/r"),
        ([IF], "other", IF, IF_PAGE),
        ([f"{IF}; upscaled: {TURBO}"], "other", f"{IF} and Stability AI Community License",
         IF_PAGE),
        (["Apache-2.0", TURBO], "other", "Apache-2.0 and Stability AI Community License",
         "https://x.test/turbo"),
    ],
)  # fmt: skip
def test_composed(drawn_under: list[str], identifier: str, name: str, link: str) -> None:
    found = compose_licence(drawn_under)
    assert (found.identifier, found.name, found.link) == (identifier, name, link)


@pytest.mark.parametrize(
    "drawn_under", [[], [""], ["unknown"], ["MIT", "Unknown"], ["House rules"]]
)
def test_unknown_licences_are_refused_and_the_option_is_named(drawn_under: list[str]) -> None:
    with pytest.raises(ConfigError, match="--licence"):
        compose_licence(drawn_under)


def test_what_the_user_says_goes_first() -> None:
    assert compose_licence(["unknown"], licence="mit").identifier == "mit"
    found = compose_licence(["unknown"], licence="House rules", link="https://x.test/h")
    assert (found.identifier, found.name, found.link) == (
        "other",
        "House rules",
        "https://x.test/h",
    )
    with pytest.raises(ConfigError, match="name it with --licence"):
        compose_licence(["MIT"], link="https://x.test/h")


def test_no_dataset_without_a_licence(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", images=1, licence="unknown")
    with pytest.raises(ConfigError, match="--licence"):
        build_dataset([run.root], tmp_path / "d")
    assert not (tmp_path / "d").exists()
