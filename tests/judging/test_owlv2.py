from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from advgen.errors import ModelError
from advgen.judging.owlv2 import Owlv2Judge, query
from advgen.records import ClassPair
from advgen.scoring.judges import Look

pytest.importorskip("transformers")
QUERIES = [("a photo of a dog", "a photo of a deer"), ("a photo of a ship", "a photo of a truck")]


@pytest.fixture(scope="module")
def looks() -> list[Look]:
    rng = np.random.default_rng(3)
    pairs = [ClassPair("dog", "deer"), ClassPair("ship", "truck")]
    sizes = [(48, 48), (30, 60)]
    return [
        Look(Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)), pair)
        for size, pair in zip(sizes, pairs, strict=True)
    ]


def test_presence_is_the_best_box_of_the_detector_s_own_search(tiny_owlv2: Path, looks) -> None:
    from transformers import Owlv2ForObjectDetection, Owlv2Processor

    processor = Owlv2Processor.from_pretrained(tiny_owlv2)
    model = Owlv2ForObjectDetection.from_pretrained(tiny_owlv2).eval()
    verdicts = Owlv2Judge(str(tiny_owlv2), device="cpu").judge_many(looks)
    for look, verdict, queries in zip(looks, verdicts, QUERIES, strict=True):
        best = []
        for text in queries:
            inputs = processor(images=look.image, text=[[text]], return_tensors="pt")
            with torch.no_grad():
                outputs = model(**inputs)
            (boxes,) = processor.post_process_grounded_object_detection(outputs, threshold=0.0)
            best.append(float(boxes["scores"].max()))
        assert verdict.true_present == pytest.approx(best[0], abs=1e-6)
        assert verdict.target_absent == pytest.approx(1 - best[1], abs=1e-6)
        assert verdict.judge == f"owlv2:{tiny_owlv2.name}"


def test_one_image_alone_gets_the_answer_that_it_gets_among_others(tiny_owlv2, looks) -> None:
    judge = Owlv2Judge(str(tiny_owlv2))
    together = judge.judge_many(looks)
    assert judge.judge_many([]) == []
    for look, verdict in zip(looks, together, strict=True):
        alone = judge.judge(look.image, {}, look.pair)
        assert alone.true_present == pytest.approx(verdict.true_present, abs=1e-6)
    judge.close()
    assert judge.judge_many(looks) == together
    assert judge.revision.endswith("+query1")


def test_a_long_class_name_is_cut_to_what_the_tower_reads(tiny_owlv2, looks) -> None:
    pair = ClassPair("dog", "small " * 30 + "deer")
    verdict = Owlv2Judge(str(tiny_owlv2)).judge(looks[0].image, {}, pair)
    assert 0 <= (verdict.target_absent or 0) <= 1


def test_another_model_is_refused(tiny_llava, looks) -> None:
    with pytest.raises(ModelError, match="cannot load"):
        Owlv2Judge(str(tiny_llava)).judge_many(looks)


@pytest.mark.parametrize(
    ("noun", "asked"),
    [("apple", "a photo of an apple"), ("sneakers", "a photo of sneakers")],
)
def test_a_class_is_asked_for_in_english(noun: str, asked: str) -> None:
    assert query(noun) == asked
