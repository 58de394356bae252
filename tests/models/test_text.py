import pytest
import torch

from advgen.models import ClipModel, encode_classes
from advgen.models.text import fill_template


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("a photo of a {}.", "a photo of a owl."),
        ("a photo of {article} {noun}.", "a photo of an owl."),
        ("{noun}", "owl"),
    ],
)
def test_templates(template, expected):
    assert fill_template(template, "owl") == expected


def test_template_without_a_place():
    with pytest.raises(ValueError, match="template"):
        fill_template("a photo", "owl")


class Recorder(ClipModel):
    """Embeds a text as a fixed random unit vector and remembers what it was asked."""

    def encode_text(self, texts):
        self.texts = texts
        rows = [
            torch.randn(6, generator=torch.Generator().manual_seed(hash(t) % 999)) for t in texts
        ]
        return torch.nn.functional.normalize(torch.stack(rows), dim=-1)


def test_classes_are_means_over_templates():
    clip = Recorder()
    rows = encode_classes(clip, ["owl", "dog"], templates=["a {}", "the {}", "{}"])
    assert clip.texts == ["a owl", "the owl", "owl", "a dog", "the dog", "dog"]
    owl = clip.encode_text(clip.texts[:3]).mean(0)
    assert torch.allclose(rows[0], owl / owl.norm())
    assert torch.allclose(rows.norm(dim=-1), torch.ones(2))


def test_default_prompt_reads_well():
    clip = Recorder()
    encode_classes(clip, ["owl"])
    assert clip.texts == ["a photo of an owl."]


@pytest.mark.parametrize(("classes", "templates"), [([], ["{}"]), ("owl", ["{}"]), (["owl"], [])])
def test_empty_lists(classes, templates):
    with pytest.raises(ValueError, match="non-empty"):
        encode_classes(Recorder(), classes, templates=templates)
