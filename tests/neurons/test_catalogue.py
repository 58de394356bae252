import dataclasses

import numpy as np
import pytest
import torch

from advgen.config import AttackConfig
from advgen.errors import ConfigError
from advgen.neurons import (
    ORDERS,
    Catalogue,
    open_catalogue,
    order_for_contrast,
    order_neurons,
    summarise_layers,
)
from advgen.neurons.catalogue import rows_of
from advgen.records import Neuron
from advgen.store import ArtifactStore


def test_every_neuron_of_every_layer_is_there_once(catalogue: Catalogue) -> None:
    width = catalogue.clip.vision.neurons
    assert catalogue.neurons == [Neuron(layer, n) for layer in (3, 4) for n in range(width)]


def test_summaries_are_numpy_s_medians(catalogue: Catalogue) -> None:
    shares = torch.linspace(0.1, 0.9, catalogue.clip.vision.neurons) ** 2
    layers = {
        layer: dataclasses.replace(directions, explained_variance=shares * (layer / 4))
        for layer, directions in catalogue.directions.items()
    }
    for summary in summarise_layers(dataclasses.replace(catalogue, directions=layers)):
        explained = layers[summary.layer].explained_variance.double().numpy()
        assert (summary.neurons, summary.silent) == (len(explained), 0)
        assert summary.explained_variance == pytest.approx(np.median(explained))
        assert summary.mostly_one == pytest.approx(np.mean(explained > 0.5))
        assert 0 < summary.mostly_one < 1
        norms = layers[summary.layer].norm_threshold.double().numpy()
        assert summary.norm_threshold == pytest.approx(np.median(norms))
        assert summary.significant == 6 / 20


def test_a_neuron_without_effect_counts_as_silent_and_in_no_median(catalogue: Catalogue) -> None:
    layer = catalogue.directions[4]
    dead = torch.arange(len(layer)) < 5
    changed = dataclasses.replace(
        layer,
        direction=layer.direction.masked_fill(dead[:, None], 0.0),
        explained_variance=layer.explained_variance.masked_fill(dead, 0.0),
    )
    (summary,) = summarise_layers(dataclasses.replace(catalogue, directions={4: changed}))
    assert (summary.neurons, summary.silent) == (len(layer), 5)
    expected = np.median(layer.explained_variance[5:].double().numpy())
    assert summary.explained_variance == pytest.approx(expected)


@pytest.mark.parametrize("order", ORDERS)
def test_neurons_are_ordered_over_all_layers(catalogue: Catalogue, order: str) -> None:
    ordered = order_neurons(catalogue, order)
    assert sorted(neuron for neuron, _ in ordered) == catalogue.neurons
    values = [value for _, value in ordered]
    assert values == sorted(values, reverse=True)
    field = {"explained": "explained_variance", "threshold": "norm_threshold", "norm": "top_norms"}
    for neuron, value in (ordered[0], ordered[-1]):
        row = getattr(catalogue.directions[neuron.layer], field[order])[neuron.index]
        assert value == row.reshape(-1)[0].item()


def test_an_unknown_order_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(ValueError, match="got 'size'"):
        order_neurons(catalogue, "size")


def test_a_contrast_orders_by_magnitude_and_keeps_the_sign(catalogue: Catalogue) -> None:
    contrast = torch.randn(catalogue.clip.embed_dim)
    ordered = order_for_contrast(catalogue, contrast)
    expected = {
        Neuron(layer, index): float(np.dot(row, contrast.numpy()))
        for layer, directions in catalogue.directions.items()
        for index, row in enumerate(directions.direction.numpy())
    }
    assert {neuron for neuron, _ in ordered} == set(expected)
    for neuron, value in ordered:
        assert value == pytest.approx(expected[neuron], abs=1e-5)
    sizes = [abs(value) for _, value in ordered]
    assert sizes == sorted(sizes, reverse=True)
    assert min(value for _, value in ordered) < 0


def test_rows_follow_the_order_asked_for(catalogue: Catalogue) -> None:
    chosen = [Neuron(4, 7), Neuron(3, 0), Neuron(4, 2)]
    rows = rows_of(catalogue, chosen, "bias")
    for row, neuron in zip(rows, chosen, strict=True):
        assert torch.equal(row, catalogue.directions[neuron.layer].bias[neuron.index])


@pytest.mark.parametrize(
    ("neuron", "says"),
    [(Neuron(4, 99999), "no neuron 4:99999; layer 4 has the neurons 4:0 to 4:")],
)
def test_a_neuron_that_is_not_there_is_named_before_any_work(
    config: AttackConfig, listener, tmp_path, neuron: Neuron, says: str
) -> None:
    store = ArtifactStore(tmp_path / "cache")
    with pytest.raises(ConfigError, match=says):
        open_catalogue(config, store, listener, chosen=[neuron])
    assert not store.root.exists()
