"""Language models: the published configurations of the ``transformers`` library, with random weights."""

from __future__ import annotations

from typing import Any

import transformers
from torch import Tensor, nn
from typing_extensions import override

from bench.architectures.settings import attention
from bench.inputs import SMALL_VOCABULARY
from bench.spec import Variant


class Encoder(nn.Module):
    """Token ids and mask in, the last hidden state out."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @override
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Map int64 [N, T] and int64 [N, T] to float32 [N, T, hidden]."""
        hidden: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return hidden


class PooledEncoder(nn.Module):
    """Token ids, mask and segment ids in, the last hidden state and the pooled first token out."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @override
    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Map three int64 [N, T] to float32 [N, T, hidden] and [N, hidden]."""
        result = self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        return result.last_hidden_state, result.pooler_output


class Decoder(nn.Module):
    """Token ids and mask in, the logits of the next token out; one pass over the prompt, no key-value cache."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @override
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Map int64 [N, T] and int64 [N, T] to float32 [N, T, vocabulary]."""
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits
        return logits


def bert_sizes(variant: Variant) -> dict[str, Any]:
    """Return the sizes that BERT-base and its relatives share."""
    return {
        "hidden_size": variant.pick(128, 768),
        "num_hidden_layers": variant.layers(2, 12),
        "num_attention_heads": variant.pick(4, 12),
        "intermediate_size": variant.pick(512, 3072),
    }


def bert(variant: Variant) -> nn.Module:
    """Return BERT-base, uncased (Devlin et al. 2018, arXiv 1810.04805)."""
    config = transformers.BertConfig(
        vocab_size=variant.pick(SMALL_VOCABULARY, 30522), **bert_sizes(variant), **attention(variant)
    )
    return PooledEncoder(transformers.BertModel(config))


def distilbert(variant: Variant) -> nn.Module:
    """Return DistilBERT-base (Sanh et al. 2019, arXiv 1910.01108)."""
    config = transformers.DistilBertConfig(
        vocab_size=variant.pick(SMALL_VOCABULARY, 30522),
        dim=variant.pick(128, 768),
        hidden_dim=variant.pick(512, 3072),
        n_heads=variant.pick(4, 12),
        n_layers=variant.layers(2, 6),
        **attention(variant),
    )
    return Encoder(transformers.DistilBertModel(config))


def albert(variant: Variant) -> nn.Module:
    """Return ALBERT-base v2 (Lan et al. 2019, arXiv 1909.11942)."""
    config = transformers.AlbertConfig(
        vocab_size=variant.pick(SMALL_VOCABULARY, 30000),
        embedding_size=variant.pick(64, 128),
        inner_group_num=1,
        **bert_sizes(variant),
        **attention(variant),
    )
    return PooledEncoder(transformers.AlbertModel(config))


def squeezebert(variant: Variant) -> nn.Module:
    """Return SqueezeBERT (Iandola et al. 2020, arXiv 2006.11316): BERT with grouped convolutions for its matrices."""
    config = transformers.SqueezeBertConfig(
        vocab_size=variant.pick(SMALL_VOCABULARY, 30522),
        embedding_size=variant.pick(128, 768),
        q_groups=4,
        k_groups=4,
        v_groups=4,
        intermediate_groups=4,
        output_groups=4,
        **bert_sizes(variant),
    )
    return PooledEncoder(transformers.SqueezeBertModel(config))


def t5_encoder(variant: Variant) -> nn.Module:
    """Return the encoder of T5-small (Raffel et al. 2019, arXiv 1910.10683)."""
    config = transformers.T5Config(
        vocab_size=variant.pick(SMALL_VOCABULARY, 32128),
        d_model=variant.pick(128, 512),
        d_kv=variant.pick(32, 64),
        d_ff=variant.pick(512, 2048),
        num_layers=variant.layers(2, 6),
        num_heads=variant.pick(4, 8),
        use_cache=False,
        **attention(variant),
    )
    return Encoder(transformers.T5EncoderModel(config))


def gpt2(variant: Variant) -> nn.Module:
    """Return GPT-2, 124 million parameters (Radford et al. 2019)."""
    config = transformers.GPT2Config(
        vocab_size=variant.pick(SMALL_VOCABULARY, 50257),
        n_embd=variant.pick(128, 768),
        n_layer=variant.layers(2, 12),
        n_head=variant.pick(4, 12),
        bos_token_id=0,
        eos_token_id=0,
        **attention(variant),
    )
    return Decoder(transformers.GPT2LMHeadModel(config))


def llama(variant: Variant) -> nn.Module:
    """Return a Llama (Touvron et al. 2023, arXiv 2302.13971) of the size of SmolLM-135M: grouped-query attention."""
    config = transformers.LlamaConfig(
        vocab_size=variant.pick(SMALL_VOCABULARY, 49152),
        hidden_size=variant.pick(128, 576),
        intermediate_size=variant.pick(384, 1536),
        num_hidden_layers=variant.layers(2, 30),
        num_attention_heads=variant.pick(4, 9),
        num_key_value_heads=variant.pick(2, 3),
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        **attention(variant),
    )
    return Decoder(transformers.LlamaForCausalLM(config))
