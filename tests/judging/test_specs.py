import pytest
from PIL import Image

from advgen.errors import ConfigError
from advgen.judging.specs import open_judge
from advgen.records import ClassPair, Verdict
from advgen.scoring.judges import Judge, Look, NoJudge, OneByOne

pytestmark = pytest.mark.usefixtures("judges_known")
PICTURE, PAIR = Image.new("RGB", (4, 4)), ClassPair("dog", "deer")


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("sandbox", "sandbox"),
        ("vlm", "vlm:Qwen/Qwen2.5-VL-3B-Instruct"),
        ("vlm: some/model@v2 ", "vlm:some/model@v2"),
        ("owlv2", "owlv2:google/owlv2-base-patch16-ensemble"),
        ("owlv2:some/detector", "owlv2:some/detector"),
        ("server:llava:7b@http://localhost:1/v1", "server:llava:7b"),
    ],
)
def test_a_judge_is_opened_without_asking_anyone(spec: str, name: str) -> None:
    judge = open_judge(spec, dtype="float32", device="cpu")
    assert judge.name == name
    assert isinstance(judge, Judge)
    judge.close()


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("none", "not a judge that looks; write sandbox, vlm"),
        ("vlm:", "not a judge that looks"),
        ("server", "write the judge as server:MODEL@"),
        ("sandbox:deep", "takes nothing after its name; write 'sandbox'"),
        ("owl", "unknown judge 'owl': did you mean owlv2"),
        ("", "unknown judge ''"),
    ],
)
def test_what_is_no_judge_is_refused_with_a_hint(spec: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        open_judge(spec)


def test_any_judge_looks_at_one_image_after_the_other() -> None:
    class Counting:
        name = "counting"

        def judge(self, image, truth, pair) -> Verdict:
            return Verdict(self.name, float(truth["seen"]), 1.0)

    judge = OneByOne(Counting())
    verdicts = judge.judge_many([Look(PICTURE, PAIR, {"seen": n}) for n in (1, 0)])
    assert [verdict.true_present for verdict in verdicts] == [1.0, 0.0]
    assert (judge.name, judge.revision) == ("counting", "exact")
    assert OneByOne(NoJudge(), revision="7").judge_many([Look(PICTURE, PAIR)]) == [
        Verdict("none", None, None)
    ]
