"""The page of neuron cards: what it says, and how it looks in a real browser."""

import base64
import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import numpy as np
import pytest
from doubles.browser import POOR_CONTRAST
from matplotlib.colors import to_hex
from PIL import Image

from advgen.errors import DataError
from advgen.neuron_page import (
    BUDGET,
    BYTES_PER_PIXEL,
    HEIGHT,
    SIDES,
    WIDTH,
    NeuronPage,
    norm_panel,
    picture_side,
    picture_uri,
    render_neurons,
)
from advgen.neurons import NeuronCard, NeuronFacts, SignedWord, TopImage
from advgen.plots import TARGET_COLOR, norm_edges, norm_histogram
from advgen.records import Neuron

WORDS = (SignedWord("<b>dog</b>", 0.5), SignedWord("hot air balloon", 0.25), SignedWord("x", -0.4))
NORMS = np.concatenate([np.geomspace(0.01, 0.3, 90), np.linspace(0.5, 1.25, 10)])


def make_card(index: int = 10, norms: np.ndarray = NORMS, bound: float = 0.5) -> NeuronCard:
    facts = NeuronFacts(Neuron(4, index), 0.621, bound, 0.6, float(norms.max()), WORDS, 1.9)
    images = tuple(TopImage(n, 1.25 - n / 10, 1.2 - n / 10) for n in range(10))
    against = tuple(TopImage(20 + n, 0.3, -0.2) for n in range(3))
    return NeuronCard(facts, images, images, against, norms, bound)


def picture(index: int) -> Image.Image:
    if index == 21:
        raise DataError("<i>21.png</i> is not a readable image")
    return Image.new("RGB", (300, 200), (8 * index, 140, 120))


def rendered(cards: list[NeuronCard], **facts) -> str:
    page = NeuronPage("Neurons of <a model>", {"pool": "words"}, cards, 100, **facts)
    return render_neurons(page, picture=picture, name=lambda index: f"image & {index}")


class Collector(HTMLParser):
    """Collects attributes that name something to fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.images: list[dict] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.targets += [value for name, value in attrs if name in ("src", "href", "srcset")]
        if tag == "img":
            self.images.append(dict(attrs))


def test_the_page_fetches_nothing_and_names_every_picture() -> None:
    html = rendered([make_card(), make_card(11)])
    collector = Collector()
    collector.feed(html)
    assert all(target.startswith(("data:", "#")) for target in collector.targets)
    assert "url(" not in html
    assert len(collector.images) == 2 * (10 + 2)
    assert {image["alt"] for image in collector.images} == {
        f"image & {n}" for n in [*range(10), 20, 22]
    }


def test_what_comes_from_users_is_escaped() -> None:
    html = rendered([make_card()])
    assert "&lt;b&gt;dog&lt;/b&gt;" in html and "<b>dog" not in html
    assert "Neurons of &lt;a model&gt;" in html and "<a model>" not in html
    assert "no picture: &lt;i&gt;21.png" in html


def test_a_card_says_numbers_words_and_projections() -> None:
    html = " ".join(rendered([make_card()]).split())
    assert 'id="n4-10"' in html and 'href="#n4-10"' in html
    for text in ("62.1 %", "+0.50", "−0.40", "+1.20", "−0.20", "10 of 100 images are large"):
        assert text in html
    positive, negative = html.split("Speaks against", 1)
    assert "hot air balloon" in positive and "hot air balloon" not in negative
    shares = re.findall(r'class="meter(?: minus)?" style="--share:([\d.]+)%', html)
    assert shares == ["62.1", "100.0", "50.0", "80.0"]


def test_the_sandbox_is_named_only_where_it_is_one() -> None:
    assert "drawn world" in rendered([make_card()], sandbox=True)
    assert "drawn world" not in rendered([make_card()])


def test_a_page_without_neurons_and_a_neuron_without_images_say_so() -> None:
    assert "No neuron was chosen." in rendered([])
    bare = NeuronCard(make_card().facts, (), (), (), NORMS, 0.5)
    assert rendered([bare]).count("No image does.") == 2


@pytest.mark.parametrize("bound", [0.5, 0.011, 1.25])
def test_the_panel_shows_every_image_once(bound: float) -> None:
    panel = norm_panel(make_card(bound=bound))
    assert panel.large == np.count_nonzero(bound <= NORMS)
    tallest = max(bar.height for bar in panel.bars)
    counts, _ = np.histogram(NORMS, norm_edges(NORMS, bound))
    assert len(panel.bars) == np.count_nonzero(counts)
    assert tallest == pytest.approx(HEIGHT, abs=0.01)
    for bar in panel.bars:
        assert 0 <= bar.x <= bar.x + bar.width <= WIDTH + 0.01
        assert bar.y + bar.height == pytest.approx(HEIGHT, abs=0.02)
        assert bar.large == (bar.x >= panel.threshold - 0.01)


def test_a_silent_neuron_has_a_panel() -> None:
    panel = norm_panel(make_card(norms=np.zeros(100, np.float32), bound=0.0))
    assert len(panel.bars) == 1
    assert "NaN" not in rendered([make_card(norms=np.zeros(100, np.float32), bound=0.0)])


@pytest.mark.parametrize("threshold", [0.0, 0.011, 0.5, 1.0, 1.25, 2.0])
def test_norm_edges_cover_everything_and_meet_the_threshold(threshold: float) -> None:
    edges = norm_edges(NORMS, threshold)
    assert edges[0] == 0.0 and threshold in edges
    assert np.all(np.diff(edges) > 0)
    assert np.histogram(NORMS, edges)[0].sum() == len(NORMS)
    large = np.histogram(NORMS, edges)[0][edges[:-1] >= threshold].sum()
    if threshold < NORMS.max():
        assert large == np.count_nonzero(threshold <= NORMS)


@pytest.mark.parametrize(
    ("norms", "threshold", "bins"),
    [([0.1, np.nan], 0.1, 24), ([-0.1], 0.1, 24), ([0.1], np.inf, 24), ([0.1], 0.1, 1)],
)
def test_norm_edges_refuse_what_has_no_place_on_an_axis(norms, threshold, bins) -> None:
    with pytest.raises(ValueError, match="expected"):
        norm_edges(np.array(norms), threshold, bins)


def test_the_plot_counts_small_and_large_effects(tmp_path) -> None:
    ax = norm_histogram(NORMS, threshold=0.5)
    large = sum(
        bar.get_height() for bar in ax.patches if to_hex(bar.get_facecolor()) == TARGET_COLOR
    )
    assert (large, sum(bar.get_height() for bar in ax.patches)) == (10, 100)
    assert ax.get_yscale() == "log"
    assert "norm" in ax.get_xlabel() and "images" in ax.get_ylabel()
    assert norm_histogram(NORMS, threshold=0.5, ax=ax) is ax
    ax.figure.savefig(tmp_path / "norms.png")
    assert (tmp_path / "norms.png").stat().st_size > 1000


def test_pictures_are_made_smaller_until_the_page_fits() -> None:
    sides = [picture_side(count) for count in (1, 500, 1000, 2000, 10**6)]
    assert sides == sorted(sides, reverse=True)
    assert (sides[0], sides[-1]) == (SIDES[0], SIDES[-1])
    assert 500 * sides[1] ** 2 * BYTES_PER_PIXEL <= BUDGET


def test_the_assumed_size_of_a_picture_holds_for_noise_free_photographs() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)
    photo = Image.fromarray(coarse).resize((400, 400), Image.Resampling.BICUBIC)
    uri = picture_uri(photo, 192)
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as small:
        assert (small.format, small.size) == ("WEBP", (192, 192))
    assert len(uri) <= 192 * 192 * BYTES_PER_PIXEL


@pytest.fixture
def visit(browser, tmp_path) -> Iterator:
    path = tmp_path / "neurons.html"
    path.write_text(rendered([make_card(), make_card(11)], sandbox=True), encoding="utf-8")
    contexts, faults = [], []

    def opened(width: int = 1280, scheme: str = "light", **options):
        size = {"width": width, "height": 844}
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


@pytest.mark.integration
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_screen(visit, width: int) -> None:
    page = visit(width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    columns = page.evaluate(
        "getComputedStyle(document.querySelector('.unit-body')).gridTemplateColumns"
    )
    assert len(columns.split()) == (2 if width > 832 else 1)


@pytest.mark.integration
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(visit, scheme: str) -> None:
    assert visit(scheme=scheme).evaluate(POOR_CONTRAST) == []


@pytest.mark.integration
def test_without_scripts_everything_is_there_but_the_theme_button(visit) -> None:
    page = visit(java_script_enabled=False)
    assert page.locator("article:visible").count() == 2
    assert page.locator("img:visible").count() == 24
    assert not page.is_visible("#theme")


@pytest.mark.integration
def test_the_theme_button_changes_the_theme(visit) -> None:
    page = visit(scheme="light")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
