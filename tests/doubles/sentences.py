"""A tiny sentence-transformers model on disk."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_sentence_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers model of the kind of all-distilroberta-v1, with random weights."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("tiny")
    words = ["<s>", "<pad>", "</s>", "<unk>", "a", "car", "deer", "stop", "sign", "moss", "tree"]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    )
    config = RobertaConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=20,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    RobertaModel(config).save_pretrained(folder / "plain")
    fast.save_pretrained(folder / "plain")
    stages = [Transformer(str(folder / "plain")), Pooling(16, "mean")]
    SentenceTransformer(modules=stages, device="cpu").save(
        str(folder / "model"), create_model_card=False
    )
    return folder / "model"
