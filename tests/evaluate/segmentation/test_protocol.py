import pytest
from doubles.towers import segmenter_inputs

from advgen.errors import ConfigError
from advgen.evaluate.segmentation import open_segmenter


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("second-order", {"neurons": "abc"}, "neurons must be a whole number; got 'abc'"),
        ("second-order", {"neurons": 1.5}, "neurons must be a whole number; got 1.5"),
        ("second-order", {"neurons": True}, "neurons must be a whole number; got True"),
        ("second-order", {"layers": "8"}, r"layers must be a list such as \[8, 9, 10\]; got '8'"),
        ("second-order", {"layers": 4}, "layers must be a list"),
        ("second-order", {"layers": [4.5]}, "layers must be a list"),
        ("second-order", {"signed": "yes"}, "signed must be true or false; got 'yes'"),
        ("second-order", {"maps": "efect"}, "maps must be one of activation, effect; got 'efect'"),
        ("maskclip", {"contrast": "dog"}, r"contrast must be a list such as \[\"cat\", \"deer\"\]"),
        ("maskclip", {"contrast": [1]}, "contrast must be a list"),
        ("clearclip", {"mlp": 1}, "mlp must be true or false; got 1"),
        ("gem", {"blocks": 1.0}, "blocks must be a whole number"),
        ("gem", {"inverse_temperature": "hot"}, "inverse_temperature must be a number; got 'hot'"),
        ("legrad", {"pool": "max"}, "pool must be one of mean, class; got 'max'"),
        ("chefer", {"scale": "big"}, "scale must be a number"),
        ("rollout", {"start_layer": "first"}, "start_layer must be a whole number"),
        ("textspan", {"rectify": "on"}, "rectify must be true or false"),
        ("rollout", {"neurons": 3}, "does not take these options"),
    ],
)
def test_wrong_options_are_sentences(name, options, message):
    with pytest.raises(ConfigError, match=message):
        open_segmenter(name, segmenter_inputs(), **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gem", {"blocks": 1, "inverse_temperature": 2}),
        ("gem", {"blocks": None, "inverse_temperature": 2.5}),
        ("chefer", {"scale": None, "start_layer": 0}),
        ("textspan", {"layers": (0, 2), "rectify": True}),
        ("textspan", {"layers": [1]}),
        ("legrad", {"layers": 2, "pool": "class"}),
        ("maskclip", {"residual": False, "contrast": []}),
    ],
)
def test_right_options_are_taken(name, options):
    assert open_segmenter(name, segmenter_inputs(), **options)
