"""Looking at neurons: their numbers, signed words, top images; as records, rows and cards."""

from advgen.neurons.cards import NeuronCard, TopImage, image_name, leading_images, make_cards
from advgen.neurons.catalogue import (
    ORDERS,
    Catalogue,
    LayerSummary,
    open_catalogue,
    order_for_contrast,
    order_neurons,
    summarise_layers,
)
from advgen.neurons.describe import (
    NeuronFacts,
    SignedWord,
    concept_count,
    describe_neurons,
    plain_facts,
)
from advgen.neurons.export import FORMATS, encode_neurons, neuron_row, provenance
from advgen.neurons.responses import NeuronResponses, neuron_responses

__all__ = [
    "FORMATS",
    "ORDERS",
    "Catalogue",
    "LayerSummary",
    "NeuronCard",
    "NeuronFacts",
    "NeuronResponses",
    "SignedWord",
    "TopImage",
    "concept_count",
    "describe_neurons",
    "encode_neurons",
    "image_name",
    "leading_images",
    "make_cards",
    "neuron_responses",
    "neuron_row",
    "open_catalogue",
    "order_for_contrast",
    "order_neurons",
    "plain_facts",
    "provenance",
    "summarise_layers",
]
